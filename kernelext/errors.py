"""The error tree: what can go wrong, each with its data and the user's next step.

KernelExtError
    CellSyntaxError         the cell is not plain Python
    OptionError             a magic's or a verb's option
    BundleError             the project's files cannot travel
        ProjectTooLarge         they are more than the upload limit
        SecretsFound            some look like secrets
    ValueCodecError         a variable cannot travel
        PickleKept              a pickle stays on disk, as the user's file wants
    ImageBuildError         an environment that cannot be made into an image
    HistoryError            the history on this machine
    LinkError               no connection to a host
        ConnectError            nobody answers, or the login is refused
        HostKeyError            the host's key is unknown or has changed
        LinkLost                the connection broke
        ProtocolError           the other side speaks another language
    HostError               a host that cannot do the work
        UnknownHost             no host of that name
        EngineError             the host's container engine
        ImageNotFound           the image is not on the host
        DaemonError             the daemon refused a request
        DiskFull                its disk has no room for what it is sent
    RunError                a run that did not end well; also carries its cause
        RemoteCellError         the cell raised; also of the exception's own type
"""

from __future__ import annotations

import builtins
import sys
from collections.abc import Mapping, Sequence
from typing import Any, cast

__all__ = [
    "BundleError",
    "CellSyntaxError",
    "ConnectError",
    "DaemonError",
    "DiskFull",
    "EngineError",
    "HistoryError",
    "HostError",
    "HostKeyError",
    "ImageBuildError",
    "ImageNotFound",
    "KernelExtError",
    "LinkError",
    "LinkLost",
    "OptionError",
    "PickleKept",
    "ProjectTooLarge",
    "ProtocolError",
    "RemoteCellError",
    "RunError",
    "SecretsFound",
    "UnknownHost",
    "ValueCodecError",
    "remote_cell_error",
]

SHOWN_FILES = 8


class KernelExtError(Exception):
    """Anything that kernelext itself says went wrong: one sentence and the next step."""

    def _render_traceback_(self) -> list[str]:
        """What IPython shows instead of our own frames."""
        return [f"{type(self).__name__}: {self}"]


class CellSyntaxError(KernelExtError):
    """The cell's source cannot be read as plain Python.

    Parameters
    ----------
    message : str
        What is wrong, in one sentence.
    line, column : int
        Where, counted from 1.
    text : str
        The offending line.
    """

    def __init__(self, message: str, line: int = 0, column: int = 0, text: str = "") -> None:
        super().__init__(message)
        self.line = line
        self.column = column
        self.text = text


class OptionError(KernelExtError):
    """An option of a magic or a verb that cannot be."""


class BundleError(KernelExtError):
    """The project's files cannot travel."""


class ProjectTooLarge(BundleError):
    """The project's files are more than may travel.

    Parameters
    ----------
    sizes : mapping of str to int
        Bytes of every file that would.
    """

    def __init__(self, sizes: Mapping[str, int]) -> None:
        super().__init__(f"the project's files are {sum(sizes.values()) / 1e9:.2f} GB: too much")
        self.sizes = sizes


class SecretsFound(BundleError):
    """Files of the project look like secrets, and no rule says what is to become of them.

    Parameters
    ----------
    files : mapping of str to str
        What each holds or links to; empty where only its name says so.
    rule_file : str
        Where such a rule belongs.
    """

    def __init__(self, files: Mapping[str, str], rule_file: str) -> None:
        shown = [f"{path} ({what})" if what else path for path, what in files.items()]
        more = f" and {len(shown) - SHOWN_FILES} more" if len(shown) > SHOWN_FILES else ""
        first = next(iter(files))
        super().__init__(
            f"nothing was sent: {', '.join(shown[:SHOWN_FILES])}{more} of the project"
            f" {'looks like a secret' if len(shown) == 1 else 'look like secrets'};"
            f" name what is to stay at home in {rule_file} (`{first}`), what is to travel there"
            f" with a `!` before it (`!{first}`). A cell gets single secrets by --env"
        )
        self.files = files


class ValueCodecError(KernelExtError):
    """A variable cannot be turned into bytes, or bytes into a variable."""


class PickleKept(ValueCodecError):
    """Reading a value could run code of a host from which no pickle may be loaded."""


class HistoryError(KernelExtError):
    """The history on this machine cannot be read or written."""


class LinkError(KernelExtError):
    """No connection to a host."""


class ConnectError(LinkError):
    """Nobody answers at the host's address, or the login is refused."""


class HostKeyError(LinkError):
    """The host's key is unknown or has changed; it is never accepted unasked."""


