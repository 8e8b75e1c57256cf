# SPDX-License-Identifier: Apache-2.0
"""Views of known poses are matched along epipolar lines, as an exhaustive search would do it."""

from __future__ import annotations

import numpy as np
import pytest

from dsac_ros.alignment.features import RATIO, quantised, unit
from dsac_ros.mapping.sfm import guided_matching
from dsac_ros.mapping.sfm.guided_matching import LEAST_SECOND, PosedFeatures, guided_matches

FOCAL = 500.0
FORWARD, SIDEWAYS = np.array([0.05, 0.0, 0.8]), np.array([0.7, 0.1, 0.0])


def seen(
    points: np.ndarray,
    descriptors: np.ndarray,
    centre: np.ndarray,
    noise: np.ndarray | float = 0.0,
) -> PosedFeatures:
    """Project points into a camera at `centre`, with rays off by noise [rad]."""
    rays = points - centre
    rays = rays / np.linalg.norm(rays, axis=1, keepdims=True) + noise
    return PosedFeatures(
        rays / np.linalg.norm(rays, axis=1, keepdims=True), descriptors, centre, FOCAL
    )


def two_views(baseline: np.ndarray, count: int = 300) -> tuple[PosedFeatures, PosedFeatures]:
    """A view of points all about, and one of three quarters of them, in another order."""
    rng = np.random.default_rng(0)
    points = rng.normal(size=(count, 3)) * [2, 2, 1] + [0, 0, 4]
    vectors = np.abs(rng.normal(size=(count, 128)))
    order = rng.permutation(count)[: 3 * count // 4]
    noisy = np.abs(vectors + 0.1 * rng.normal(size=vectors.shape))[order]
    return (
        seen(points, quantised(normalised(vectors)), np.zeros(3)),
        seen(
            points[order],
            quantised(normalised(noisy)),
            baseline,
            rng.normal(size=(len(order), 3)) / FOCAL,
        ),
    )


def normalised(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def exhaustive(a: PosedFeatures, b: PosedFeatures, within_px: float) -> set[tuple[int, int]]:
    """The same matches by comparing all with all."""
    baseline = b.centre - a.centre
    normals = np.cross(baseline, a.rays)
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    possible = np.abs(normals @ b.rays.T) < within_px / FOCAL
    similarity = np.where(possible, unit(a.descriptors) @ unit(b.descriptors).T, -1.0)
    found = set()
    for row, values in enumerate(similarity):
        best = int(values.argmax())
        second = max(LEAST_SECOND, np.delete(values, best).max())
        if similarity[:, best].argmax() == row and 1 - values[best] < RATIO**2 * (1 - second):
            found.add((row, best))
    return found


@pytest.mark.parametrize('baseline', [SIDEWAYS, FORWARD], ids=['sideways', 'forward'])
def test_matches_are_those_of_an_exhaustive_search(baseline):
    a, b = two_views(baseline)
    found = set(map(tuple, guided_matches(a, b, 3.0).tolist()))
    expected = exhaustive(a, b, 3.0)
    # lines are rays from the epipole here: what lies behind it is no candidate
    assert len(expected) > 150 and len(found ^ expected) <= 0.02 * len(expected)


def test_a_match_off_its_epipolar_line_is_none():
    a, b = two_views(SIDEWAYS)
    lifted = b.rays + np.array([0.0, 12.0 / FOCAL, 0.0])
    off = PosedFeatures(normalised(lifted), b.descriptors, b.centre, FOCAL)
    assert len(guided_matches(a, off, 3.0)) < 10 < 150 < len(guided_matches(a, off, 20.0))


def test_a_pattern_repeated_off_the_line_matches():
    points = np.array([[x, y, 4.0] for y in (-1.0, 0.0, 1.0) for x in (-1.0, 0.0, 1.0)])
    same = quantised(normalised(np.eye(128)[[0, 1, 2] * 3] + 0.01))  # each row looks the same
    a, b = seen(points, same, np.zeros(3)), seen(points, same, np.array([0.5, 0.0, 0.0]))
    assert sorted(guided_matches(a, b, 3.0).tolist()) == [[k, k] for k in range(9)]


def test_a_camera_that_turned_on_the_spot_matches():
    a, b = two_views(np.zeros(3))
    assert len(guided_matches(a, b, 3.0)) > 100


def test_features_at_the_epipole_meet_every_plane():
    ahead = np.array([[0.0, 0.0, 9.0], [2.0, 1.0, 5.0], [-2.0, 1.0, 5.0], [0.3, -2.0, 5.0]])
    own = quantised(np.eye(128)[:4])
    a = seen(ahead, own, np.zeros(3), np.array([1e-3, 0.0, 0.0]))
    b = seen(ahead, own, np.array([0.0, 0.0, 1.0]), np.array([-1e-3, 0.0, 0.0]))
    assert [0, 0] in guided_matches(a, b, 3.0).tolist()


@pytest.mark.parametrize('count', [0, 1, guided_matching.BIN, guided_matching.BIN + 1])
def test_any_number_of_features_is_matched(count):
    a, b = two_views(SIDEWAYS)
    few = PosedFeatures(b.rays[:count], b.descriptors[:count], b.centre, FOCAL)
    for one, other in ((a, few), (few, a)):
        found = guided_matches(one, other, 3.0)
        assert found.shape == (len(found), 2) and len(found) <= count


def test_opposite_views_have_no_matches():
    a, b = two_views(SIDEWAYS)
    away = PosedFeatures(-b.rays, b.descriptors, b.centre, FOCAL)
    assert len(guided_matches(a, away, 3.0)) == 0
