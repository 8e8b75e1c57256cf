# SPDX-License-Identifier: Apache-2.0
"""nodes/divergence.py: how far TF is from what the camera sees."""

from __future__ import annotations

import math

import numpy as np
import pytest

from dsac_ros.nodes.conversions import matrix_from_xyz_rpy
from dsac_ros.nodes.divergence import divergence, divergence_from_tf
from dsac_ros.nodes.relocalization import NodeOutput
from dsac_ros.nodes.relocalizer_parameters import RelocalizerParameters
from dsac_ros.nodes.transforms import TransformUnavailable
from dsac_ros.types import Localization, Result

POSE = matrix_from_xyz_rpy([3.0, -1.0, 0.2, 0.1, -0.2, 2.0])
TF = matrix_from_xyz_rpy([0.0, 3.0, 0.2, 0.1, -0.2, 2.5])


class Known:
    """TF of another localizer."""

    def lookup(self, target, source, stamp):
        if (target, source, stamp) != ('map', 'base_link', 7):
            raise TransformUnavailable('unknown')
        return TF


def output(stamp=7, pose=POSE):
    return NodeOutput(Localization(Result.ACCEPTED), stamp, 'camera', map_from_base=pose)


def test_divergence_is_distance_and_angle():
    metres, radians = divergence(POSE, TF)
    assert metres == pytest.approx(5.0) and radians == pytest.approx(0.5)
    assert divergence(POSE, POSE) == pytest.approx((0.0, 0.0), abs=1e-7)


@pytest.mark.parametrize(
    ('known', 'is_own', 'base'),
    [
        (output(), False, 'base_link'),
        (output(), True, 'base_link'),
        (output(), False, ''),
        (output(stamp=8), False, 'base_link'),
        (output(pose=None), False, 'base_link'),
    ],
)
def test_unknown_unless_somebody_else_tells(known, is_own, base):
    values = RelocalizerParameters(base_frame=base)
    found = divergence_from_tf(known, Known(), values, is_own)
    tells = known.stamp == 7 and known.map_from_base is not None and not is_own and base
    assert all(map(math.isfinite, found)) == bool(tells)
    assert tells or all(map(math.isnan, found))


def test_an_unknown_pose_has_no_divergence():
    assert all(map(math.isnan, divergence(None, np.eye(4))))
    assert all(map(math.isnan, divergence(np.eye(4), None)))
