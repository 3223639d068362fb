"""Gives objects that hold each other the content that a cell gave them; binds no name."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from kernelext.magics.inplace import refill
from kernelext.values import is_immutable


def refill_together(olds: Mapping[str, Any], news: dict[str, Any]) -> bool:
    """Change objects in place, and let what was made with them hold them.

    Only where everything in them is plain: lists, dicts, arrays of numbers and what cannot
    change. Otherwise nothing is changed.

    Parameters
    ----------
    olds : mapping of str to object
        The notebook's, by name.
    news : dict of str to object
        What they have become, and what else was made with them. Afterwards it has the
        notebook's own objects under their names.

    Returns
    -------
    bool
    """
    kept = {id(news[name]): (olds[name], news[name]) for name in olds}
    one_to_one = len(kept) == len({id(old) for old, _ in kept.values()})
    if not one_to_one or any(kept[id(news[name])][0] is not olds[name] for name in olds):
        return False
    if not all(_can_take(old, new) for old, new in kept.values()):
        return False
    held = _containers(news)
    if held is None:
        return False
    for each in held:
        pairs = each.items() if type(each) is dict else enumerate(each)
        for at, part in list(pairs):
            if id(part) in kept:
                each[at] = kept[id(part)][0]
    for old, new in kept.values():
        if type(old) is list:
            old[:] = new
        elif type(old) is dict:
            old.clear()
            old.update(new)
        else:
            refill(old, new)
    return True


def _can_take(old: Any, new: Any) -> bool:
    if type(old) is not type(new):
        return False
    if not _is_array(old):
        return type(old) in (list, dict)
    is_same = old.shape == new.shape and old.dtype == new.dtype
    return bool(is_same and old.flags.writeable)


def _containers(news: dict[str, Any]) -> list[Any] | None:
    """List what holds something, `news` itself first; None where something is not plain."""
    waiting: list[Any] = [news]
    seen = {id(news)}
    for each in waiting:
        if type(each) is dict and not all(map(is_immutable, each)):
            return None
        for part in each.values() if type(each) is dict else each:
            if id(part) in seen or is_immutable(part) or _is_array(part):
                continue
            if type(part) not in (list, dict):
                return None
            seen.add(id(part))
            waiting.append(part)
    return waiting


def _is_array(value: Any) -> bool:
    """Whether a value is an array that holds no objects."""
    numpy = sys.modules.get("numpy")
    return numpy is not None and type(value) is numpy.ndarray and not value.dtype.hasobject
