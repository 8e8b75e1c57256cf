# SPDX-License-Identifier: Apache-2.0
"""Cache of what several maps compute alike of one frame, such as its features."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import TypeVar, cast

T = TypeVar('T')


class FrameCache:
    """Results of one frame by what determines them; each is computed once. Not thread-safe."""

    def __init__(self) -> None:
        self._results: dict[Hashable, object] = {}

    def get(self, key: Hashable, compute: Callable[[], T]) -> T:
        """Return the result of this key; compute it where it is asked for first."""
        if key not in self._results:
            self._results[key] = compute()
        return cast(T, self._results[key])
