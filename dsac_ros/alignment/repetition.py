# SPDX-License-Identifier: Apache-2.0
"""Patterns that repeat themselves: bricks fit where they are, and a period off as well.

Then a pose is as good as its neighbours, however many landmarks look as they should at it. It
shows in the image: the landmarks, moved together by some pixels, look as they should again, and
less so in between. Where they look less and less so, as along an edge, one pose fits best.
"""
from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import max_pool2d

from dsac_ros.alignment import match
from dsac_ros.alignment.landmarks import Landmarks, Pyramid
from dsac_ros.alignment.support import ALIKE

LEVEL = 2        # of the pyramid, whose pixels are 4 px
REACH = 20       # of the displacement [px of the level]
OWN = 4          # within which a landmark looks like itself [px of the level]
MOST = 128       # landmarks that are moved
# Share of the landmarks that look alike after one displacement: in rooms and on the rooftop up to
# 0.5, on bricks nearly all.
REPEATING = 0.6


def repeats(image: Pyramid, seen: Landmarks, camera_from_map: Tensor, matrix: Tensor) -> bool:
    """Return True if landmarks fit an image elsewhere, too, all displaced alike.

    Args:
        image: the image.
        seen: landmarks in view.
        camera_from_map: pose (4, 4) at which they fit.
        matrix: intrinsics (3, 3).
    """
    predicted = match.predict(seen, camera_from_map, matrix)
    here = match.correlate(image, LEVEL, seen.templates, predicted, 0)[:, 0, 0]
    best = here.argsort(descending=True)[:MOST]
    best = best[here[best] > ALIKE]
    if not len(best):
        return False
    moved = match.Prediction(predicted.pixels[best], predicted.warp[best])
    alike = match.correlate(image, LEVEL, seen.templates[best], moved, REACH) > ALIKE
    share = alike.float().mean(0)
    highest = max_pool2d(share[None], 2 * OWN + 1, stride=1, padding=OWN)[0]
    elsewhere = torch.where(share == highest, share, 0.0)
    elsewhere[REACH - OWN:REACH + OWN + 1, REACH - OWN:REACH + OWN + 1] = 0.0
    return bool(elsewhere.max() > REPEATING)
