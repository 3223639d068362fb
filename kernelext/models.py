"""The nouns that the rooms hand to each other, as frozen dataclasses with a JSON form."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, TypeVar

PROTOCOL_VERSION = 1
JOURNAL_VERSION = 1
INLINE_LIMIT_BYTES = 64 * 1024  # a part up to this size travels inside the message that names it
CHUNK_BYTES = 8 * 1024 * 1024  # a larger part is cut into chunks of this size

# What lies in an attempt's work directory, which is all of the host that its container sees.
CONTROL_NAME = "control.sock"
JOURNAL_NAME = "journal"
PROJECT_DIR = "project"
HOME_DIR = "home"
INPUTS_DIR = "inputs"
VALUES_DIR = "values"
INPUT_FOLDER = "data/input"  # of a project: what lies there is only read
OUTPUT_FOLDERS = ("data/working", "data/output")  # what a cell changes there comes home
EXIT_DISK_FULL = 74  # a supervisor that cannot write its journal; EX_IOERR of sysexits.h

ALL_GPUS = -1  # of `Limits.gpus`: as many as the host has

DIGEST = re.compile(r"[0-9a-f]{64}")
PLAIN_WORD = re.compile(r"[a-z0-9_]{1,32}")

MAX_ATTEMPTS = 1_000_000  # of one fold; the number names a folder

Json = dict[str, Any]
T = TypeVar("T")


class RunState(str, Enum):
    """What an attempt, a fold or a run is doing."""

    QUEUED = "queued"
    SENDING = "sending"
    STARTING = "starting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    LOST = "lost"

    @property
    def is_final(self) -> bool:
        """Whether nothing more will happen."""
        return self in FINAL_STATES


FINAL_STATES = frozenset({RunState.DONE, RunState.FAILED, RunState.CANCELLED, RunState.LOST})
STATE_ORDER = tuple(RunState)


class EndCause(str, Enum):
    """Why an attempt ended otherwise than done."""

    CELL_ERROR = "cell_error"
    OUT_OF_MEMORY = "out_of_memory"
    TIMEOUT = "timeout"
    USER_INTERRUPT = "user_interrupt"
    CLOUD_INTERRUPT = "cloud_interrupt"
    HOST_LOST = "host_lost"
    DISK_FULL = "disk_full"
    IMAGE = "image"
    ENGINE = "engine"
    PROCESS_DIED = "process_died"
    KILLED = "killed"
    INPUT_MISSING = "input_missing"
    BUDGET = "budget"
    LEASE = "lease"
    INTERNAL = "internal"


NOTHING = type(None)
PLAIN_TYPES: Mapping[str, tuple[type, ...]] = {
    "str": (str,),
    "int": (int,),
    "bool": (bool,),
    "float": (int, float),
    "str | None": (str, NOTHING),
    "int | None": (int, NOTHING),
    "float | None": (int, float, NOTHING),
}


def to_json(value: Any) -> Any:
    """Turn a dataclass of this module (or a container of them) into what `json` writes."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: to_json(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, (list, tuple)):
        return [to_json(item) for item in value]
    if isinstance(value, Mapping):
        return {key: to_json(item) for key, item in value.items()}
    return value


def known_fields(cls: type[T], data: Mapping[str, Any]) -> Json:
    """Keep of `data` what `cls` has fields for: a later version may have added some.

    Raises
    ------
    TypeError
        When a plain field has a value of another type: the other side may be hostile.
    """
    if not isinstance(data, Mapping):
        raise TypeError(f"a {cls.__name__} is an object, not {type(data).__name__}")
    known: Json = {}
    for each in dataclasses.fields(cls):  # type: ignore[arg-type]
        if each.name not in data:
            continue
        value = data[each.name]
        if type(value) not in PLAIN_TYPES.get(str(each.type), (type(value),)):
            raise TypeError(f"{each.name} of a {cls.__name__} is no {each.type}")
        known[each.name] = value
    return known


def _count(value: Any, limit: int) -> int:
    """Check a number that comes from outside."""
    if type(value) is not int or not 0 <= value < limit:
        raise ValueError(f"{str(value)[:40]!r} is no number below {limit}")
    return value


@dataclass(frozen=True)
class AttemptId:
    """One execution of one fold of one run."""

    run: str
    fold: str
    attempt: int

    def __str__(self) -> str:
        """Return the form shown to people and used in logs."""
        return f"{self.run}/{self.fold}/{self.attempt}"

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> AttemptId:
        """Read the JSON form."""
        return cls(str(data["run"]), str(data["fold"]), _count(data["attempt"], MAX_ATTEMPTS))


@dataclass(frozen=True)
class Chunk:
    """A piece of stored bytes, named by their SHA-256 in hexadecimal."""

    digest: str
    size_bytes: int

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Chunk:
        """Read the JSON form."""
        return cls(str(data["digest"]), _count(data["size_bytes"], 2**63))


