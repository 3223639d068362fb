"""What every verb works with: settings, history, links. Made when first needed."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from kernelext.bundle import StatCache
from kernelext.history import History, data_dir, history_path
from kernelext.hosts import find_host, find_project, load_settings
from kernelext.hosts.config import HostConfig, Settings
from kernelext.link import LinkPool
from kernelext.link.local import local_state_dir
from kernelext.verbs.progress import console_line


class Context:
    """One process's view of the user's kernelext.

    Parameters
    ----------
    folder : Path
        Where the user is: the notebook's folder.
    environ : mapping, optional
    namespace : dict, optional
        Of a notebook, for what a verb is asked to bind there.
    status_line : callable, optional
        Gives what shows a line in place of its last one, on the console as a rule.
    """

    def __init__(
        self,
        folder: Path,
        environ: Mapping[str, str] | None = None,
        namespace: dict[str, Any] | None = None,
        status_line: Callable[[], Callable[[str], None]] = console_line,
    ) -> None:
        self.namespace = namespace
        self.status_line = status_line
        self.stat_cache = StatCache()
        self.look_again(folder, os.environ if environ is None else environ)

    def look_again(self, folder: Path, environ: Mapping[str, str]) -> None:
        """Take the user's folder and environment, and read the settings afresh when asked for.

        A notebook does it before every cell: the user may have edited them.
        """
        self.folder = folder
        self.environ = dict(environ)
        for name in ("project", "settings"):
            self.__dict__.pop(name, None)

    @cached_property
    def project(self) -> Path:
        """The project's folder: that of the nearest `kernelext.toml`, else the notebook's."""
        return find_project(self.folder) or self.folder

    @cached_property
    def settings(self) -> Settings:
        """The user's file, and the project's over it."""
        return load_settings(self.project, self.environ)

    @cached_property
    def history(self) -> History:
        """The user's history."""
        return History.open(history_path(self.environ))

    @cached_property
    def links(self) -> LinkPool:
        """The connections of this process."""
        return LinkPool(self.environ, local_state_dir(data_dir(self.environ)))

    @property
    def runs_dir(self) -> Path:
        """Where journals and results of all runs lie."""
        return data_dir(self.environ) / "runs"

    def host(self, name: str) -> HostConfig:
        """Find a host by its name.

        Raises
        ------
        UnknownHost
        """
        return find_host(name, self.settings, self.environ)

    def close(self) -> None:
        """End connections and close the history."""
        if "links" in self.__dict__:
            self.links.close()
        if "history" in self.__dict__:
            self.history.close()
