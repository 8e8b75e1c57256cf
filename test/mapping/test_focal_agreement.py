# SPDX-License-Identifier: Apache-2.0
"""focal_agreement.py: mapping frames tell whether their focal lengths are guesses."""

from __future__ import annotations

import numpy as np
import pytest

from dsac_ros.mapping.data.view import View
from dsac_ros.mapping.sfm.focal_agreement import fitted_ratios, focal_error
from dsac_ros.mapping.sfm.tracks import Tracks

GIVEN = np.array([[400.0, 0, 320], [0, 400.0, 240], [0, 0, 1]])
IMAGE, MASK = np.zeros((480, 640), np.uint8), np.ones((480, 640), bool)


def scene(true_focals):
    """Views of one cloud of points by lenses of these focal lengths, all said to be 400 px."""
    rng = np.random.default_rng(0)
    points = rng.uniform([-1.5, -1, 1.5], [1.5, 1, 4.5], (300, 3))
    views, point, view, pixels = [], [], [], []
    for index, focal in enumerate(true_focals):
        pose = np.eye(4)
        pose[:3, 3] = rng.uniform(-0.2, 0.2, 3)
        camera = points - pose[:3, 3]
        views.append(View(IMAGE, MASK, GIVEN, pose, None))
        point.append(np.arange(len(points)))
        view.append(np.full(len(points), index))
        pixels.append(
            camera[:, :2] / camera[:, 2:] * focal
            + [320, 240]
            + rng.normal(0, 0.4, (len(points), 2))
        )
    empty = np.zeros((len(points), 128), np.uint8)
    return views, Tracks(
        points,
        np.concatenate(point),
        np.concatenate(view),
        np.concatenate(pixels),
        empty,
        np.zeros(len(points)),
        np.ones(len(points)),
    )


def test_a_lens_that_is_not_the_one_given_is_found():
    assert fitted_ratios(*scene([400, 400, 460, 400, 340])) == pytest.approx(
        [1, 1, 1.15, 1, 0.85], abs=0.01
    )


@pytest.mark.parametrize(
    ('focals', 'error'),
    [([400] * 12, 0.0), ([400] * 11 + [480], 0.0), ([400] * 9 + [440, 360, 460], 0.32)],
)
def test_one_wrong_lens_is_no_guess(focals, error):
    assert focal_error(*scene(focals)) == pytest.approx(error, abs=0.03)