@dataclass(frozen=True)
class FileEntry:
    """One file of the project: its path (POSIX, relative), permission bits and chunks.

    One with a `link` is a symbolic link to a folder of the project, relative to its own.
    """

    path: str
    mode: int
    chunks: tuple[Chunk, ...]
    link: str | None = None

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> FileEntry:
        """Read the JSON form."""
        chunks = tuple(Chunk.from_json(c) for c in data["chunks"])
        link, mode = data.get("link"), _count(data["mode"], 0o10000)
        return cls(str(data["path"]), mode, chunks, str(link) if link else None)


@dataclass(frozen=True)
class FileChanges:
    """What a cell did to the project's files, as its host says.

    Attributes
    ----------
    files : tuple of FileEntry
        New and changed ones, as they are now.
    left : tuple of (str, str)
        Paths of what cannot travel, and why.
    """

    files: tuple[FileEntry, ...] = ()
    left: tuple[tuple[str, str], ...] = ()

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> FileChanges:
        """Read the JSON form."""
        files = tuple(FileEntry.from_json(each) for each in data["files"])
        for chunk in (chunk for entry in files for chunk in entry.chunks):
            if not DIGEST.fullmatch(chunk.digest) or not 0 < chunk.size_bytes <= CHUNK_BYTES:
                raise ValueError(f"{chunk} is no chunk of a file")
        return cls(files, tuple((str(path), str(reason)) for path, reason in data["left"]))


@dataclass(frozen=True)
class ValueRef:
    """A variable's manifest.

    Attributes
    ----------
    name : str
        The variable.
    codec : str
        How the joined chunks are to be read.
    identity : str
        SHA-256 of the header and the raw bytes: equal for equal values, whatever the codec.
    chunks : tuple of Chunk
        The stored bytes; joined they are one file that public tools can read.
    type_name : str
        The value's class, for people.
    size_bytes : int
        In memory, as far as known.
    shape : tuple of int or None
    dtype : str or None
    same_as : str
        The variable, perhaps itself, whose object on the other side this is; empty for a new one.
    is_member : bool
        Whether the bytes are a dict of several variables that share objects, this one among them.
    """

    name: str
    codec: str
    identity: str
    chunks: tuple[Chunk, ...]
    type_name: str = ""
    size_bytes: int = 0
    shape: tuple[int, ...] | None = None
    dtype: str | None = None
    same_as: str = ""
    is_member: bool = False

    @property
    def stored_bytes(self) -> int:
        """Size of the joined chunks."""
        return sum(chunk.size_bytes for chunk in self.chunks)

    @property
    def file_name(self) -> str:
        """Name of the file of the joined chunks: safe whatever letters the variable has."""
        return f"{self.identity}.{self.codec}"

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> ValueRef:
        """Read the JSON form."""
        fields = known_fields(cls, data)
        for key, plain in (("identity", DIGEST), ("codec", PLAIN_WORD)):
            # They name a file, and a cell may have written them.
            if not plain.fullmatch(str(data[key])):
                raise ValueError(f"{data[key]!r} is no {key} of a value")
        fields["chunks"] = tuple(Chunk.from_json(c) for c in data["chunks"])
        if fields.get("shape") is not None:
            fields["shape"] = tuple(_count(n, 2**63) for n in fields["shape"])
        return cls(**fields)


@dataclass(frozen=True)
class Limits:
    """What one attempt may use; None leaves it to the host.

    Attributes
    ----------
    cpus : float or None
    memory_bytes : int or None
    timeout_s : float or None
    gpus : int or None
        None: all for a cell of the whole host, else none.
    """

    cpus: float | None = None
    memory_bytes: int | None = None
    timeout_s: float | None = None
    gpus: int | None = None

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Limits:
        """Read the JSON form."""
        fields = known_fields(cls, data)
        for name, value in fields.items():
            smallest = ALL_GPUS if name == "gpus" else 0
            if value is not None and not smallest <= value < 2**63:
                raise ValueError(f"{value!r} cannot be a limit's {name}")
        return cls(**fields)