class LinkLost(LinkError):
    """A connection that stood has broken."""


class ProtocolError(LinkError):
    """The other side sent what this version of the protocol does not know."""


class HostError(KernelExtError):
    """A host that cannot do the work."""


class UnknownHost(HostError):
    """No host of that name."""


class EngineError(HostError):
    """The host's container engine is absent or refuses."""


class ImageNotFound(HostError):
    """The image is not on the host and cannot be pulled there."""


class ImageBuildError(KernelExtError):
    """The environment cannot be resolved, fetched or built into an image."""


class DaemonError(HostError):
    """The daemon on the host refused a request."""


class DiskFull(HostError):
    """The host's disk has no room for what it is sent."""


class RunError(KernelExtError):
    """A fold that did not end well.

    Parameters
    ----------
    message : str
        One sentence and the next step.
    cause : str
        An `EndCause` value.
    run, fold, host : str
        Which one.
    """

    def __init__(
        self,
        message: str,
        *,
        cause: str = "internal",
        run: str = "",
        fold: str = "",
        host: str = "",
    ) -> None:
        # Not super(): the next class of a posing error may insist on other arguments.
        Exception.__init__(self, message)
        self.cause = cause
        self.run = run
        self.fold = fold
        self.host = host


class RemoteCellError(RunError):
    """The cell raised on the host.

    Raised as a subclass that also derives from the remote exception's own class,
    so that ``except ValueError:`` catches a remote ``ValueError``.

    Parameters
    ----------
    ename, evalue : str
        The remote exception's class name and text.
    traceback : sequence of str
        The remote traceback, ready to print, the cell's own lines in it.
    """

    ename: str
    evalue: str
    traceback: Sequence[str]

    def __str__(self) -> str:
        """Return the remote exception's text, not that of the class it poses as."""
        return self.evalue

    def _render_traceback_(self) -> list[str]:
        return [*self.traceback, *getattr(self, "__notes__", ())]


def remote_cell_error(
    content: Mapping[str, Any], *, run: str = "", fold: str = "", host: str = ""
) -> RemoteCellError:
    """Make the error of a cell that raised, catchable as what it was.

    Parameters
    ----------
    content : mapping
        Of an ``error`` event: ``ename``, ``evalue``, ``traceback`` (lines ready to print) and
        ``lineage`` (the remote class and its bases, nearest first, as ``module.qualname``).
    run, fold, host : str
        Which attempt raised.

    Returns
    -------
    RemoteCellError
        An instance of a class named ``ename`` that derives from `RemoteCellError` and
        from the nearest of the lineage that is known here (nothing is imported for it).

    Examples
    --------
    >>> error = remote_cell_error(
    ...     {"ename": "ValueError", "evalue": "bad", "lineage": ["builtins.ValueError"]}
    ... )
    >>> isinstance(error, ValueError), str(error)
    (True, 'bad')
    """
    ename = str(content.get("ename", "Exception"))
    evalue = str(content.get("evalue", ""))
    error = _posing_instance(ename, _texts(content.get("lineage")))
    RunError.__init__(error, evalue, cause="cell_error", run=run, fold=fold, host=host)
    error.ename = ename
    error.evalue = evalue
    error.traceback = _texts(content.get("traceback"))
    return error


def _texts(found: object) -> list[str]:
    return [str(each) for each in found] if isinstance(found, (list, tuple)) else []


def _posing_instance(ename: str, lineage: Sequence[str]) -> RemoteCellError:
    if not ename.isidentifier():  # nor may a class have any name
        ename = "Exception"
    for name in lineage:
        base = _known_exception(name)
        if base is None:
            continue
        try:
            posing = type(ename, (RemoteCellError, base), {"__module__": base.__module__})
            return _bare_instance(posing)
        except TypeError:  # two instance layouts that cannot be combined
            continue
    return _bare_instance(type(ename, (RemoteCellError,), {}))


def _bare_instance(posing: type) -> RemoteCellError:
    """Make an instance by ``__new__`` alone: some constructors insist on what did not travel."""
    try:
        made = posing.__new__(posing)  # type: ignore[call-overload]
    except TypeError:  # MemoryError has a __new__ of its own but no layout, so it is not the base
        made = Exception.__new__(posing)
    return cast(RemoteCellError, made)


def _known_exception(dotted: str) -> type[Exception] | None:
    module, _, name = dotted.rpartition(".")
    if not name.isidentifier():
        return None
    home = builtins if module == "builtins" else sys.modules.get(module)
    found = getattr(home, name, None)
    if isinstance(found, type) and issubclass(found, Exception):
        return found
    return None
