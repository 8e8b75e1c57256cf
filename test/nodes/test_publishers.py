# SPDX-License-Identifier: Apache-2.0
"""nodes/publishers.py: what nodes say of a map is what its header says."""

from __future__ import annotations

from dsac_ros.acceptance import AcceptanceModel
from dsac_ros.nodes.publishers import map_info


def test_map_info_has_the_acceptance_covariance():
    model = AcceptanceModel(covariance_scale=3.0, floor_m=0.25, floor_rad=0.5)
    info = map_info({'acceptance': model.as_dict()}, 'room.map', 'map', 0)
    assert (info.covariance_scale, info.covariance_floor_m, info.covariance_floor_rad) == (
        3.0,
        0.25,
        0.5,
    )
