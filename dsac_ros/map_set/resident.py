# SPDX-License-Identifier: Apache-2.0
"""Memory of a loaded map: its tensors and arrays, wherever it holds them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
from torch import Tensor
from torch.nn import Module

_LEAVES = (str, bytes, int, float, bool, type(None))


def resident_bytes(owner: object, shared: Iterable[object] = ()) -> int:
    """Return the bytes of all tensors and arrays that an object holds, directly or through others.

    Args:
        owner: such as a localizer.
        shared: objects that are not followed, since others hold them, too.
    """
    met, storages = {id(one) for one in shared}, set()
    total, waiting = 0, [owner]
    while waiting:
        one = waiting.pop()
        if isinstance(one, _LEAVES) or id(one) in met:
            continue
        met.add(id(one))
        if isinstance(one, Tensor):
            storage = one.untyped_storage()
            if storage.data_ptr() not in storages:
                storages.add(storage.data_ptr())
                total += storage.nbytes()
        elif isinstance(one, np.ndarray):
            total += one.nbytes if one.base is None else 0
            waiting.append(one.base)
        elif isinstance(one, Mapping):
            waiting.extend(one.values())
        elif isinstance(one, (list, tuple, set, frozenset)):
            waiting.extend(one)
        elif hasattr(one, '__dict__') and (isinstance(one, Module) or not callable(one)):
            waiting.extend(vars(one).values())
    return total
