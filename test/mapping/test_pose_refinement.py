# SPDX-License-Identifier: Apache-2.0
"""sfm/pose_refinement.py: the drift of an odometry is taken out before anything is learned."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from walls import DISTANCE, MATRIX, SIZE_WH, pose, seen_from, texture

from dsac_ros.errors import MappingError
from dsac_ros.geometry import se3
from dsac_ros.mapping.data.dataset import Dataset
from dsac_ros.mapping.data.view import View
from dsac_ros.mapping.sfm import pose_refinement
from dsac_ros.mapping.sfm.pose_refinement import refined

WALL = texture(0)
PLACES = [
    pose(x, 0.1 * (k % 3 - 1), 0.2 * (k % 2), 4.0 * (k % 3 - 1))
    for k, x in enumerate(np.linspace(-0.8, 0.8, 12))
]


def dataset_of(noise, wall=WALL):
    """Views of a wall whose poses are off by noise [scene units, rad]; every fourth held out."""
    rng = np.random.default_rng(1)
    views = []
    for place in PLACES:
        scene = place.copy()
        scene[:3, 3] /= DISTANCE
        twist = torch.from_numpy(
            np.concatenate([rng.normal(0, noise, 3), rng.normal(0, noise / 2, 3)])
        )
        views.append(
            View(
                seen_from(place, wall),
                np.ones(SIZE_WH[::-1], bool),
                MATRIX,
                scene @ se3.exp(twist).numpy(),
                None,
            )
        )
    return Dataset(
        [v for k, v in enumerate(views) if k % 4],
        views[::4],
        np.zeros(3),
        DISTANCE,
        ([0.0] * 3, [0.0] * 3),
    )


def errors(data):
    """Degrees between neighbouring views beyond what is true, which no choice of frame changes."""
    true = [p for k, p in enumerate(PLACES) if k % 4] + PLACES[::4]
    found = [view.scene_from_camera for view in (*data.views, *data.held_out)]
    turns = [
        (a.T @ b).T @ c.T @ d
        for a, b, c, d in zip(
            *([p[:3, :3] for p in poses] for poses in (found, found[1:], true, true[1:]))
        )
    ]
    return np.degrees(se3.rotation_angle(torch.from_numpy(np.stack(turns))).numpy())


def test_refinement_removes_pose_noise_of_all_views():
    """Learned and held-out views are refined alike."""
    given = dataset_of(0.01)
    found = refined(given)
    assert np.median(errors(given)) > 0.4
    assert errors(found).max() < 0.15
    assert len(found.views) == len(given.views) and len(found.held_out) == len(given.held_out)
    assert all(a.image is b.image for a, b in zip(found.views, given.views))


def test_views_between_solved_ones_move_with_them(monkeypatch):
    monkeypatch.setattr(pose_refinement, 'MOST', 6)
    given = dataset_of(0.01)
    found = refined(given)
    moved = [
        a.scene_from_camera @ np.linalg.inv(b.scene_from_camera)
        for a, b in zip(found.views, given.views)
    ]
    for one, next_one in zip(moved[::2], moved[1::2]):
        np.testing.assert_allclose(one, next_one, atol=1e-12)
    assert not np.allclose(moved[0], moved[2], atol=1e-4)


def test_images_without_common_points_are_an_error():
    given = dataset_of(0.0)
    strangers = [
        replace(view, image=texture(k)[: SIZE_WH[1], : SIZE_WH[0]])
        for k, view in enumerate(given.views, 1)
    ]
    with pytest.raises(MappingError, match=r'seen by three images .* at least 50 .* leave'):
        refined(replace(given, views=strangers, held_out=[]))
