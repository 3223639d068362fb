"""Gives an object of the notebook the content that a cell gave it elsewhere; binds no name."""

from __future__ import annotations

import gc
import sys
from collections import Counter, OrderedDict, defaultdict, deque
from typing import Any

from kernelext.magics.inplace_objects import leads_to, refill_attributes
from kernelext.values import holds_itself


def refill(old: Any, new: Any) -> bool:
    """Change an object in place, so that whatever holds it sees the change.

    Parameters
    ----------
    old : object
        The notebook's.
    new : object
        What it has become.

    Returns
    -------
    bool
        False for what cannot be changed so: then the names have to be bound to `new`.
    """
    kind = type(old)
    if old is new:
        return True
    if kind is not type(new) or holds_itself(new):
        return False
    if kind in (list, bytearray):
        old[:] = new
    elif kind in (dict, set):
        old.clear()
        old.update(new)
    elif kind is deque and old.maxlen == new.maxlen:
        old.clear()
        old.extend(new)
    elif kind in (Counter, OrderedDict, defaultdict):
        return _refill_special_dict(old, new)
    else:
        return _refill_array(old, new) or refill_attributes(old, new)
    return True


def _refill_special_dict(old: Any, new: Any) -> bool:
    if leads_to(gc.get_referents(new), (new,)):
        return False
    if type(old) is defaultdict:
        old.default_factory = new.default_factory
    else:
        vars(old).clear()
        vars(old).update(vars(new))
    old.clear()
    old.update(new)
    return True


def _refill_array(old: Any, new: Any) -> bool:
    """Copy an array's elements, which its views share."""
    numpy = sys.modules.get("numpy")
    if numpy is None or type(old) is not numpy.ndarray:
        return False
    if old.shape != new.shape or old.dtype != new.dtype or not old.flags.writeable:
        return False
    old[...] = new
    return True
