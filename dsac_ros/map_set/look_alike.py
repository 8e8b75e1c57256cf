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
    'compared': COUNT,
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
    compared: int

    @property
    def is_twin(self) -> bool:
        """True if most images tell it: what one map shows, the other one shows as well."""
        return 2 * self.images > self.compared

    def as_dict(self) -> dict[str, Any]:
        """Return what the header of a map set stores."""
        return {
            'first': self.first,
            'second': self.second,
            'second_from_first': self.second_from_first.tolist(),
            'images': self.images,
            'compared': self.compared,
        }

    @classmethod
    def of_dict(cls, values: Mapping[str, Any]) -> LookAlike:
        """Invert `as_dict`."""
        pose = np.array(values['second_from_first'], dtype=float)
        return cls(values['first'], values['second'], pose, values['images'], values['compared'])

    def seen_from(self, map_id: str) -> LookAlike | None:
        """Return this with a map as the first; None if it is of others."""
        if map_id == self.first:
            return self
        if map_id == self.second:
            inverse = np.linalg.inv(self.second_from_first)
            return LookAlike(self.second, self.first, inverse, self.images, self.compared)
        return None
