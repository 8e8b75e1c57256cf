# SPDX-License-Identifier: Apache-2.0
"""repetition.py: what fits a period off confirms no pose."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from walls import MATRIX, PIXELS_PER_METRE, SIZE_WH, depth_at, pose, seen_from, texture

from dsac_ros.alignment.align import align
from dsac_ros.alignment.landmarks import Pyramid, landmarks_of
from dsac_ros.alignment.match import visible
from dsac_ros.alignment.reference_image import ReferenceImage, compressed
from dsac_ros.alignment.repetition import is_repetitive

PERIOD_PX = 50  # of the bricks, on the wall's texture
INTRINSICS = torch.from_numpy(MATRIX).float()


def bricks(unlike: float) -> np.ndarray:
    """A wall of equal bricks, a share of whose height shows something else."""
    one = texture(3)[:PERIOD_PX, :PERIOD_PX]
    wall = np.tile(one, (900 // PERIOD_PX, 1200 // PERIOD_PX))
    first = int(300 + 300 * (1 - unlike))
    wall[first:600] = texture(4)[first:600, : wall.shape[1]]
    return wall


def fits(wall: np.ndarray, moved: float = 0.0):
    """The pose that an image of the wall is aligned to from `moved` [m] off, and the landmarks."""
    grid = np.stack(np.meshgrid(np.arange(16, 310, 12), np.arange(16, 230, 12)), -1).reshape(-1, 2)
    landmarks = landmarks_of(
        [
            ReferenceImage(
                compressed(seen_from(pose(), wall)),
                MATRIX,
                np.eye(4),
                grid,
                depth_at(grid, pose()),
                np.eye(8)[0],
            )
        ]
    )
    image = Pyramid.of(seen_from(pose(0.02), wall))
    found = align(image, INTRINSICS, torch.from_numpy(pose(0.02 + moved)), landmarks)
    camera_from_map = torch.linalg.inv(found.world_from_camera).float()
    seen = landmarks.take(visible(landmarks, camera_from_map, INTRINSICS, SIZE_WH))
    return found, is_repetitive(image, seen, camera_from_map, INTRINSICS)


@pytest.mark.parametrize('moved', [0.0, PERIOD_PX / PIXELS_PER_METRE])
def test_bricks_fit_a_period_off(moved):
    found, elsewhere = fits(bricks(0.05), moved)
    assert found.verification.inlier_ratio > 0.7 and elsewhere
    assert found.world_from_camera[0, 3] == pytest.approx(0.02 + moved, abs=0.05)


def test_what_is_nowhere_the_same_fits_once():
    found, elsewhere = fits(texture(0))
    assert found.verification.inlier_ratio > 0.7 and not elsewhere


def test_bricks_beside_as_much_else_fit_once():
    found, elsewhere = fits(bricks(0.6))
    assert found.verification.inlier_ratio > 0.7 and not elsewhere


def test_long_edges_fit_one_pose_best():
    # along an edge the landmarks look less and less as they should, and never better again
    wall = cv2.GaussianBlur(texture(0), (0, 0), sigmaX=20, sigmaY=0.5).astype(float)
    wall = np.clip(128 + 60 * (wall - wall.mean()) / wall.std(), 0, 255).astype(np.uint8)
    found, elsewhere = fits(wall)
    assert found.verification.inlier_ratio > 0.7 and not elsewhere
