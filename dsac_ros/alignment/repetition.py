# SPDX-License-Identifier: Apache-2.0
"""Detection of repetitive structure: bricks fit where they are, and a period off as well.

Then a pose is as good as its neighbours, however high its inlier ratio is. It shows in the image:
the landmarks, displaced together by some pixels, are inliers again, and fewer are in between.
Where the ratio falls steadily with the displacement, as along an edge, one pose fits best.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import max_pool2d

from dsac_ros.alignment import match
from dsac_ros.alignment.landmarks import Landmarks, Pyramid
from dsac_ros.alignment.verification import INLIER_NCC
from dsac_ros.config import NOT_MEASURED, setting

LEVEL = 2  # of the pyramid, whose pixels are 4 px


@dataclass(frozen=True)
class RepetitionConfig:
    """Settings of the detection; pixels are those of the level."""

    reach: int = setting(20, 'largest displacement', unit='px', origin=NOT_MEASURED)
    own_peak: int = setting(
        4,
        'radius within which a landmark matches itself',
        unit='px',
        origin='half the side of a template',
    )
    most: int = setting(128, 'landmarks that are displaced', origin=NOT_MEASURED)
    ratio: float = setting(
        0.6,
        'inlier ratio of a second peak that makes landmarks repetitive',
        origin='in rooms and on a rooftop up to 0.5, on bricks near 1',
    )


def is_repetitive(
    image: Pyramid,
    landmarks: Landmarks,
    camera_from_map: Tensor,
    matrix: Tensor,
    config: RepetitionConfig = RepetitionConfig(),
) -> bool:
    """Return True if the landmarks fit an image again when all are displaced alike.

    Args:
        image: pyramid of the image.
        landmarks: those in view.
        camera_from_map: pose (4, 4) at which they fit.
        matrix: intrinsics (3, 3).
        config: settings.
    """
    reach, own = config.reach, config.own_peak
    predicted = match.predict(landmarks, camera_from_map, matrix)
    ncc = match.correlate(image, LEVEL, landmarks.templates, predicted, 0)[:, 0, 0]
    best = ncc.argsort(descending=True)[: config.most]
    best = best[ncc[best] > INLIER_NCC]
    if not len(best):
        return False
    around = match.Prediction(predicted.pixels[best], predicted.warp[best])
    ratio = (
        (match.correlate(image, LEVEL, landmarks.templates[best], around, reach) > INLIER_NCC)
        .float()
        .mean(0)
    )
    highest = max_pool2d(ratio[None], 2 * own + 1, stride=1, padding=own)[0]
    peaks = torch.where(ratio == highest, ratio, 0.0)
    peaks[reach - own : reach + own + 1, reach - own : reach + own + 1] = 0.0
    return bool(peaks.max() > config.ratio)
