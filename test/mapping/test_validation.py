# SPDX-License-Identifier: Apache-2.0
"""acceptance/validation.py: what altered frames teach a map about when not to be trusted."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from dsac_ros.mapping.acceptance import validation
from dsac_ros.trace import Trace
from dsac_ros.types import Camera, Frame, Localization, PosedFrame, PoseStatistics, Result

CAMERA = Camera((16, 8), np.array([[9.0, 0, 7.5], [0, 9.0, 3.5], [0, 0, 1]]))
DEPTH = 2.0


def found(metres, ratio):
    pose = np.eye(4)
    pose[0, 3] = metres
    return Localization(
        Result.ACCEPTED,
        world_from_camera=pose,
        covariance=1e-6 * np.eye(6),
        statistics=PoseStatistics(0.6, 900, 0.9, 1.0, ratio),
    )


class Finder:
    """Right where frames are intact; blurred ones end `off` metres away."""

    off = 0.0

    def __init__(self, *_, **__):
        pass

    def trace(self, frame):
        return Trace(found(0.001, 0.8))

    def localize(self, frame):
        if frame.name.startswith('mirrored'):
            return Localization(
                Result.LOW_INLIERS, statistics=PoseStatistics(0.02, visible_inlier_ratio=0.1)
            )
        assert frame.name.startswith('blurred') and frame.camera.matrix[0, 0] == 18.0
        return found(self.off, 0.44)


@pytest.mark.parametrize(('off', 'asked'), [(0.05, 0.35), (1.0, 0.66)])
def test_blurred_frames_set_the_landmark_threshold(monkeypatch, off, asked):
    """Landmarks decide alone where the poses of blurred frames are right."""
    monkeypatch.setattr(validation, 'Localizer', Finder)
    monkeypatch.setattr(Finder, 'off', off)
    candidate = validation.Map(
        header={'origin': [0.0] * 3},
        network=SimpleNamespace(scale=DEPTH),
        reference_images=['one'],
    )
    posed = PosedFrame(Frame(np.zeros((8, 16), np.uint8), CAMERA, name='one'), np.eye(4))
    header = validation.validate(candidate, [posed] * 3, [posed] * 10, 'cpu')
    assert header['acceptance']['min_visible_inlier_ratio'] == pytest.approx(asked)
