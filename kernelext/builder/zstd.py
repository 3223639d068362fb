"""Unpacks Zstandard by the image's own library: Python has it from 3.14 on.

Every Debian, Ubuntu and Fedora has the library, as their package managers need it.
"""

from __future__ import annotations

from typing import Any, BinaryIO

LIBRARY = "libzstd.so.1"
READ_BYTES = 1024 * 1024


def unpack(source: BinaryIO, target: BinaryIO) -> None:
    """Write what is packed in a file.

    Parameters
    ----------
    source, target : BinaryIO

    Raises
    ------
    ValueError
        The file is damaged, or the image has no such library.
    """
    try:
        import ctypes  # which not every Python has, and wheels do without
    except ImportError as exc:
        raise ValueError(f"the image's Python has no ctypes to unpack it with ({exc})") from exc
    library = _load(ctypes)
    # Of the library's buffers (zstd.h): where, how large, and how far it is used.
    buffer = ctypes.c_size_t * 3
    room = ctypes.create_string_buffer(READ_BYTES)
    stream = library.ZSTD_createDStream()
    hint = 1  # nothing is not a whole frame
    try:
        while data := source.read(READ_BYTES):
            held = ctypes.create_string_buffer(data, len(data))
            packed = buffer(ctypes.addressof(held), len(data), 0)
            is_full = False
            while packed[2] < packed[1] or (is_full and hint):
                plain = buffer(ctypes.addressof(room), READ_BYTES, 0)
                hint = library.ZSTD_decompressStream(stream, plain, packed)
                if library.ZSTD_isError(hint):
                    raise ValueError("its Zstandard data are damaged")
                target.write(memoryview(room)[: plain[2]])
                is_full = plain[2] == plain[1]
    finally:
        library.ZSTD_freeDStream(stream)
    if hint:
        raise ValueError("its Zstandard data end too early")


def _load(ctypes: Any) -> Any:
    try:
        library = ctypes.CDLL(LIBRARY)
    except OSError as exc:
        raise ValueError(
            f"the image has no {LIBRARY}, which unpacks it; name another base, such as"
            " python:3.11-slim"
        ) from exc
    library.ZSTD_createDStream.restype = ctypes.c_void_p
    library.ZSTD_freeDStream.argtypes = [ctypes.c_void_p]
    library.ZSTD_decompressStream.argtypes = [ctypes.c_void_p] * 3
    library.ZSTD_decompressStream.restype = ctypes.c_size_t
    library.ZSTD_isError.argtypes = [ctypes.c_size_t]
    return library
