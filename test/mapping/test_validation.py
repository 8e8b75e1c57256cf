# SPDX-License-Identifier: Apache-2.0
"""acceptance/validation.py: what altered frames teach a map about when not to be trusted."""

from __future__ import annotations

from types import SimpleNamespace
from typing import ClassVar

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
    shown: ClassVar[set] = set()

    def __init__(self, *_, **__):
        pass

    def trace(self, frame):
        return Trace(found(0.001, 0.8))

    def localize(self, frame):
        if frame.name.startswith('mirrored'):
            return Localization(
                Result.LOW_INLIERS, statistics=PoseStatistics(0.02, visible_inlier_ratio=0.1)
            )
        self.shown.add((frame.name, float(frame.camera.matrix[0, 0])))
        return found(self.off if frame.name.startswith('blurred') else 0.001, 0.44)


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
    done = []
    header = validation.validate(
        candidate, [posed] * 3, [posed] * 10, 'cpu', done.append, left_out=[posed] * 4
    )
    assert done == pytest.approx(np.arange(1, len(done) + 1) / len(done))
    assert Finder.shown == {('one', 18), ('covered one', 9), ('blurred one', 18), ('one', 9)}
    assert header['acceptance']['min_visible_inlier_ratio'] == pytest.approx(asked)


def test_frames_left_out_calibrate_a_small_map(monkeypatch):
    monkeypatch.setattr(validation, 'Localizer', Finder)
    monkeypatch.setattr(Finder, 'off', 0.0)
    candidate = validation.Map(
        header={'origin': [0.0] * 3},
        network=SimpleNamespace(scale=DEPTH),
        reference_images=['one'],
    )
    posed = PosedFrame(Frame(np.zeros((8, 16), np.uint8), CAMERA, name='one'), np.eye(4))
    header = validation.validate(candidate, [posed] * 3, [], 'cpu', left_out=[posed] * 4)
    assert header['held_out'] is None and header['acceptance']['is_measured']
    assert header['acceptance']['floor_m'] < 0.001 * DEPTH + 1e-6
    without = validation.validate(candidate, [posed] * 3, [], 'cpu')
    assert not without['acceptance']['is_measured']


def test_negatives_are_shown_to_the_written_map(monkeypatch):
    """It has more landmarks and points than the one that is measured, and mirrored images more."""

    class Known(Finder):
        def __init__(self, shown, *_, **__):
            self.features = len(shown.reference_images)

        def localize(self, frame):
            if not frame.name.startswith('mirrored'):
                return super().localize(frame)
            return Localization(
                Result.LOW_INLIERS, statistics=PoseStatistics(feature_inliers=self.features)
            )

    monkeypatch.setattr(validation, 'Localizer', Known)
    some, every = (
        validation.Map({'origin': [0.0] * 3}, SimpleNamespace(scale=DEPTH), reference_images=kept)
        for kept in (['one'], ['one'] * 16)
    )
    posed = PosedFrame(Frame(np.zeros((8, 16), np.uint8), CAMERA, name='one'), np.eye(4))
    header = validation.validate(some, [posed] * 3, [posed] * 10, 'cpu', written=every)
    assert header['acceptance']['min_feature_inliers'] == 20
