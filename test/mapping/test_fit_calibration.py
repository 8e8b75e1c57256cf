# SPDX-License-Identifier: Apache-2.0
"""mapping/calibration.py: what is known of a map's errors is found again from draws of them."""
from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dsac_ros.calibration import Calibration
from dsac_ros.mapping.calibration import (
    Errors,
    Evidence,
    clear_ratio,
    fit_calibration,
    without_held_out,
)
from dsac_ros.metrics import SIGMA_RADII


def evidence(rng, count, ratio, share=(0.5, 0.9)):
    ratios = rng.uniform(*ratio, count)
    roots = rng.normal(size=(count, 6, 6)) * 1e-3 * rng.uniform(0.5, 3, (count, 1, 1))
    return Evidence(ratios, (ratios * 4800).astype(int), rng.uniform(0.7, 1.0, count),
                    rng.uniform(0.8, 1.0, count), rng.uniform(*share, count),
                    np.zeros(count, int), roots @ roots.transpose(0, 2, 1))


def confidence(calibration, seen):
    return calibration.confidence(seen.inlier_ratio, seen.spread, seen.agreement, seen.share)


def draws(rng, true, raw, heavy=False):
    normal = rng.normal(size=(len(raw), 6, 1))
    if heavy:
        normal /= np.sqrt(rng.chisquare(4, size=(len(raw), 1, 1)) / 4)
    return (np.linalg.cholesky(true.covariance(raw, 1.0)) @ normal)[..., 0]


def coverage(calibration, twists, raw):
    distances = np.einsum('fi,fij,fj->f', twists, np.linalg.inv(calibration.covariance(raw, 1.0)),
                          twists)
    return [(distances <= radius).mean() for radius in SIGMA_RADII.values()]


@pytest.mark.parametrize('true', [Calibration(covariance_scale=9, floor_m=0.004, floor_rad=0.001),
                                  Calibration(covariance_scale=40, floor_m=0.01, floor_rad=0.001)])
def test_coverage_carries_over_to_new_frames(true):
    rng = np.random.default_rng(1)
    seen, fresh = evidence(rng, 100, (0.3, 0.9)), evidence(rng, 2000, (0.3, 0.9)).covariance
    fitted = fit_calibration(seen, draws(rng, true, seen.covariance),
                             evidence(rng, 60, (0.01, 0.05)))
    shares = coverage(fitted, draws(rng, true, fresh), fresh)
    assert 0.56 < shares[0] < 0.80
    assert shares[2] > 0.97


def test_poses_of_scene_coordinates_alone_are_judged_by_their_own_errors():
    rng = np.random.default_rng(3)
    precise, coarse = (Calibration(covariance_scale=scale, floor_m=floor, floor_rad=floor)
                       for scale, floor in ((4, 0.002), (60, 0.03)))
    seen, raw = evidence(rng, 60, (0.3, 0.9)), evidence(rng, 60, (0.3, 0.9)).covariance
    twists, of_coordinates = draws(rng, precise, seen.covariance), draws(rng, coarse, raw)
    fitted = fit_calibration(seen, twists, alone=Errors(of_coordinates, raw),
                             correct_within=(1.0, 20.0))
    distances = np.einsum('fi,fij,fj->f', of_coordinates, np.linalg.inv(np.stack(
        [fitted.covariance(one, 0.0) for one in raw])), of_coordinates)
    assert (distances <= SIGMA_RADII['3sigma']).mean() > 0.96
    assert coverage(fitted, twists, seen.covariance)[2] > 0.96
    assert fitted.alone_floor_m > 2 * fitted.floor_m
    # without any of their own, they are taken to be as good as the rest
    same = fit_calibration(seen, twists)
    assert (same.alone_scale, same.alone_floor_m) == (same.covariance_scale, same.floor_m)


def test_heavy_tails_are_covered_too():
    rng = np.random.default_rng(2)
    true = Calibration(covariance_scale=9, floor_m=0.004, floor_rad=0.001)
    seen = evidence(rng, 200, (0.3, 0.9))
    twists = draws(rng, true, seen.covariance, heavy=True)
    shares = coverage(fit_calibration(seen, twists), twists, seen.covariance)
    assert 0.65 < shares[0] < 0.78
    assert shares[2] > 0.92


def test_thresholds_part_right_frames_from_impostors():
    rng = np.random.default_rng(3)
    seen, impostors = evidence(rng, 40, (0.3, 0.9)), evidence(rng, 40, (0.01, 0.06))
    fitted = fit_calibration(seen, rng.normal(size=(40, 6)) * 0.002, impostors)
    assert impostors.inlier_ratio.max() < fitted.min_inlier_ratio < seen.inlier_ratio.min()
    assert fitted.min_spread < seen.spread.min()
    assert fitted.min_agreement < seen.agreement.min()
    assert confidence(fitted, seen).min() > 0.8 > 0.2 > confidence(fitted, impostors).max()


@pytest.mark.parametrize(('shown', 'asked'), [(0.05, 0.35), (0.26, 0.39), (0.4, 0.5)])
def test_more_landmarks_are_asked_for_than_impostors_show(shown, asked):
    rng = np.random.default_rng(3)
    seen = evidence(rng, 40, (0.3, 0.9))
    impostors = evidence(rng, 40, (0.01, 0.06), (0.0, shown))
    impostors.share[7] = shown
    fitted = fit_calibration(seen, rng.normal(size=(40, 6)) * 0.002, impostors)
    assert fitted.min_landmark_share == pytest.approx(asked)


@pytest.mark.parametrize(('shown', 'asked'), [([], 0.35), ([0.12], 0.35), ([0.1, 0.4], 0.6),
                                              ([0.6], 0.7)])
