"""How masked arrays go into a pickle: numpy's own way leaves the hard mask behind."""

from __future__ import annotations

import sys
from typing import Any


def is_masked(obj: object) -> bool:
    """Whether an object is a masked array, and of no class that only builds on them."""
    ma = sys.modules.get("numpy.ma")
    return ma is not None and type(obj) is ma.MaskedArray


def reduce_masked(obj: Any) -> Any:
    """Reduce to data, mask and fill value, of which the arrays may go out of band."""
    import numpy as np

    mask = None if obj._mask is np.ma.nomask else obj._mask
    state = {key: item for key, item in vars(obj).items() if key not in _OWN}
    return _masked, (obj.data, mask, obj._fill_value, bool(obj.hardmask), state)


_OWN = frozenset({"_mask", "_fill_value", "_hardmask", "_sharedmask", "_isfield", "_baseclass"})


def _masked(data: Any, mask: Any, fill_value: Any, is_hard: bool, state: dict[str, Any]) -> Any:
    import numpy as np

    made: Any = np.ma.MaskedArray(data, np.ma.nomask if mask is None else mask)
    made._fill_value = fill_value
    made._hardmask = is_hard
    vars(made).update(state)
    return made
