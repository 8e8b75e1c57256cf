# SPDX-License-Identifier: Apache-2.0
"""mapping/calibration.py: what is known of a map's errors is found again from draws of them."""
from __future__ import annotations

import numpy as np
import pytest

from dsac_ros.calibration import Calibration, Evidence
from dsac_ros.mapping.calibration import fit_calibration, mirrored
from dsac_ros.metrics import SIGMA_RADII
from dsac_ros.types import Camera, Frame


def evidence(rng, count, ratio, spread=(0.7, 1.0), agreement=(0.8, 1.0)):
    return [Evidence(share, int(share * 4800), rng.uniform(*spread), rng.uniform(*agreement))
            for share in rng.uniform(*ratio, count)]


def covariances(rng, count):
    roots = rng.normal(size=(count, 6, 6)) * 1e-3 * rng.uniform(0.5, 3, (count, 1, 1))
    return roots @ roots.transpose(0, 2, 1)


def draws(rng, true, raw, heavy=False):
    normal = rng.normal(size=(len(raw), 6, 1))
    if heavy:
        normal /= np.sqrt(rng.chisquare(4, size=(len(raw), 1, 1)) / 4)
    return (np.linalg.cholesky(true.covariance(raw)) @ normal)[..., 0]


def coverage(calibration, twists, raw):
    distances = np.einsum('fi,fij,fj->f', twists, np.linalg.inv(calibration.covariance(raw)),
                          twists)
    return [(distances <= radius).mean() for radius in SIGMA_RADII.values()]


@pytest.mark.parametrize('true', [Calibration(covariance_scale=9, floor_m=0.004, floor_rad=0.001),
                                  Calibration(covariance_scale=40, floor_m=0.01, floor_rad=0.001)])
def test_coverage_carries_over_to_new_frames(true):
    rng = np.random.default_rng(1)
    raw, fresh = covariances(rng, 100), covariances(rng, 2000)
    fitted = fit_calibration(evidence(rng, 100, (0.3, 0.9)), raw, draws(rng, true, raw),
                             evidence(rng, 60, (0.01, 0.05)))
    shares = coverage(fitted, draws(rng, true, fresh), fresh)
    assert 0.56 < shares[0] < 0.80
    assert shares[2] > 0.97


def test_heavy_tails_are_covered_too():
    rng = np.random.default_rng(2)
    true = Calibration(covariance_scale=9, floor_m=0.004, floor_rad=0.001)
    raw = covariances(rng, 200)
    twists = draws(rng, true, raw, heavy=True)
    shares = coverage(fit_calibration(evidence(rng, 200, (0.3, 0.9)), raw, twists), twists, raw)
    assert 0.65 < shares[0] < 0.78
    assert shares[2] > 0.92


def test_thresholds_part_right_frames_from_impostors():
    rng = np.random.default_rng(3)
    held_out, impostors = evidence(rng, 40, (0.3, 0.9)), evidence(rng, 40, (0.01, 0.06))
    fitted = fit_calibration(held_out, covariances(rng, 40), rng.normal(size=(40, 6)) * 0.002,
                             impostors)
    assert (max(frame.inlier_ratio for frame in impostors) < fitted.min_inlier_ratio
            < min(frame.inlier_ratio for frame in held_out))
    assert fitted.min_spread < min(frame.spread for frame in held_out)
    assert fitted.min_agreement < min(frame.agreement for frame in held_out)
    assert (min(map(fitted.confidence, held_out)) > 0.8 > 0.2
            > max(map(fitted.confidence, impostors)))


def test_wrong_held_out_frames_lower_the_confidence():
    rng = np.random.default_rng(4)
    held_out, impostors = evidence(rng, 60, (0.05, 0.6)), evidence(rng, 30, (0.01, 0.06))
    ratios = np.array([frame.inlier_ratio for frame in held_out])
    twists = rng.normal(size=(60, 6)) * 0.002
    twists[ratios < 0.2, 0] = 2.0
    twists[np.argmin(ratios)] = np.inf
    fitted = fit_calibration(held_out, covariances(rng, 60), twists, impostors)
    assert (fitted.confidence(Evidence(0.12, 500, 0.8, 0.9)) < 0.5
            < fitted.confidence(Evidence(0.5, 2000, 0.8, 0.9)))


@pytest.mark.parametrize('count', [0, 3])
def test_too_few_frames_give_careful_defaults(count):
    rng = np.random.default_rng(5)
    fitted = fit_calibration(evidence(rng, count, (0.3, 0.9)), covariances(rng, count),
                             rng.normal(size=(count, 6)) * 0.002)
    assert fitted.floor_m == pytest.approx(0.05)
    assert 0 < fitted.min_inlier_ratio < 0.3
    assert np.isfinite(list(fitted.as_dict().values())).all()


def test_perfect_frames_do_not_divide_by_zero():
    rng = np.random.default_rng(6)
    fitted = fit_calibration(evidence(rng, 20, (0.9, 1.0)), covariances(rng, 20),
                             np.zeros((20, 6)))
    assert np.isfinite(list(fitted.as_dict().values())).all()


def test_frames_without_any_estimate_are_left_out():
    rng = np.random.default_rng(7)
    raw = np.full((20, 6, 6), np.nan)
    fitted = fit_calibration(evidence(rng, 20, (0.0, 0.05)), raw, np.full((20, 6), np.inf))
    assert np.isfinite(list(fitted.as_dict().values())).all()


def test_a_mirrored_frame_keeps_a_camera_that_fits():
    camera = Camera((4, 2), np.array([[5.0, 0, 1.0], [0, 5, 0.5], [0, 0, 1]]))
    frame = mirrored(Frame(np.arange(8, dtype=np.uint8).reshape(2, 4), camera))
    assert frame.image[0].tolist() == [3, 2, 1, 0]
    assert frame.camera.matrix[0, 2] == 2.0
    assert camera.matrix[0, 2] == 1.0
