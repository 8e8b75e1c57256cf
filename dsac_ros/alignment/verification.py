# SPDX-License-Identifier: Apache-2.0
"""Occlusion-aware verification of a pose by the correlation of landmarks with the image.

Half of all landmarks in view may be occluded by a person, so their plain inlier ratio says little:
a wrong pose that matches a poster and a table's edge by chance reaches as much. But occluded
landmarks lie together, and chance inliers lie apart: where one landmark is an inlier, its
neighbours must be as well.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from dsac_ros.alignment import match
from dsac_ros.alignment.landmarks import PATCH, Landmarks, Pyramid, grid_bins
from dsac_ros.config import NOT_MEASURED, setting

INLIER_NCC = 0.6  # normalised cross-correlation of an inlier
# Levels whose correlation makes the score: on the finest a pose that is a little off scores less.
SCORE_LEVELS = (0, 1, 2)
# Level -> weight of the inlier ratio on it: pixels of 2 px and, where motion has blurred the
# image, of 4 px. Large patches correlate more often by chance.
WEIGHTS = {1: 1.0, 2: 0.5}


@dataclass(frozen=True)
class VerificationConfig:
    """Settings of the verification of a pose."""

    chance_ncc: float = setting(
        0.3, 'correlation that adds nothing to the score', origin=NOT_MEASURED
    )
    neighbours: int = setting(
        8, 'nearest landmarks that tell whether one is occluded', origin=NOT_MEASURED
    )
    prior: float = setting(
        0.2, 'share of the landmarks that always counts as visible', origin=NOT_MEASURED
    )
    least_bins: int = setting(
        8,
        'grid bins of 48 with inliers, below which they lie in a corner',
        origin='poses by a far patch alone were half a metre and 6 deg off',
    )


@dataclass(frozen=True)
class Verification:
    """Evidence of landmarks for a pose of an image.

    score: how much more than by chance the landmarks correlate, summed over them and the levels;
    comparable between poses of one image. inlier_ratio: inliers among all landmarks in view, on
    the level that shows most. visible_inlier_ratio: among those that are not occluded.
    poorly_distributed: the inliers lie in a corner of the image.
    """

    score: float
    visible_inlier_ratio: float
    inlier_ratio: float
    poorly_distributed: bool


def verify_pose(
    image: Pyramid,
    landmarks: Landmarks,
    camera_from_map: Tensor,
    matrix: Tensor,
    config: VerificationConfig = VerificationConfig(),
) -> Verification:
    """Verify a pose of an image by the landmarks in view, exactly where the pose projects them.

    Args:
        image: pyramid of the image.
        landmarks: those in view.
        camera_from_map: pose (4, 4).
        matrix: intrinsics (3, 3).
        config: settings.
    """
    if not len(landmarks):
        return Verification(0.0, 0.0, 0.0, True)
    predicted = match.predict(landmarks, camera_from_map, matrix)
    ncc = {
        level: match.correlate(image, level, landmarks.templates, predicted, 0)[:, 0, 0]
        for level in SCORE_LEVELS
    }
    inliers = {level: ncc[level] > INLIER_NCC for level in WEIGHTS}
    score = sum(float((one - config.chance_ncc).clamp(min=0).sum()) for one in ncc.values())
    visible_ratio = max(
        weight * visible_inlier_ratio(inliers[level], predicted.pixels, 2.0**level * PATCH, config)
        for level, weight in WEIGHTS.items()
    )
    bins = grid_bins(predicted.pixels, image.size_wh)
    occupied = max(len(bins[one].unique()) for one in inliers.values())
    return Verification(
        score,
        visible_ratio,
        max(float(one.float().mean()) for one in inliers.values()),
        occupied < config.least_bins,
    )


def visible_inlier_ratio(
    inlier: Tensor,
    pixels: Tensor,
    side_px: float,
    config: VerificationConfig = VerificationConfig(),
) -> float:
    """Return the inlier ratio of the landmarks that are not occluded.

    A landmark is visible as far as its nearest neighbours are inliers. Its own correlation does
    not count, nor do patches that overlap its own, so that chance inliers do not raise the ratio.
    A few in a corner prove nothing, hence the prior.

    Args:
        inlier: (N,) bool of the landmarks.
        pixels: where they project to (N, 2).
        side_px: side of their patches [px].
        config: settings.
    """
    distance = torch.cdist(pixels, pixels)
    distance = torch.where(distance < side_px, torch.inf, distance)
    near = distance.topk(min(config.neighbours, len(pixels)), largest=False)
    visible = (inlier[near.indices] & near.values.isfinite()).float().mean(1)
    return float((visible * inlier).sum() / (visible.sum() + config.prior * len(pixels)))