def test_more_landmarks_are_asked_for_than_wrong_poses_of_blurred_frames_show(shown, asked):
    """Landmarks far away tell the rotation of a blurred image, and agree on a wrong position."""
    rng = np.random.default_rng(3)
    impostors = evidence(rng, 40, (0.01, 0.06), (0.0, 0.16))
    impostors.share[7] = 0.16
    fitted = fit_calibration(evidence(rng, 40, (0.3, 0.9)), rng.normal(size=(40, 6)) * 0.002,
                             impostors, misled=np.array(shown))
    assert fitted.min_landmark_share == pytest.approx(asked)


@pytest.mark.parametrize(('shown', 'asked'), [
    ([], 0.35), ([0.02, 0.1], 0.35), ([0.02, 0.28], 0.42), ([0.02, 0.6], 0.5)])
def test_without_held_out_frames_reflections_still_say_how_much_is_asked(shown, asked):
    impostors = evidence(np.random.default_rng(3), len(shown), (0.01, 0.06))
    fitted = without_held_out(2.0, replace(impostors, share=np.array(shown)))
    assert fitted.min_landmark_share == pytest.approx(asked)
    assert replace(fitted, min_landmark_share=0.35) == Calibration.unmeasured(2.0)


@pytest.mark.parametrize(('shown', 'asked'), [([], 12), ([4, 6], 12), ([3, 11], 14),
                                              ([3, 63], 48)])
def test_more_features_are_asked_for_than_impostors_show(shown, asked):
    rng = np.random.default_rng(3)
    seen = evidence(rng, 40, (0.3, 0.9))
    impostors = replace(evidence(rng, len(shown), (0.01, 0.06)), matches=np.array(shown, int))
    assert fit_calibration(seen, rng.normal(size=(40, 6)) * 0.002,
                           impostors).min_matches == asked
    assert without_held_out(2.0, impostors).min_matches == asked


@pytest.mark.parametrize('wrong, bound', [(1.0, 0.0), (0.5, 0.05)])
def test_a_map_that_is_wrong_on_its_held_out_frames_refuses_what_looks_like_them(wrong, bound):
    """Wrong poses with 10 to 30 % inliers, as an unlearned network gives; right ones with more."""
    rng = np.random.default_rng(5)
    ratios = [(0.1, 0.3) if k < 40 * wrong else (0.2, 0.9) for k in range(40)]
    seen = evidence(rng, 40, (0.0, 1.0), share=(0.0, 0.1))
    seen = replace(seen, inlier_ratio=np.array([rng.uniform(*limits) for limits in ratios]))
    twists = np.full((40, 6), 1e-3)
    twists[:int(40 * wrong)] = 2.0
    fitted = fit_calibration(seen, twists, evidence(rng, 40, (0.01, 0.05), share=(0.0, 0.1)))
    passing = seen.inlier_ratio >= fitted.min_inlier_ratio
    false = passing & (twists[:, 0] > 1.0)
    assert false.sum() <= bound * max(1, passing.sum())
    assert (wrong == 1.0) == (not passing.any())


def test_wrong_held_out_frames_lower_the_confidence():
    rng = np.random.default_rng(4)
    seen, impostors = evidence(rng, 60, (0.05, 0.6)), evidence(rng, 30, (0.01, 0.06))
    twists = rng.normal(size=(60, 6)) * 0.002
    twists[seen.inlier_ratio < 0.2, 0] = 2.0
    twists[np.argmin(seen.inlier_ratio)] = np.inf
    fitted = fit_calibration(seen, twists, impostors)
    assert fitted.confidence(0.12, 0.8, 0.9) < 0.5 < fitted.confidence(0.5, 0.8, 0.9)


@pytest.mark.parametrize('count', [0, 3])
def test_too_few_frames_give_careful_defaults(count):
    rng = np.random.default_rng(5)
    fitted = fit_calibration(evidence(rng, count, (0.3, 0.9)), rng.normal(size=(count, 6)) * 0.002)
    assert fitted.floor_m == pytest.approx(0.05)
    assert 0 < fitted.min_inlier_ratio < 0.3
    assert np.isfinite(list(fitted.as_dict().values())).all()


def test_perfect_frames_do_not_divide_by_zero():
    rng = np.random.default_rng(6)
    fitted = fit_calibration(evidence(rng, 20, (0.9, 1.0)), np.zeros((20, 6)))
    assert np.isfinite(list(fitted.as_dict().values())).all()


def test_perfect_held_out_frames_promise_no_perfect_poses():
    rng = np.random.default_rng(6)
    seen = evidence(rng, 20, (0.9, 1.0))
    fitted = fit_calibration(seen, np.full((20, 6), 1e-6), correct_within=(0.2, 15.0))
    sigma = np.sqrt(np.diag(fitted.covariance(np.zeros((6, 6)), 1.0)))
    assert (sigma[:3] >= 0.002).all() and (sigma[3:] >= 0.001).all()


def test_frames_without_any_estimate_are_left_out():
    rng = np.random.default_rng(7)
    seen = replace(evidence(rng, 20, (0.0, 0.05)), covariance=np.full((20, 6, 6), np.nan))
    fitted = fit_calibration(seen, np.full((20, 6), np.inf))
    assert np.isfinite(list(fitted.as_dict().values())).all()


@pytest.mark.parametrize(('matches', 'clear'), [([5, 40, 60], 0.7), ([5, 8, 60], 0.0), ([], 0.7)])
def test_features_are_not_asked_where_they_tell_nothing(matches, clear):
    assert clear_ratio(np.array(matches), 20) == clear
