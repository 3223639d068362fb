"""Variables to bytes and back, on both sides; moves no bytes and loads no pickle unasked."""

from kernelext.values.abilities import abilities_of, own_abilities
from kernelext.values.decode import decode
from kernelext.values.encode import Encoded, encode, identity
from kernelext.values.immutable import is_immutable

__all__ = [
    "Encoded",
    "abilities_of",
    "decode",
    "encode",
    "identity",
    "is_immutable",
    "own_abilities",
]
