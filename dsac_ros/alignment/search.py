# SPDX-License-Identifier: Apache-2.0
"""The search for a pose: which of several is believed, and when no more are tried."""
from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

from torch import Tensor

from dsac_ros.alignment.align import Alignment
from dsac_ros.alignment.landmarks import LEVELS
from dsac_ros.geometry.se3 import rotation_angle, same_view
from dsac_ros.ransac.estimator import PoseEstimate

# Shares of all landmarks in view that look as they should: at the first nothing better is looked
# for; below the other alignment has found nothing to hold on to. Of all, because a pose that fits
# a part of the image, and nothing else, shows a large share of those in sight.
CONVINCING, HOPELESS = 0.6, 0.15
SURE = 0.85      # and from here on a pose that moved far is not aligned once more
REVISED = 1      # the coarsest level of a second look at a pose that convinces
STILL = 0.01     # a view that alignment changed by less will not change any more
# A pose that alignment turned further than this may have ended where only a part of the image
# fits: however well it looks there, others are tried as well.
NEAR_RAD = 0.03
# Two ways to the same view convince at this share of the landmarks that nothing hides: another way
# may begin so near to where the first one ended, or end there.
TWICE = 0.25
BEGINS, ENDS = 0.03, 0.003
AGAIN = 1.5      # landmarks for each that there is, where another way led to the same view
# After so many candidates of which none shows this share of all landmarks, the image is given up:
# impostors in three places show it in one of 150 alignments; where a pose was found later than
# third, one before it had shown 0.3.
TRIED, UNLIKELY = 3, 0.25


def approach(pose: Tensor, align: Callable[[Tensor, int], Alignment | None],
             depth: float) -> Alignment | None:
    """`align.align` of a pose (4, 4), reaching further where that does not convince.

    align: a pose and the coarsest level to the alignment; depth: of what is seen, about [m].
    """
    best: Alignment | None = None
    for furthest in (LEVELS - 2, LEVELS - 1, LEVELS - 1):
        convinced = best is not None and best.overall >= CONVINCING
        coarsest = REVISED if convinced else furthest
        found = align(pose, coarsest)
        if found is None and best is None and coarsest < LEVELS - 1:
            continue
        if found is None or (best is not None and found.fit <= best.fit):
            break
        best = found
        # from there more landmarks may be within reach, and less wrongly warped
        limit = STILL if found.overall < CONVINCING else NEAR_RAD
        still = same_view(found.world_from_camera, pose, limit, depth)
        if still or not HOPELESS <= found.overall < SURE:
            break
        pose = found.world_from_camera
    return best


def search(candidates: Iterable[PoseEstimate], align: Callable[[Tensor], Alignment | None],
           depth: float) -> Alignment | None:
    """The best alignment of candidates (1,); None where none could be aligned.

    The likeliest candidates first: one is only asked for when those before it do not convince.
    The share of the landmarks counts for more where several led to the same view.
    """
    best: Alignment | None = None
    start: Tensor | None = None
    twice = False
    shown: list[float] = []
    for candidate in candidates:
        pose = candidate.world_from_camera[0]
        if not bool(candidate.found[0]):
            continue
        if best is not None and best.share > TWICE and same_view(best.world_from_camera, pose,
                                                                 BEGINS, depth):
            twice = True
            break
        found = align(pose)
        shown.append(0.0 if found is None else found.overall)
        if len(shown) >= TRIED and max(shown) < UNLIKELY:
            break
        if found is None:
            continue
        again = best is not None and same_view(best.world_from_camera, found.world_from_camera,
                                               ENDS, depth)
        if best is None or found.fit > best.fit:
            twice = twice and again
            best, start = found, pose
        twice |= again
        turned = rotation_angle(best.world_from_camera[:3, :3].T @ start[:3, :3])
        if (twice and best.share > TWICE) or (turned < NEAR_RAD and best.overall >= CONVINCING):
            break
    return replace(best, share=1 - (1 - best.share) ** AGAIN) if twice else best
