# SPDX-License-Identifier: Apache-2.0
"""Map sets without maps, for tests that read no map."""

from __future__ import annotations

import numpy as np

from dsac_ros.map_set.feature_index import Signatures
from dsac_ros.map_set.file import MapEntry, MapSet
from dsac_ros.map_set.look_alike import LookAlike


def entry(name: str, frame: str = 'map', code: int = 0, **fields) -> MapEntry:
    """Return an entry with two place codes along the axis `code` of eight, and three points."""
    codes = np.zeros((2, 8), np.int8)
    codes[:, code] = 120
    codes[1, 7] = 12
    points = Signatures(np.full(3, code, np.uint8), np.arange(3, dtype='<u8'))
    values = {'map_id': f'id of {name}', 'depth': 2.0, 'codes': codes, 'points': points, **fields}
    return MapEntry(name, f'maps/{name}.dsac', frame=frame, **values)


def map_set(*entries: MapEntry, look_alikes: tuple[LookAlike, ...] = ()) -> MapSet:
    """Return a set of these maps."""
    return MapSet('house', 'an encoder', 'a vocabulary', 250.0, 480, entries, look_alikes)


def look_alike(first: str, second: str, x: float = 1.0) -> LookAlike:
    """Return two maps that look alike, the second of them x metres aside."""
    pose = np.eye(4)
    pose[0, 3] = x
    return LookAlike(first, second, pose, 9, 16)
