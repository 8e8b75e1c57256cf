# SPDX-License-Identifier: Apache-2.0
"""decision.py: which pose is believed where landmarks and features disagree."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from dsac_ros.acceptance import AcceptanceModel
from dsac_ros.alignment.align import Alignment
from dsac_ros.alignment.verification import Verification
from dsac_ros.confidence import REFUSED_MOST, confidence
from dsac_ros.decision import (
    judged,
    statistics_of,
    tell_one_view,
    unusable_image,
    verified_ratio,
)
from dsac_ros.types import Localization, PoseStatistics, Result

DEPTH_M = 2.0


def pose(metres):
    result = torch.eye(4, dtype=torch.float64)
    result[0, 3] = metres
    return result


def landmarks(poorly_distributed=False, repetitive=False):
    return Alignment(
        pose(0.0), torch.eye(6), Verification(100.0, 0.4, 0.4, poorly_distributed), repetitive
    )


def features(metres, count):
    return SimpleNamespace(
        inlier_count=count, estimate=SimpleNamespace(world_from_camera=pose(metres)[None].float())
    )


@pytest.mark.parametrize(
    ('found', 'contradicted'),
    [
        (None, False),
        (features(0.05, 10), False),  # the same view
        (features(0.5, 7), False),  # too few to say anything
        (features(0.5, 10), True),
    ],
)
def test_features_may_contradict_landmarks(found, contradicted):
    query = SimpleNamespace(
        features=found,
        estimate=None,
        feature_inliers=found.inlier_count if found else 0,
        lacks_landmarks=False,
    )
    assert statistics_of(query, landmarks(), DEPTH_M) == PoseStatistics(
        visible_inlier_ratio=0.4,
        feature_inliers=query.feature_inliers,
        agreeing=query.feature_inliers > 7 and not contradicted,
        contradicted=contradicted,
    )
    assert not statistics_of(query, None, DEPTH_M).contradicted
    query.lacks_landmarks = True
    assert statistics_of(query, None, DEPTH_M).contradicted


@pytest.mark.parametrize(
    ('found', 'one'),
    [
        (None, False),
        (features(0.05, 7), False),
        (features(0.05, 8), True),
        (features(0.5, 10), False),
    ],
)
def test_few_features_may_confirm_the_landmark_view(found, one):
    assert tell_one_view(landmarks(), found, DEPTH_M) is one


@pytest.mark.parametrize(
    ('alignment', 'ratio'),
    [
        (landmarks(), 0.4),
        (landmarks(poorly_distributed=True), 0.0),
        (landmarks(repetitive=True), 0.0),
        (None, 0.0),
    ],
)
def test_corner_or_repetitive_landmarks_verify_nothing(alignment, ratio):
    assert verified_ratio(alignment) == ratio


@pytest.mark.parametrize(
    ('ratio', 'sigma_m', 'result'),
    [
        (0.5, 0.0, Result.ACCEPTED),
        (0.5, 1.0, Result.ACCEPTED),
        (0.5, 0.01, Result.POSITION_UNDETERMINED),
        (0.1, 1.0, Result.LOW_INLIERS),
    ],
)
def test_acceptance_model_applies_to_a_localization(ratio, sigma_m, result):
    raw = Localization(
        Result.ACCEPTED,
        world_from_camera=np.eye(4),
        covariance=np.eye(6) * 1e-4,
        statistics=PoseStatistics(visible_inlier_ratio=ratio),
    )
    model = AcceptanceModel()
    found = judged(raw, model, sigma_m)
    assert found.result is result
    np.testing.assert_array_equal(
        found.covariance, model.covariance(raw.covariance, raw.statistics)
    )
    expected = confidence(raw.statistics, found.covariance, model)
    refused = result is not Result.ACCEPTED
    assert found.confidence == (min(expected, REFUSED_MOST) if refused else expected)
    nothing = Localization(Result.LOW_INLIERS, 'nowhere')
    assert judged(nothing, model) is nothing


def query_of(image):
    return SimpleNamespace(
        image=image.clip(0, 255).astype(np.uint8),
        valid_mask=np.ones(image.shape, bool),
        frame=SimpleNamespace(stamp_ns=1, name='one'),
        clock=SimpleNamespace(laps={}),
    )


@pytest.mark.parametrize('sigma', [0.0, 4.0, 10.0])
def test_noise_of_a_covered_camera_is_no_contrast(sigma):
    noise = np.random.default_rng(0).normal(12.0, sigma, (240, 320))
    found = unusable_image(query_of(noise))
    assert found is not None and found.result is Result.BAD_IMAGE
    dim = noise + 5.0 * np.sin(np.arange(320) / 10.0)
    assert unusable_image(query_of(dim)) is None
