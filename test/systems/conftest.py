# SPDX-License-Identifier: Apache-2.0
"""A wall seen from many places, for systems to learn."""

from __future__ import annotations

import numpy as np
import pytest
from walls import MATRIX, SIZE_WH, pose, seen_from, texture

from dsac_ros.types import Camera, Frame, PosedFrame


def posed(x, y, turn, name=''):
    """Return the frame of a camera at (x, y) [m], turned by so many degrees."""
    place = pose(x, y, 0.2 * y, turn)
    frame = Frame(seen_from(place, texture(0)), Camera(SIZE_WH, MATRIX), name=name)
    return PosedFrame(frame, place)


@pytest.fixture(scope='session')
def wall_frames():
    """Forty frames along a zigzag."""
    along = np.linspace(-0.8, 0.8, 40)
    return [
        posed(x, 0.3 * np.sin(9 * x), 10 * np.cos(5 * x), str(index))
        for index, x in enumerate(along)
    ]


@pytest.fixture(scope='session')
def wall_queries():
    """Five frames between them."""
    return [posed(x, 0.1 - 0.2 * x, 6 * x, f'query {x}') for x in (-0.6, -0.3, 0.0, 0.3, 0.6)]
