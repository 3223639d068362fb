"""Variables to bytes and back, on both sides; moves no bytes and loads no pickle unasked."""

from kernelext.values.decode import decode
from kernelext.values.encode import Encoded, encode, identity
from kernelext.values.immutable import is_immutable

__all__ = ["Encoded", "decode", "encode", "identity", "is_immutable"]
