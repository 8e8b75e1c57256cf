# SPDX-License-Identifier: Apache-2.0
"""Contradictions: landmarks of one map that an image lacks where it shows those of another map.

Rooms that look alike verify each other's images, by whatever they have in common. What tells them
apart is local: where a print hangs in one room and another print in the other one, an image shows
all landmarks of one map and none of the other. A landmark that is occluded, or of poor depth, or
in a part of the room that one map never saw, is no contradiction: no other landmark is found
there either, it is found a few pixels away, or there is none.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from dsac_ros.alignment import match
from dsac_ros.alignment.landmarks import PATCH, Landmarks, Pyramid
from dsac_ros.alignment.verification import INLIER_NCC, visible_inlier_ratio

LEVEL, REACH = 1, 6  # landmarks are looked for within 12 px of where a pose projects them
NEAR = 1 / 12  # of the short side of an image: landmarks this near show one thing
LEAST_NEAR = 3  # landmarks of either map there
SHOWN, MISSING = 0.7, 0.34  # shares that are found there of one map, at least, and of the other
# Chance finds every seventh landmark, apart from one another: of those that are not occluded 0.02
# to 0.10 at wrong poses that features tell, and 0.13 or more at nearly all right ones in fourteen
# places, with half of the image covered.
LEAST_SOUGHT, LEAST_SHOWN = 30, 0.12


@dataclass(frozen=True)
class SoughtLandmarks:
    """Landmarks in view: their pixels (N, 2) and which of them (N,) bool an image shows."""

    pixels: Tensor
    found: Tensor

    @property
    def ratio(self) -> float:
        """Share of the landmarks that the image shows."""
        return float(self.found.float().mean()) if len(self.found) else 0.0

    @property
    def are_missing(self) -> bool:
        """True if the image shows no more of many landmarks than by chance."""
        if len(self.found) < LEAST_SOUGHT:
            return False
        return visible_inlier_ratio(self.found, self.pixels, 2.0**LEVEL * PATCH) < LEAST_SHOWN


def seek(
    image: Pyramid, landmarks: Landmarks, camera_from_map: Tensor, matrix: Tensor
) -> SoughtLandmarks:
    """Look for the landmarks that a pose (4, 4) brings into view, around where it projects them.

    Args:
        image: pyramid of the image.
        landmarks: all of a map.
        camera_from_map: pose (4, 4).
        matrix: intrinsics (3, 3).
    """
    chosen = landmarks.take(
        match.visible(landmarks, camera_from_map, matrix, image.size_wh, image.mask)
    )
    if not len(chosen):
        nothing = landmarks.points.new_zeros(0)
        return SoughtLandmarks(nothing.view(0, 2), nothing.bool())
    predicted = match.predict(chosen, camera_from_map, matrix)
    scores = match.correlate(image, LEVEL, chosen.templates, predicted, REACH)
    return SoughtLandmarks(predicted.pixels, scores.flatten(1).amax(1) > INLIER_NCC)


def contradictions(shown: SoughtLandmarks, missed: SoughtLandmarks, short_side: float) -> int:
    """Count landmarks of one map that are missing where those of another map are shown.

    Args:
        shown: landmarks of the map that the image may show.
        missed: those of the map that it contradicts.
        short_side: of the image [px].
    """
    if not len(shown.found) or not len(missed.found):
        return 0
    radius = NEAR * short_side
    others = torch.cdist(missed.pixels, shown.pixels) < radius
    own = torch.cdist(missed.pixels, missed.pixels) < radius
    is_shown = (others & shown.found).sum(1) >= SHOWN * others.sum(1)
    is_missing = (own & missed.found).sum(1) <= MISSING * own.sum(1)
    enough = (others.sum(1) >= LEAST_NEAR) & (own.sum(1) >= LEAST_NEAR)
    return int((~missed.found & is_shown & is_missing & enough).sum())
