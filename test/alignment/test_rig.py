# SPDX-License-Identifier: Apache-2.0
"""One pose for several images of a robot: matches that decide nothing alone, and do together."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dsac_ros.alignment.matched_points import matched_points
from dsac_ros.alignment.rig import RigView, estimate_rig_pose
from dsac_ros.geometry import se3

SIZE = (640, 480)
MATRIX = torch.tensor([[500.0, 0, 319.5], [0, 500.0, 239.5], [0, 0, 1]])


def motion(x: float, yaw_deg: float, z: float = 0.0) -> torch.Tensor:
    yaw = np.radians(yaw_deg)
    return se3.exp(torch.tensor([x, 0.0, z, 0.0, yaw, 0.0], dtype=torch.float64))


class Walls:
    """Points around a rig of three cameras that look into different directions."""

    def __init__(self, seed: int = 0) -> None:
        self.generator = torch.Generator().manual_seed(seed)
        self.truth = motion(1.5, 40.0, 0.7)
        self.rig_from_cameras = [motion(0.0, 0.0), motion(-0.3, -12.0), motion(-0.6, -25.0)]

    def view(self, index: int, right: int, wrong: int, noise_px: float = 1.0) -> RigView:
        """Matches of one camera: so many right ones, and wrong ones, in the left quarter."""
        count = right + wrong
        uv = torch.rand(count, 2, generator=self.generator, dtype=torch.float64)
        pixels = uv * torch.tensor([SIZE[0] / 4, SIZE[1]])
        depth = 2 + 3 * torch.rand(count, generator=self.generator, dtype=torch.float64)
        ones = torch.ones(count, 1, dtype=torch.float64)
        rays = torch.cat([pixels, ones], -1) @ torch.linalg.inv(MATRIX.double()).T
        points = se3.transform(self.truth @ self.rig_from_cameras[index], rays * depth[:, None])
        points[right:] = 8 * torch.rand(wrong, 3, generator=self.generator, dtype=torch.float64)
        noise = torch.randn(count, 2, generator=self.generator, dtype=torch.float64)
        matches = matched_points([points.float()], [(pixels + noise_px * noise).float()], MATRIX)
        return RigView(matches, SIZE, self.rig_from_cameras[index])


def errors(found: torch.Tensor, truth: torch.Tensor) -> tuple[float, float]:
    difference = se3.log(se3.inverse(truth) @ found.double())
    return float(difference[:3].norm()), float(difference[3:].norm())


@pytest.mark.parametrize('seed', range(5))
def test_three_weak_views_have_one_pose(seed):
    walls = Walls(seed)
    views = [walls.view(i, right=8, wrong=30) for i in range(3)]
    found = estimate_rig_pose(views)
    distance, angle = errors(found.world_from_rig, walls.truth)
    assert distance < 0.1 and angle < np.radians(2.0)
    assert found.inlier_count >= 12 and found.supporting_views == 3


@pytest.mark.parametrize('seed', range(5))
def test_wrong_matches_support_no_pose(seed):
    walls = Walls(seed)
    found = estimate_rig_pose([walls.view(i, right=0, wrong=80) for i in range(3)])
    assert found.inlier_count < 12
    assert found.supporting_views < 2


def test_same_wrong_view_counts_once():
    walls = Walls(1)
    wrong = walls.view(0, right=10, wrong=0)
    copies = [RigView(wrong.matches, SIZE, motion(0.001 * i, 0.0)) for i in range(3)]
    found = estimate_rig_pose(copies)
    assert found.inlier_count <= 10
    assert found.supporting_views == 1


def test_odometry_noise_is_tolerated():
    walls = Walls(2)
    views = [walls.view(i, right=12, wrong=40) for i in range(3)]
    noisy = [
        RigView(v.matches, v.size_wh, v.rig_from_camera @ motion(0.006 * i, 0.2 * i))
        for i, v in enumerate(views)
    ]
    found = estimate_rig_pose(noisy)
    assert errors(found.world_from_rig, walls.truth)[0] < 0.1
    assert found.inlier_count >= 20


def test_covariance_is_that_of_the_errors():
    squared = []
    for seed in range(20):
        walls = Walls(seed)
        views = [walls.view(i, right=15, wrong=10, noise_px=3.0) for i in range(3)]
        found = estimate_rig_pose(views)
        offset = found.world_from_rig[:3, 3].double() - walls.truth[:3, 3]
        squared.append(float(offset @ torch.linalg.solve(found.covariance[:3, :3], offset)))
    assert 0.8 < np.mean(squared) < 9.0  # 3 on average where it is exact


def test_without_matches_there_is_no_pose():
    walls = Walls()
    assert estimate_rig_pose([walls.view(i, right=2, wrong=0) for i in range(3)]) is None


@pytest.mark.parametrize('empty', [1, 3])
def test_views_may_have_no_match_at_all(empty):
    """A map that knows nothing of the place, and none of the retrieved images matches."""
    walls = Walls(3)
    views = [walls.view(i, right=0 if i < empty else 12, wrong=0) for i in range(3)]
    found = estimate_rig_pose(views)
    if empty == 3:
        assert found is None
    else:
        assert errors(found.world_from_rig, walls.truth)[0] < 0.1
        assert found.supporting_views == 2
