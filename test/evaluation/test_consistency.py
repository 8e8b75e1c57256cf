# SPDX-License-Identifier: Apache-2.0
"""evaluation/consistency.py: NEES and coverage of errors whose distribution is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import chi2

from dsac_ros.evaluation.consistency import (
    by_difficulty,
    chi_square_quantile,
    consistency,
    nees_summary,
)
from dsac_ros.evaluation.plots.difficulty import roc_curve
from dsac_ros.metrics import evaluate, roc_auc
from dsac_ros.types import Localization, Result


def drawn(count, factors, seed=0, confidence=0.9):
    """Answers whose errors are Gaussian, with factors times the covariance that they tell."""
    rng = np.random.default_rng(seed)
    references, found = [], []
    for index in range(count):
        sigma = 0.001 * (1 + index / count)
        root = sigma * (np.eye(6) + 0.3 * rng.normal(size=(6, 6)))
        error = factors[index * len(factors) // count] * (root @ rng.normal(size=6))
        pose = np.eye(4)
        pose[:3, 3] = error[:3]
        angle = np.linalg.norm(error[3:])
        x, y, z = error[3:] / angle
        cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
        pose[:3, :3] += math.sin(angle) * cross + (1 - math.cos(angle)) * cross @ cross
        references.append(pose)
        found.append(
            Localization(
                Result.ACCEPTED,
                stamp_ns=index,
                world_from_camera=np.eye(4),
                covariance=root @ root.T,
                confidence=confidence,
            )
        )
    return evaluate(found, references)


def test_nees_of_gaussian_errors_is_its_dimension():
    found = consistency(drawn(4000, [1.0]))['accepted']
    for name, dimensions in (('position', 3), ('pose', 6)):
        low, high = found[name]['mean_interval']
        assert found[name]['expected_mean'] == dimensions
        assert found[name]['mean'] == pytest.approx(dimensions, abs=0.15)
        assert found[name]['median'] == pytest.approx(found[name]['expected_median'], abs=0.15)
        assert dimensions - 0.15 < low < dimensions < high < dimensions + 0.15
        shares = list(found[name]['coverage'].values())
        assert shares == pytest.approx([0.683, 0.954, 0.997], abs=0.02)


def test_a_quarter_of_the_covariance_has_nees_fourfold():
    found = consistency(drawn(3000, [2.0]))['accepted']
    assert found['position']['mean'] == pytest.approx(12, rel=0.06)
    assert found['pose']['mean'] == pytest.approx(24, rel=0.06)


def test_the_hardest_quarter_is_not_hidden():
    """Right overall, where easy poses are twice too careful and the hardest overconfident."""
    found = consistency(drawn(4000, [0.5, 0.5, 0.5, 2.0]))
    quartiles = found['quartiles']
    assert [one['frames'] for one in quartiles] == [1000] * 4
    assert quartiles[0]['sigma_m'][1] <= quartiles[1]['sigma_m'][0]
    assert quartiles[0]['pose']['coverage']['1sigma'] > 0.95
    assert found['accepted']['pose']['coverage']['1sigma'] > 0.7
    assert quartiles[3]['pose']['coverage']['1sigma'] < 0.4


def test_equal_predictions_are_ordered_by_confidence():
    sigma, confidence = np.ones(8), np.array([0.1, 0.9, 0.2, 0.8, 0.3, 0.7, 0.4, 0.6])
    assert [rows.tolist() for rows in by_difficulty(sigma, confidence)] == [
        [1, 3],
        [5, 7],
        [6, 4],
        [2, 0],
    ]
    assert len(by_difficulty(np.ones(3), np.ones(3))) == 3
    assert by_difficulty(np.zeros(0), np.zeros(0)) == []


def test_refused_poses_and_those_without_one_are_apart():
    pose = np.eye(4)
    given = {'world_from_camera': pose, 'covariance': np.eye(6)}
    found = consistency(
        evaluate(
            [
                Localization(Result.ACCEPTED, **given),
                Localization(Result.ACCEPTED, world_from_camera=pose),
                Localization(Result.LOW_INLIERS, **given),
            ],
            [pose] * 3,
        )
    )
    assert found['without_covariance'] == 1
    assert found['accepted']['frames'] == 1
    assert [one['frames'] for one in found['quartiles']] == [1]


def test_nothing_accepted_has_no_nees():
    found = consistency(evaluate([Localization(Result.ERROR)], [np.eye(4)]))
    assert found['accepted']['frames'] == 0 and found['quartiles'] == []
    assert math.isnan(found['accepted']['pose']['mean'])


def test_covariance_that_is_none_has_infinite_nees():
    assert nees_summary(np.array([1.0, np.inf]), 3)['mean'] == np.inf


def test_quantiles_are_those_of_chi_square():
    for share in (0.025, 0.5, 0.9973):
        for dimensions in (3, 6, 252):
            expected = chi2.ppf(share, dimensions)
            assert chi_square_quantile(share, dimensions) == pytest.approx(expected)


def test_the_area_under_the_roc_curve_is_the_auc():
    rng = np.random.default_rng(0)
    right = rng.random(300) < 0.6
    scores = np.round(rng.normal(size=300) + right, 1)
    beyond, within = roc_curve(scores, right)
    area = float((np.diff(beyond) * (within[1:] + within[:-1]) / 2).sum())
    assert area == pytest.approx(roc_auc(scores, right))
    assert (beyond[-1], within[-1]) == (1.0, 1.0)
