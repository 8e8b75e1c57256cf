# SPDX-License-Identifier: Apache-2.0
"""One number of evidence: its threshold, its covariance, and what it promises."""

from __future__ import annotations

import math

import numpy as np
import pytest

from dsac_ros.metrics import SIGMA_RADII, mahalanobis_squared
from dsac_ros.systems.calibration import cheapest_threshold, fit_evidence, logistic
from dsac_ros.systems.evidence import EvidenceModel, judge
from dsac_ros.systems.system import Estimate
from dsac_ros.types import Localization, Result


def estimates(count, error_m, seed=0):
    """Estimates of frames at the origin, with errors of so many metres (1 sigma)."""
    rng = np.random.default_rng(seed)
    found = []
    for evidence in np.linspace(0.5, 1.0, count):
        place = np.eye(4)
        place[:3, 3] = rng.normal(scale=error_m, size=3)
        found.append(Estimate(place, float(evidence)))
    return found


def judged(evidence, model):
    found = Localization(Result.OUT_OF_MAP, world_from_camera=np.eye(4))
    return judge(found, evidence, model, 'of ten')


def test_threshold_lies_between_wrong_and_right():
    evidence = np.array([0.1, 0.2, 0.3, 0.7, 0.8, 0.9])
    threshold = cheapest_threshold(evidence, evidence > 0.5)
    assert threshold == pytest.approx(0.5)


def test_one_wrong_pose_outweighs_nine_right_ones():
    evidence = np.arange(20.0)
    right = np.ones(20, bool)
    right[9] = False  # below it nine right ones, and ten above
    assert cheapest_threshold(evidence, right) == pytest.approx(9.5)
    right = np.ones(40, bool)
    right[20] = False
    assert cheapest_threshold(np.arange(40.0), right) == 0.0


def test_nothing_is_accepted_that_cannot_be_told():
    evidence = np.ones(20)
    assert cheapest_threshold(evidence, np.arange(20) < 18) is None
    assert cheapest_threshold(np.arange(20.0), np.zeros(20, bool)) is None


def test_right_frames_are_accepted_and_negatives_not():
    model = fit_evidence(estimates(30, 0.02), [np.eye(4)] * 30, [0.1, 0.2, 0.3], 2.0)
    assert model.accepts and 0.3 < model.threshold <= 0.5
    assert (model.held_out, model.right) == (30, 30)
    assert judged(0.8, model).accepted
    refusal = judged(0.2, model)
    assert refusal.result is Result.OUT_OF_MAP and '0.2 of ten' in refusal.reason
    assert refusal.confidence <= 0.5 < judged(0.9, model).confidence


def test_a_map_that_was_never_right_accepts_nothing():
    model = fit_evidence(estimates(30, 5.0), [np.eye(4)] * 30, [], 2.0)
    assert not model.accepts and model.right < 3
    refusal = judged(1.0, model)
    assert not refusal.accepted and refusal.world_from_camera is not None
    assert f'{model.right} of 30 held-out frames were right' in refusal.reason


def test_without_held_out_frames_nothing_is_accepted():
    assert 'too few frames' in judged(1e9, EvidenceModel()).reason


def test_covariance_covers_the_errors():
    found = estimates(200, 0.05)
    model = fit_evidence(found, [np.eye(4)] * 200, [], 2.0)
    inside = [
        mahalanobis_squared(
            np.r_[one.world_from_camera[:3, 3], 0, 0, 0], model.covariance(one.covariance)
        )
        < SIGMA_RADII['3sigma']
        for one in found
    ]
    assert np.mean(inside) > 0.95
    assert 0.02 < model.floor_m < 0.15


@pytest.mark.parametrize('all_right', [True, False])
def test_data_of_one_kind_promise_no_certainty(all_right):
    offset, slope = logistic(np.linspace(0, 1, 10), np.full(10, all_right))
    assert slope >= 0 and math.isfinite(offset)
    assert (
        0.02 < EvidenceModel(logit_offset=offset, logit_slope=slope).probability_right(0.5) < 0.98
    )


def test_probability_follows_the_evidence():
    rng = np.random.default_rng(0)
    evidence = rng.uniform(size=2000)
    right = rng.uniform(size=2000) < 1 / (1 + np.exp(-(-3 + 6 * evidence)))
    offset, slope = logistic(evidence, right)
    assert (offset, slope) == pytest.approx((-3, 6), rel=0.15)


def test_a_model_survives_its_header():
    model = EvidenceModel(0.4, True, 20, 18, 1.0, 0.1, 0.02, -1.0, 3.0)
    assert EvidenceModel.from_dict({**model.as_dict(), 'later': 1}) == model
