"""Runs a project's script over an image on a host: what it changes becomes the topmost layer."""

from __future__ import annotations

from collections.abc import Iterable

from kernelext.image.finding import copy_built
from kernelext.image.folders import send_files, snapshot_of
from kernelext.image.jobs import Check, Say, finish, stopped_if_left
from kernelext.image.wanted import Folder
from kernelext.link import HostLink
from kernelext.recipe import Files, Recipe


class ScriptBuild:
    """One script, and the folder that it lies in.

    Parameters
    ----------
    folder : Folder
    name : str
        What the image is called.
    turn : str
        Another one asks for another run of the same script.
    """

    def __init__(self, folder: Folder, name: str, turn: str) -> None:
        self._folder = folder
        self._name = name
        self._turn = turn

    def build(
        self, link: HostLink, below: str, others: Iterable[HostLink], say: Say, check: Check
    ) -> Recipe:
        """Have the image on a host: it may be there, or on another that is connected.

        Parameters
        ----------
        link : HostLink
            Connected.
        below : str
            The image that it runs over, which the host has.
        others : iterable of HostLink
            Other hosts that may have the result.
        say : callable
            Told what is being done.
        check : callable
            Raises when the user wants it to stop.

        Raises
        ------
        EngineError, DiskFull
            The script fails.
        """
        snapshot = snapshot_of(self._folder)
        start = f"{snapshot.root.name}/{self._folder.start}"
        files = Files(snapshot.manifest_chunk, start, self._turn)
        recipe = Recipe(below, link.image(below).digest, name=self._name, script=files)
        if not copy_built(link, recipe.tag, others, say, check):
            with stopped_if_left(link, recipe, check):
                finish(
                    link,
                    lambda: link.build(recipe),
                    lambda missing: send_files(link, snapshot, missing, say, check),
                    say,
                    check,
                )
        return recipe
