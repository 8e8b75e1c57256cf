# SPDX-License-Identifier: Apache-2.0
"""Map sets without maps, for tests that read no map."""

from __future__ import annotations

import numpy as np

from dsac_ros.map_set.file import MapEntry, MapSet


def entry(name: str, frame: str = 'map', code: int = 0, **fields) -> MapEntry:
    """Return an entry with two global descriptors along the axis `code` of eight."""
    codes = np.zeros((2, 8), np.float32)
    codes[:, code] = 1.0
    codes[1, 7] = 0.1
    values = {'map_id': f'id of {name}', 'depth': 2.0, 'codes': codes, **fields}
    return MapEntry(name, f'maps/{name}.dsac', frame=frame, **values)


def map_set(*entries: MapEntry) -> MapSet:
    """Return a set of these maps."""
    return MapSet('house', 'an encoder', 250.0, 480, entries)
