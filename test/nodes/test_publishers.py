# SPDX-License-Identifier: Apache-2.0
"""nodes/publishers.py: what nodes say of a map is what its header says."""

from __future__ import annotations

import math

import pytest

from dsac_ros.acceptance import AcceptanceModel
from dsac_ros.msg import MapInfo
from dsac_ros.nodes.publishers import map_info


def test_map_info_has_the_acceptance_covariance():
    model = AcceptanceModel(covariance_scale=3.0, floor_m=0.25, floor_rad=0.5)
    info = map_info({'acceptance': model.as_dict()}, 'room.map', 'map', 0)
    assert (info.covariance_scale, info.covariance_floor_m, info.covariance_floor_rad) == (
        3.0,
        0.25,
        0.5,
    )


@pytest.mark.parametrize(
    ('header', 'expected'),
    [
        ({'focal_px': 400.0, 'focal_range_px': [390.0, 510.0]}, (390.0, 510.0)),
        ({'focal_px': 400.0}, (400.0, 400.0)),
        ({}, (math.nan, math.nan)),
        ({'focal_range_px': 'wide'}, (math.nan, math.nan)),
        ({'focal_range_px': [], 'focal_px': 400.0}, (400.0, 400.0)),
    ],
)
def test_map_info_has_the_range_of_focal_lengths(header, expected):
    info = map_info(header, 'room.map', 'map', 0)
    assert (info.focal_min_px, info.focal_max_px) == pytest.approx(expected, nan_ok=True)


def test_a_full_header_fills_every_field():
    """Each field of MapInfo comes from the header, or it would have to go."""
    about = {
        'id': '0123',
        'name': 'kitchen',
        'map_frame': 'mocap',
        'created': '2026-11-30T12:00:00+00:00',
        'frames': 360,
        'bounds': {'min': [-1.0, -2.0, -3.0], 'max': [1.0, 2.0, 3.0]},
        'image_size_wh': [640, 480],
        'focal_px': 525.0,
        'encoder_id': 'abc',
        'head': {'width': 512},
        'held_out': {'median_translation_m': 0.003, 'median_rotation_deg': 0.1},
        'acceptance': AcceptanceModel().as_dict(),
    }
    info, empty = (map_info(header, path, 'map', 7) for header, path in ((about, 'a'), ({}, '')))
    for name in MapInfo.__slots__:
        name = name.lstrip('_')
        if name not in ('header', 'check_fields'):
            value = getattr(info, name)
            assert value != getattr(empty, name) and value == value, name