@dataclass(frozen=True)
class RunSpec:
    """What all folds of a run have in common, as the daemon and the runner see it.

    Attributes
    ----------
    run : str
        The run's id.
    owner : str
        Who asked.
    title : str
        The run's name, or the cell's first line.
    code : str
        The cell.
    filename : str
        What tracebacks call the cell.
    inputs : tuple of ValueRef
        Variables that every fold reads.
    outputs : tuple of str
        Names to bring home when they are bound at the end.
    compare : bool
        Whether inputs that the cell changed come home too (else their names only).
    project : Chunk or None
        The manifest of the project's files: a JSON list of `FileEntry`.
    image : str or None
        The container image; None is the host's own default.
    limits : Limits
    whole_host : bool
        Whether a fold occupies every slot.
    env : tuple of str
        Names of environment variables whose values come apart from this.
    folder : str
        Where in the project the cell runs: POSIX, relative to its root.
    collect : tuple of str
        Folders of the project whose changed files come home.
    abilities : tuple of str
        Libraries with which the notebook reads results; empty, those of the runner.
    futures : tuple of str
        Features of `__future__` that earlier cells of the notebook have imported.
    language : str
        Of the cell, where it is not Python.
    """

    run: str
    owner: str
    title: str
    code: str
    filename: str
    inputs: tuple[ValueRef, ...] = ()
    outputs: tuple[str, ...] = ()
    compare: bool = True
    project: Chunk | None = None
    image: str | None = None
    limits: Limits = field(default_factory=Limits)
    whole_host: bool = True
    env: tuple[str, ...] = ()
    folder: str = "."
    collect: tuple[str, ...] = ()
    abilities: tuple[str, ...] = ()
    futures: tuple[str, ...] = ()
    language: str = ""

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> RunSpec:
        """Read the JSON form."""
        fields = known_fields(cls, data)
        fields["inputs"] = tuple(ValueRef.from_json(v) for v in data["inputs"])
        fields["outputs"] = tuple(str(name) for name in data["outputs"])
        fields["env"] = tuple(str(name) for name in data["env"])
        fields["collect"] = tuple(str(folder) for folder in data.get("collect", ()))
        fields["abilities"] = tuple(str(name) for name in data.get("abilities", ()))
        fields["futures"] = tuple(str(name) for name in data.get("futures", ()))
        folder = str(fields.get("folder", "."))
        if folder.startswith("/") or ".." in folder.split("/"):
            raise ValueError(f"the folder {folder!r} leaves the project")
        fields["limits"] = Limits.from_json(data["limits"])
        if data.get("project"):
            fields["project"] = Chunk.from_json(data["project"])
        return cls(**fields)


@dataclass(frozen=True)
class Task:
    """One fold to execute: its place in the run and the variables that only it reads."""

    fold: str
    attempt: int
    inputs: tuple[ValueRef, ...] = ()

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Task:
        """Read the JSON form."""
        inputs = tuple(ValueRef.from_json(v) for v in data["inputs"])
        return cls(str(data["fold"]), _count(data["attempt"], MAX_ATTEMPTS), inputs)


@dataclass(frozen=True)
class AttemptEnd:
    """How an attempt ended, as its host says.

    Attributes
    ----------
    state : RunState
    cause : EndCause or None
        None when it is done.
    message : str
        What the host adds, in one sentence; empty when the cause says it all.
    exit_code, signal : int or None
        Of the cell's process.
    peak_bytes : int or None
        The most memory it held.
    """

    state: RunState
    cause: EndCause | None = None
    message: str = ""
    exit_code: int | None = None
    signal: int | None = None
    peak_bytes: int | None = None

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> AttemptEnd:
        """Read the JSON form."""
        fields = known_fields(cls, data)
        fields["state"] = RunState(data["state"])
        fields["cause"] = EndCause(data["cause"]) if data.get("cause") else None
        return cls(**fields)


@dataclass(frozen=True)
class ImageFacts:
    """What a probe found in an image.

    Attributes
    ----------
    digest : str
    python : str
        Its version.
    packages : mapping of str to str
        Versions of the distributions, by name.
    machine : str
        The processor's architecture, as `platform.machine` calls it.
    libc : str
        Version of the GNU C library; empty for another one.
    """

    digest: str
    python: str
    packages: Mapping[str, str]
    machine: str = ""
    libc: str = ""

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> ImageFacts:
        """Read the JSON form."""
        return cls(**known_fields(cls, data))


@dataclass(frozen=True)
class HostFacts:
    """What a host's daemon says of its machine.

    Attributes
    ----------
    boot_id : str
        Changes with every boot of the machine.
    engine : str
        ``docker`` or ``process``.
    cores : int
    memory_bytes : int
    slots : int
        Attempts of one core each that may run side by side.
    running, queued : int
        Attempts now on the host.
    gpus : tuple of str
        Models of the GPUs that cells may use.
    gpu_problem : str
        Why the machine's GPUs cannot be used, and the next step; else empty.
    """

    boot_id: str
    engine: str
    cores: int
    memory_bytes: int
    slots: int
    running: int = 0
    queued: int = 0
    gpus: tuple[str, ...] = ()
    gpu_problem: str = ""

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> HostFacts:
        """Read the JSON form."""
        fields = known_fields(cls, data)
        fields["gpus"] = tuple(str(name) for name in fields.get("gpus", ()))
        return cls(**fields)
