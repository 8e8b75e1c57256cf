# SPDX-License-Identifier: Apache-2.0
"""How much of what a pose should show an image does show, whatever stands before the rest.

Of all landmarks in view half may be hidden behind a person, so their plain share says little: a
wrong pose that matches a poster and a table's edge by chance reaches as much. But what is hidden
is hidden together, and what matches by chance does so here and there: where one landmark looks as
it should, its neighbours must as well.
"""
from __future__ import annotations

import torch
from torch import Tensor

from dsac_ros.alignment import match
from dsac_ros.alignment.landmarks import PATCH, Landmarks, Pyramid, parts

ALIKE = 0.6         # correlation of a match
CHANCE = 0.3        # correlation that says nothing
FIT_LEVELS = (0, 1, 2)  # of the pyramid: on the finest a pose that is a little off fits less
NEIGHBOURS = 8      # of a landmark, that are asked
DOUBT = 0.2         # share of the landmarks that are always looked for, hidden or not
# Of the 48 parts of an image: a pose by what lies in fewer turns about it, though all of it fits.
LEAST_PARTS = 8
# Levels of 2 px and, where motion has blurred the image, of 4 px: how much a share on them counts.
# Large patches are alike more often by chance.
LEVELS = {1: 1.0, 2: 0.5}


def support(image: Pyramid, seen: Landmarks, camera_from_map: Tensor,
            matrix: Tensor) -> tuple[float, float, float, bool]:
    """How well the landmarks in view look as they should, just where a camera there sees them.

    Fit: how much more than by chance, summed over them and the levels. Their share of those that
    are not hidden (`share_in_sight`), and of all, on the level that shows most. Whether what looks
    as it should lies in a corner of the image.
    """
    if not len(seen):
        return 0.0, 0.0, 0.0, True
    predicted = match.predict(seen, camera_from_map, matrix)
    likeness = {number: match.correlate(image, number, seen.templates, predicted, 0)[:, 0, 0]
                for number in FIT_LEVELS}
    alike = {number: likeness[number] > ALIKE for number in LEVELS}
    fit = sum(float((one - CHANCE).clamp(min=0).sum()) for one in likeness.values())
    share = max(weight * share_in_sight(alike[number], predicted.pixels, 2.0 ** number * PATCH)
                for number, weight in LEVELS.items())
    part = parts(predicted.pixels, image.size_wh)
    corner = max(len(part[one].unique()) for one in alike.values()) < LEAST_PARTS
    return fit, share, max(float(one.float().mean()) for one in alike.values()), corner


def share_in_sight(alike: Tensor, pixels: Tensor, side_px: float) -> float:
    """Of N landmarks at pixels (N, 2), those in sight, the share that is alike (N,) bool.

    A landmark is in sight as far as its nearest neighbours look as they should; its own looks do
    not count, nor do patches that overlap its own of side_px: so chance gives no more than it
    gives everywhere. A few in a corner prove nothing, hence the doubt.
    """
    distance = torch.cdist(pixels, pixels)
    distance = torch.where(distance < side_px, torch.inf, distance)
    near = distance.topk(min(NEIGHBOURS, len(pixels)), largest=False)
    in_sight = (alike[near.indices] & near.values.isfinite()).float().mean(1)
    return float((in_sight * alike).sum() / (in_sight.sum() + DOUBT * len(pixels)))
