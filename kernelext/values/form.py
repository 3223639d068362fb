"""A variable taken apart: what names it, and how it is stored."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from kernelext.values.stored import Buffer


@dataclass(frozen=True)
class Stored:
    """One joined file.

    Attributes
    ----------
    codec : str
    buffers : tuple of bytes or memoryview
        The file's bytes, in order.
    lacking : tuple of str
        Libraries of the other side with which it would have been stored better.
    digests : list of str
        Those of the chunks of the form's only raw part, where storing has hashed it; else empty.
    """

    codec: str
    buffers: tuple[Buffer, ...]
    lacking: tuple[str, ...] = ()
    digests: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Form:
    """What a value is made of.

    Attributes
    ----------
    header, raw : str, tuple of bytes or memoryview
        Together they are the value: equal for equal values, whatever the codec.
    store : callable
        Takes the other side's abilities, returns the `Stored`.
    needs : tuple of str
        Libraries without which the other side cannot hold the value at all.
    size_bytes : int
        In memory, as far as known.
    shape : tuple of int or None
    dtype : str or None
    hashes : bool
        Whether storing may hash the raw part as it goes.
    holds_code : bool
        Whether it is a pickle with byte code, which one Python minor version alone runs.
    libraries : frozenset of str
        Modules, the outermost, whose objects a pickle holds.
    """

    header: str
    raw: tuple[Buffer, ...]
    store: Callable[[Collection[str]], Stored]
    needs: tuple[str, ...] = ()
    size_bytes: int = 0
    shape: tuple[int, ...] | None = None
    dtype: str | None = None
    hashes: bool = False
    holds_code: bool = False
    libraries: frozenset[str] = frozenset()


class NotExact(Exception):
    """This form would not give the same value back: another one has to take it."""
