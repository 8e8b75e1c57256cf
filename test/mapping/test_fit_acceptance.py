# SPDX-License-Identifier: Apache-2.0
"""mapping/acceptance/fit.py: a model of a map's errors is recovered from draws of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dsac_ros.acceptance import AcceptanceModel
from dsac_ros.confidence import confidence
from dsac_ros.mapping.acceptance.fit import (
    clear_ratio,
    fit_acceptance,
    without_held_out,
)
from dsac_ros.mapping.acceptance.observations import Localized, Observations, PoseErrors
from dsac_ros.metrics import SIGMA_RADII
from dsac_ros.types import PoseStatistics, Result

PRECISE = np.diag([1e-6] * 6)
VERIFIED, ALONE = PoseStatistics(visible_inlier_ratio=1.0), PoseStatistics()


def observations(rng, count, ratio, visible=(0.5, 0.9)):
    roots = rng.normal(size=(count, 6, 6)) * 1e-3 * rng.uniform(0.5, 3, (count, 1, 1))
    ratios = rng.uniform(*ratio, count)
    return Observations(
        [
            PoseStatistics(
                one,
                int(one * 4800),
                rng.uniform(0.7, 1.0),
                rng.uniform(0.8, 1.0),
                rng.uniform(*visible),
            )
            for one in ratios
        ],
        roots @ roots.transpose(0, 2, 1),
    )


def having(some, name, values):
    """The same observations with the first values of one statistic replaced."""
    changed = [replace(one, **{name: value}) for one, value in zip(some.statistics, values)]
    return replace(some, statistics=[*changed, *some.statistics[len(changed) :]])


def confidences(model, some):
    return np.array([confidence(one, PRECISE, model) for one in some.statistics])


def draws(rng, true, raw, heavy=False):
    normal = rng.normal(size=(len(raw), 6, 1))
    if heavy:
        normal /= np.sqrt(rng.chisquare(4, size=(len(raw), 1, 1)) / 4)
    return (np.linalg.cholesky(true.covariance(raw, VERIFIED)) @ normal)[..., 0]


def coverage(model, twists, raw):
    distances = np.einsum(
        'fi,fij,fj->f', twists, np.linalg.inv(model.covariance(raw, VERIFIED)), twists
    )
    return [(distances <= radius).mean() for radius in SIGMA_RADII.values()]


@pytest.mark.parametrize(
    'true',
    [
        AcceptanceModel(covariance_scale=9, floor_m=0.004, floor_rad=0.001),
        AcceptanceModel(covariance_scale=40, floor_m=0.01, floor_rad=0.001),
    ],
)
def test_coverage_carries_over_to_new_frames(true):
    rng = np.random.default_rng(1)
    seen = observations(rng, 100, (0.3, 0.9))
    fresh = observations(rng, 2000, (0.3, 0.9)).covariance
    fitted = fit_acceptance(
        seen, draws(rng, true, seen.covariance), observations(rng, 60, (0.01, 0.05))
    )
    shares = coverage(fitted, draws(rng, true, fresh), fresh)
    assert 0.56 < shares[0] < 0.80
    assert shares[2] > 0.97


def test_unverified_poses_have_their_own_error_model():
    """Poses from scene coordinates alone are judged by their own errors."""
    rng = np.random.default_rng(3)
    precise, coarse = (
        AcceptanceModel(covariance_scale=scale, floor_m=floor, floor_rad=floor)
        for scale, floor in ((4, 0.002), (60, 0.03))
    )
    seen, raw = observations(rng, 60, (0.3, 0.9)), observations(rng, 60, (0.3, 0.9)).covariance
    twists, of_coordinates = draws(rng, precise, seen.covariance), draws(rng, coarse, raw)
    fitted = fit_acceptance(
        seen, twists, alone=PoseErrors(of_coordinates, raw), correct_within=(1.0, 20.0)
    )
    distances = np.einsum(
        'fi,fij,fj->f',
        of_coordinates,
        np.linalg.inv(np.stack([fitted.covariance(one, ALONE) for one in raw])),
        of_coordinates,
    )
    assert (distances <= SIGMA_RADII['3sigma']).mean() > 0.96
    assert coverage(fitted, twists, seen.covariance)[2] > 0.96
    assert fitted.alone_floor_m > 2 * fitted.floor_m
    # without any of their own, they are taken to be as good as the rest
    same = fit_acceptance(seen, twists)
    assert (same.alone_scale, same.alone_floor_m) == (same.covariance_scale, same.floor_m)


def test_heavy_tails_are_covered_too():
    rng = np.random.default_rng(2)
    true = AcceptanceModel(covariance_scale=9, floor_m=0.004, floor_rad=0.001)
    seen = observations(rng, 200, (0.3, 0.9))
    twists = draws(rng, true, seen.covariance, heavy=True)
    shares = coverage(fit_acceptance(seen, twists), twists, seen.covariance)
    assert 0.65 < shares[0] < 0.78
    assert shares[2] > 0.92


def test_thresholds_part_right_frames_from_negatives():
    rng = np.random.default_rng(3)
    seen = observations(rng, 40, (0.3, 0.9))
    negatives = observations(rng, 40, (0.01, 0.06), visible=(0.0, 0.2))
    fitted = fit_acceptance(seen, rng.normal(size=(40, 6)) * 0.002, negatives)
    wrong, right = negatives.column('inlier_ratio'), seen.column('inlier_ratio')
    assert wrong.max() < fitted.min_inlier_ratio < right.min()
    assert fitted.min_spread < seen.column('inlier_spread').min()
    assert fitted.min_agreement < seen.column('hypothesis_agreement').min()
    assert confidences(fitted, seen).min() > 0.8 > 0.2 > confidences(fitted, negatives).max()


@pytest.mark.parametrize(('shown', 'asked'), [(0.05, 0.35), (0.26, 0.39), (0.4, 0.5)])
def test_more_landmarks_are_asked_than_negatives_have(shown, asked):
    rng = np.random.default_rng(3)
    seen = observations(rng, 40, (0.3, 0.9))
    negatives = observations(rng, 40, (0.01, 0.06), (0.0, shown))
    negatives = having(negatives, 'visible_inlier_ratio', [shown])
    fitted = fit_acceptance(seen, rng.normal(size=(40, 6)) * 0.002, negatives)
    assert fitted.min_visible_inlier_ratio == pytest.approx(asked)


@pytest.mark.parametrize(
    ('shown', 'asked'), [([], 0.35), ([0.12], 0.35), ([0.1, 0.4], 0.6), ([0.6], 0.7)]
)
def test_landmark_threshold_lies_above_wrong_poses(shown, asked):
    """Landmarks far away tell the rotation of a blurred image, and agree on a wrong position."""
    rng = np.random.default_rng(3)
    negatives = observations(rng, 40, (0.01, 0.06), (0.0, 0.16))
    negatives = having(negatives, 'visible_inlier_ratio', [0.16])
    fitted = fit_acceptance(
        observations(rng, 40, (0.3, 0.9)),
        rng.normal(size=(40, 6)) * 0.002,
        negatives,
        further=Localized(
            having(
                observations(rng, len(shown), (0.1, 0.2)),
                'visible_inlier_ratio',
                shown,
            ),
            np.full((len(shown), 6), 2.0),
        ),
    )
    assert fitted.min_visible_inlier_ratio == pytest.approx(asked)


@pytest.mark.parametrize(
    ('shown', 'asked'),
    [([], 0.35), ([0.1], 0.35), ([0.28], 0.42), ([0.02, 0.4], 0.5), ([0.02, 0.6], 1.0)],
)
def test_negatives_raise_the_threshold_of_a_small_map(shown, asked):
    negatives = observations(np.random.default_rng(3), len(shown), (0.01, 0.06))
    fitted = without_held_out(2.0, having(negatives, 'visible_inlier_ratio', shown))
    assert fitted.min_visible_inlier_ratio == pytest.approx(asked)
    assert replace(fitted, min_visible_inlier_ratio=0.35) == AcceptanceModel.unmeasured(2.0)


def test_a_small_map_learns_its_errors():
    """Those that something verifies count, wrong ones and those of coordinates alone do not."""
    rng = np.random.default_rng(8)
    true = AcceptanceModel(covariance_scale=12, floor_m=0.004, floor_rad=0.002)
    seen, fresh = (observations(rng, count, (0.3, 0.9)) for count in (60, 2000))
    shown = Localized(seen, draws(rng, true, seen.covariance))
    coarse = Localized(observations(rng, 30, (0.3, 0.9), (0.0, 0.1)), np.full((30, 6), 0.2))
    wrong = Localized(observations(rng, 3, (0.3, 0.9), (0.3, 0.35)), np.full((3, 6), 9.0))
    further = shown.and_also(coarse).and_also(wrong)
    negatives = observations(rng, 20, (0.01, 0.1), (0.0, 0.1))
    fitted = without_held_out(4.0, negatives, further, (0.4, 20.0))
    shares = coverage(fitted, draws(rng, true, fresh.covariance), fresh.covariance)
    assert 0.6 < shares[0] < 0.88 and shares[2] > 0.97
    assert fitted.is_measured and fitted.alone_floor_m == pytest.approx(0.04)
    most = negatives.column('inlier_ratio').max()
    assert fitted.min_inlier_ratio == pytest.approx(max(0.1, 1.5 * most))
    few = without_held_out(4.0, negatives, shown.where(np.arange(60) < 7))
    assert not few.is_measured and few.floor_m == pytest.approx(0.04)


@pytest.mark.parametrize(
    ('shown', 'asked'), [([], 12), ([4, 6], 12), ([3, 11], 14), ([3, 63], 48)]
)
def test_more_features_are_asked_than_negatives_have(shown, asked):
    rng = np.random.default_rng(3)
    seen = observations(rng, 40, (0.3, 0.9))
    negatives = having(observations(rng, len(shown), (0.01, 0.06)), 'feature_inliers', shown)
    assert (
        fit_acceptance(seen, rng.normal(size=(40, 6)) * 0.002, negatives).min_feature_inliers
        == asked
    )
    assert without_held_out(2.0, negatives).min_feature_inliers == asked


@pytest.mark.parametrize('wrong, bound', [(1.0, 0.0), (0.5, 0.05)])
def test_frames_like_wrong_held_out_ones_are_refused(wrong, bound):
    """Wrong poses with 10 to 30 % inliers, as an unlearned network gives; right ones with more."""
    rng = np.random.default_rng(5)
    ratios = [(0.1, 0.3) if k < 40 * wrong else (0.2, 0.9) for k in range(40)]
    seen = having(
        observations(rng, 40, (0.0, 1.0), visible=(0.0, 0.1)),
        'inlier_ratio',
        [rng.uniform(*limits) for limits in ratios],
    )
    twists = np.full((40, 6), 1e-3)
    twists[: int(40 * wrong)] = 2.0
    fitted = fit_acceptance(seen, twists, observations(rng, 40, (0.01, 0.05), visible=(0.0, 0.1)))
    passing = seen.column('inlier_ratio') >= fitted.min_inlier_ratio
    false = passing & (twists[:, 0] > 1.0)
    assert false.sum() <= bound * max(1, passing.sum())
    assert (wrong == 1.0) == (not passing.any())


@pytest.mark.parametrize(('right', 'accepts'), [(0, False), (2, False), (3, True), (20, True)])
def test_few_right_frames_verify_nothing(right, accepts):
    """However many inliers their wrong neighbours have."""
    rng = np.random.default_rng(5)
    ratios = [rng.uniform(0.6, 0.9) if k < right else rng.uniform(0.1, 0.3) for k in range(20)]
    seen = having(observations(rng, 20, (0.0, 1.0), visible=(0.0, 0.1)), 'inlier_ratio', ratios)
    twists = np.full((20, 6), 2.0)
    twists[:right] = 1e-3
    fitted = fit_acceptance(seen, twists)
    assert (fitted.accepts_alone, fitted.checked, fitted.right_alone) == (accepts, 20, right)
    sure = PoseStatistics(1.0, 4800, 1.0, 1.0)
    assert (fitted.verdict(sure)[0] is Result.ACCEPTED) == accepts


def test_wrong_held_out_frames_lower_the_confidence():
    rng = np.random.default_rng(4)
    seen, negatives = observations(rng, 60, (0.05, 0.6)), observations(rng, 30, (0.01, 0.06))
    twists = rng.normal(size=(60, 6)) * 0.002
    ratios = seen.column('inlier_ratio')
    twists[ratios < 0.2, 0] = 2.0
    twists[np.argmin(ratios)] = np.inf
    fitted = fit_acceptance(seen, twists, negatives)
    few, many = (PoseStatistics(ratio, 1000, 0.8, 0.9) for ratio in (0.12, 0.5))
    below, above = (confidence(one, PRECISE, fitted) for one in (few, many))
    assert below < 0.5 < above


@pytest.mark.parametrize(('wrong', 'share'), [(0, 1.0), (15, 65 / 80), (60, 20 / 80)])
def test_accepted_held_out_frames_that_are_wrong_count(wrong, share):
    """Landmarks that verify wrong poses of intact frames: nothing of this map is sure."""
    rng = np.random.default_rng(4)
    seen = observations(rng, 60, (0.3, 0.9))
    negatives = observations(rng, 30, (0.01, 0.06), (0.0, 0.1))
    twists = rng.normal(size=(60, 6)) * 0.002
    twists[:wrong, 0] = 2.0
    assert fit_acceptance(seen, twists, negatives).right_share == pytest.approx(share)


@pytest.mark.parametrize('count', [0, 3])
def test_too_few_frames_give_careful_defaults(count):
    rng = np.random.default_rng(5)
    seen = observations(rng, count, (0.3, 0.9))
    fitted = fit_acceptance(seen, rng.normal(size=(count, 6)) * 0.002)
    assert fitted.floor_m == pytest.approx(0.05)
    assert 0 < fitted.min_inlier_ratio < 0.3
    assert np.isfinite(list(fitted.as_dict().values())).all()


def test_perfect_frames_do_not_divide_by_zero():
    rng = np.random.default_rng(6)
    fitted = fit_acceptance(observations(rng, 20, (0.9, 1.0)), np.zeros((20, 6)))
    assert np.isfinite(list(fitted.as_dict().values())).all()


def test_covariance_floor_with_perfect_held_out_frames():
    rng = np.random.default_rng(6)
    seen = observations(rng, 20, (0.9, 1.0))
    fitted = fit_acceptance(seen, np.full((20, 6), 1e-6), correct_within=(0.2, 15.0))
    sigma = np.sqrt(np.diag(fitted.covariance(np.zeros((6, 6)), VERIFIED)))
    assert (sigma[:3] >= 0.002).all() and (sigma[3:] >= 0.001).all()


def test_frames_without_any_estimate_are_left_out():
    rng = np.random.default_rng(7)
    seen = replace(observations(rng, 20, (0.0, 0.05)), covariance=np.full((20, 6, 6), np.nan))
    fitted = fit_acceptance(seen, np.full((20, 6), np.inf))
    assert np.isfinite(list(fitted.as_dict().values())).all()


@pytest.mark.parametrize(('matches', 'clear'), [([5, 40, 60], 0.7), ([5, 8, 60], 0.0), ([], 0.7)])
def test_features_are_not_asked_where_uninformative(matches, clear):
    assert clear_ratio(np.array(matches), 20) == clear
