# SPDX-License-Identifier: Apache-2.0
"""Detection of repetitive structure: bricks fit where they are, and a period off as well.

Then a pose is as good as its neighbours, however high its inlier ratio is. It shows in the image:
the landmarks, displaced together by some pixels, are inliers again, and fewer are in between.
Where the ratio falls steadily with the displacement, as along an edge, one pose fits best.
"""
from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import max_pool2d

from dsac_ros.alignment import match
from dsac_ros.alignment.landmarks import Landmarks, Pyramid
from dsac_ros.alignment.verification import INLIER_NCC

LEVEL = 2        # of the pyramid, whose pixels are 4 px
REACH = 20       # of the displacement [px of the level]
OWN_PEAK = 4     # radius within which a landmark matches itself [px of the level]
MOST = 128       # landmarks that are displaced
# Inlier ratio after one displacement: in rooms and on the rooftop up to 0.5, on bricks near 1.
REPETITIVE = 0.6


def is_repetitive(image: Pyramid, landmarks: Landmarks, camera_from_map: Tensor,
                  matrix: Tensor) -> bool:
    """Return True if the landmarks fit an image again when all are displaced alike.

    Args:
        image: pyramid of the image.
        landmarks: those in view.
        camera_from_map: pose (4, 4) at which they fit.
        matrix: intrinsics (3, 3).
    """
    predicted = match.predict(landmarks, camera_from_map, matrix)
    ncc = match.correlate(image, LEVEL, landmarks.templates, predicted, 0)[:, 0, 0]
    best = ncc.argsort(descending=True)[:MOST]
    best = best[ncc[best] > INLIER_NCC]
    if not len(best):
        return False
    around = match.Prediction(predicted.pixels[best], predicted.warp[best])
    ratio = (match.correlate(image, LEVEL, landmarks.templates[best], around, REACH)
             > INLIER_NCC).float().mean(0)
    highest = max_pool2d(ratio[None], 2 * OWN_PEAK + 1, stride=1, padding=OWN_PEAK)[0]
    peaks = torch.where(ratio == highest, ratio, 0.0)
    peaks[REACH - OWN_PEAK:REACH + OWN_PEAK + 1, REACH - OWN_PEAK:REACH + OWN_PEAK + 1] = 0.0
    return bool(peaks.max() > REPETITIVE)
