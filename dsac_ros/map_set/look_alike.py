# SPDX-License-Identifier: Apache-2.0
"""Look-alikes: pairs of maps of a set of which one verifies reference images of the other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from dsac_ros.map_header import COUNT, TEXT, Field

_ROWS = 4


def _is_pose(value: Any) -> bool:
    try:
        found = np.array(value, dtype=float)
    except (TypeError, ValueError):
        return False
    return found.shape == (_ROWS, _ROWS) and bool(np.isfinite(found).all())


LOOK_ALIKE: dict[str, Field] = {
    'first': TEXT,
    'second': TEXT,
    'second_from_first': Field('a pose (4, 4)', _is_pose),
    'images': COUNT,
}


@dataclass(frozen=True)
class LookAlike:
    """Two maps of which one verifies images of the other.

    first, second: their ids. second_from_first: pose (4, 4) that moves the world of the first to
    that of the second, as they look alike. images: number of reference images that tell it.
    """

    first: str
    second: str
    second_from_first: np.ndarray = field(compare=False)
    images: int

    def as_dict(self) -> dict[str, Any]:
        """Return what the header of a map set stores."""
        return {
            'first': self.first,
            'second': self.second,
            'second_from_first': self.second_from_first.tolist(),
            'images': self.images,
        }

    @classmethod
    def of_dict(cls, values: Mapping[str, Any]) -> LookAlike:
        """Invert `as_dict`."""
        pose = np.array(values['second_from_first'], dtype=float)
        return cls(values['first'], values['second'], pose, values['images'])

    def other(self, map_id: str) -> tuple[str, np.ndarray] | None:
        """Return the look-alike of a map and the pose other_from_map; None if it is of others."""
        if map_id == self.first:
            return self.second, self.second_from_first
        if map_id == self.second:
            return self.first, np.linalg.inv(self.second_from_first)
        return None
