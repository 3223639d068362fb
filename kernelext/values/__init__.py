"""Variables to bytes and back, on both sides; moves no bytes and loads no pickle unasked."""

from kernelext.values.abilities import abilities_of, own_abilities
from kernelext.values.decode import decode
from kernelext.values.elements import elements
from kernelext.values.encode import Encoded, encode, identity
from kernelext.values.immutable import is_immutable
from kernelext.values.sharing import holds_itself
from kernelext.values.together import encode_group, in_groups, same_object

__all__ = [
    "Encoded",
    "abilities_of",
    "decode",
    "elements",
    "encode",
    "encode_group",
    "holds_itself",
    "identity",
    "in_groups",
    "is_immutable",
    "own_abilities",
    "same_object",
]
