# SPDX-License-Identifier: Apache-2.0
"""Whatever the unit of the poses is, what is said of a map is the same, in that unit."""

from __future__ import annotations

from dataclasses import fields
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from dsac_ros.mapping.acceptance import validation
from dsac_ros.mapping.data.dataset import Dataset
from dsac_ros.mapping.data.view import View
from dsac_ros.mapping.header import keyframes
from dsac_ros.ransac.estimator import PoseEstimate
from dsac_ros.trace import Trace
from dsac_ros.types import Camera, Frame, Localization, PosedFrame, PoseStatistics, Result

CAMERA = Camera((8, 8), np.array([[8.0, 0, 3.5], [0, 8, 3.5], [0, 0, 1]]))
DEPTH = 2.0  # of the scene, in its first unit


class Finder:
    """Is a centimetre off where a metre is `unit`; finds nothing in a mirrored frame."""

    unit = 1.0

    def __init__(self, *_: object, **__: object) -> None:
        self.rng = np.random.default_rng(0)

    def trace(self, frame: Frame) -> Trace:
        found = self.localize(frame)
        pose, covariance = (
            torch.from_numpy(some)[None] for some in (found.world_from_camera, found.covariance)
        )
        rest = {field.name: None for field in fields(PoseEstimate)}
        return Trace(
            found,
            None,
            PoseEstimate(
                **{
                    **rest,
                    'found': torch.tensor([True]),
                    'world_from_camera': pose,
                    'covariance': covariance,
                }
            ),
        )

    def localize(self, frame: Frame) -> Localization:
        if frame.name.startswith('mirrored'):
            return Localization(
                Result.LOW_INLIERS, statistics=PoseStatistics(0.02, 5, visible_inlier_ratio=0.24)
            )
        pose = np.eye(4)
        pose[:3, 3] = self.rng.normal(0, 0.01 * self.unit, 3)
        raw = np.diag([(0.002 * self.unit) ** 2] * 3 + [1e-6] * 3)
        return Localization(
            Result.ACCEPTED,
            world_from_camera=pose,
            covariance=raw,
            statistics=PoseStatistics(0.6, 900, 0.9, 1.0, 0.8),
        )


def acceptance(monkeypatch: pytest.MonkeyPatch, unit: float, frames: int) -> dict[str, float]:
    monkeypatch.setattr(validation, 'Localizer', Finder)
    monkeypatch.setattr(Finder, 'unit', unit)
    candidate = validation.Map(
        header={'origin': [0.0] * 3},
        network=SimpleNamespace(scale=DEPTH * unit),
        reference_images=['one'],
    )
    posed = PosedFrame(Frame(np.zeros((8, 8), np.uint8), CAMERA), np.eye(4))
    return validation.validate(candidate, [posed] * 3, [posed] * frames, 'cpu')['acceptance']


@pytest.mark.parametrize('frames', [0, 20])
@pytest.mark.parametrize('unit', [1000.0, 0.01])
def test_an_acceptance_model(monkeypatch, unit, frames):
    metric, other = (acceptance(monkeypatch, one, frames) for one in (1.0, unit))
    for floor in ('floor_m', 'alone_floor_m'):
        assert other.pop(floor) == pytest.approx(unit * metric.pop(floor), rel=1e-6)
    assert other == pytest.approx(metric, rel=1e-6)
    # from the ratio of the negatives
    assert metric['min_visible_inlier_ratio'] == pytest.approx(0.36)


@pytest.mark.parametrize('unit', [1000.0, 0.001])
def test_the_keyframes(unit):
    poses = [np.eye(4) for _ in range(5)]
    for index, pose in enumerate(poses):
        pose[:3, 3] = 0.123 * index
    views = [
        View(np.zeros((8, 8), np.uint8), np.ones((8, 8), bool), CAMERA.matrix, pose, None)
        for pose in poses
    ]
    rows = np.array(keyframes(Dataset(views, [], np.zeros(3), DEPTH * unit, ([], []))))
    np.testing.assert_allclose(
        rows[:, :3] / unit, [[DEPTH * p[0, 3]] * 3 for p in poses], atol=1e-3 * DEPTH
    )
    np.testing.assert_allclose(rows[:, 3:], [[0, 1, 0, 0, 0, 1]] * 5)
