"""From what a project wants to a lock: what no index has is built, then all is resolved."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from kernelext.errors import ImageBuildError
from kernelext.image.condapart import CondaPart
from kernelext.image.hashes import hash_problem
from kernelext.image.jobs import Check, Say
from kernelext.image.lines import WHEEL, is_path
from kernelext.image.locals import gone_problem, is_wanted, requirement_of
from kernelext.image.metadata import addressed_by, package_name
from kernelext.image.resolving import prefer, read_lock, resolve
from kernelext.image.target import Target
from kernelext.image.unsolved import local_version_problem
from kernelext.image.wanted import Local, Wanted
from kernelext.image.wheelhouse import Wheelhouse
from kernelext.recipe import normal_name


class Chooser:
    """Chooses a project's wheels.

    Parameters
    ----------
    wanted : Wanted
    project : Path
        Whose settings of uv hold.
    house : Wheelhouse
        Where wheels are built.
    environ : mapping of str to str
    """

    def __init__(
        self, wanted: Wanted, project: Path, house: Wheelhouse, environ: Mapping[str, str]
    ) -> None:
        self._wanted = wanted
        self._project = project
        self._house = house
        self._environ = environ

    def is_whole(self, lock: str, target: Target) -> bool:
        """Whether there is a lock, and all that was built here for it: the rest can be fetched."""
        if not lock:
            return not self._wanted.requirements and not self._wanted.local
        own = self._house.folder.as_uri()
        pins = read_lock(lock, target)
        is_here = all(self._house.path(pin).exists() for pin in pins if pin.url.startswith(own))
        return is_here and not self._hash_problem(lock, target)

    def lock(self, target: Target, conda: CondaPart, earlier: str, say: Say, check: Check) -> str:
        """Choose wheels for a Python.

        Parameters
        ----------
        target : Target
        conda : CondaPart
            What it has is not asked for again, and other versions only where they are needed.
        earlier : str
            A lock whose versions are kept where they are still possible.
        say : callable
            Told what is being done.
        check : callable
            Raises when the user wants it to stop.

        Returns
        -------
        str
            The lock; see `resolve`.

        Raises
        ------
        ImageBuildError
            There is no solution, something cannot be built, or has another hash than is written.
        """
        built = [
            self._have(local, target, say, check)
            for local in self._wanted.local
            if is_wanted(local, target)
        ]
        overrides = self._overrides(built, target, say, check)
        requirements = (*filter(conda.lacks, self._wanted.requirements), *built)
        earlier = prefer(earlier, conda.distributions)
        wanted = replace(self._wanted, requirements=requirements, overrides=overrides)
        say(f"resolving {wanted.source} for Python {target.python}")
        try:
            lock = resolve(wanted, target, self._project, self._environ, earlier, check=check)
        except ImageBuildError as exc:
            stand_ins = [local for local in wanted.local if local.instead in built]
            problem = gone_problem(stand_ins, str(exc))
            if problem := problem or local_version_problem(wanted.source, str(exc)):
                raise ImageBuildError(problem) from exc
            raise
        if problem := self._hash_problem(lock, target):
            raise ImageBuildError(problem)
        return lock

    def _hash_problem(self, lock: str, target: Target) -> str:
        lines = (*self._wanted.requirements, *self._wanted.constraints)
        return hash_problem(lines, read_lock(lock, target), target)

    def _overrides(
        self, built: list[str], target: Target, say: Say, check: Check
    ) -> tuple[str, ...]:
        """Have what packages themselves take from addresses; the requirements that name it."""
        wheels = {package_name(requirement): requirement for requirement in built}
        todo = [local for each in built for local in addressed_by(each, target)]
        found: dict[str, str] = {}
        for local in todo:
            name = normal_name(local.name)
            if name in found:
                continue
            if name in wheels:
                found[name] = wheels[name]
                continue
            if is_path(local.place):  # of which a change would not be seen
                line = f"{local.name} @ {Path(local.place).as_uri()}"
                raise ImageBuildError(
                    f"a package of {self._wanted.source} takes {local.name} from a place of this"
                    f" machine: write `{line}` there, too"
                )
            found[name] = self._have(local, target, say, check)
            todo += addressed_by(found[name], target)
        return tuple(found.values())

    def _have(self, local: Local, target: Target, say: Say, check: Check) -> str:
        if not local.place.endswith(WHEEL):
            say(f"building {Path(local.place.partition('#')[0].partition('?')[0]).name}")
        return requirement_of(local, self._house.folder, target, self._environ, check)
