# SPDX-License-Identifier: Apache-2.0
"""Search over candidate poses: refine them one by one until one is accepted."""
from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

from torch import Tensor

from dsac_ros.alignment.align import Alignment
from dsac_ros.alignment.landmarks import LEVELS
from dsac_ros.geometry.se3 import rotation_angle, same_view
from dsac_ros.ransac.estimator import PoseEstimate

# Inlier ratios of all landmarks in view: from ACCEPTED on no better candidate is looked for; below
# HOPELESS an alignment is not restarted; from CERTAIN on one that moved far is not either. Of all,
# because a pose that fits a part of the image alone has a high ratio among the visible ones.
ACCEPTED, HOPELESS, CERTAIN = 0.6, 0.15, 0.85
RESTART_LEVEL = 1  # coarsest level of a restart from a pose that is accepted
STILL = 0.01       # an alignment that changed the view by less has converged
# A pose that alignment turned further than this may have ended where only a part of the image
# fits: other candidates are tried as well, however high its inlier ratio is.
NEAR_RAD = 0.03
# Two candidates that converge to the same view are accepted at this visible inlier ratio. The
# second begins so near to where the first one ended, or ends there.
TWICE = 0.25
BEGINS, ENDS = 0.03, 0.003
# Exponent of the outlier ratio of a view that two candidates converged to.
AGAIN = 1.5
# After so many candidates none of which reaches this inlier ratio the image is given up: negatives
# in three places reach it in one of 150 alignments; where a pose was found later than third, one
# before it had reached 0.3.
TRIED, UNLIKELY = 3, 0.25


def refine_with_restarts(pose: Tensor, align: Callable[[Tensor, int], Alignment | None],
                         depth: float) -> Alignment | None:
    """Align a pose (4, 4), and restart from where that ended while it is not accepted.

    Args:
        pose: world_from_camera to start from.
        align: `align.align` of one image, given a pose and the coarsest level.
        depth: median depth of the scene [m].
    """
    best: Alignment | None = None
    for furthest in (LEVELS - 2, LEVELS - 1, LEVELS - 1):
        accepted = best is not None and best.verification.inlier_ratio >= ACCEPTED
        coarsest = RESTART_LEVEL if accepted else furthest
        found = align(pose, coarsest)
        if found is None and best is None and coarsest < LEVELS - 1:
            continue
        if found is None or (best is not None
                             and found.verification.score <= best.verification.score):
            break
        best, ratio = found, found.verification.inlier_ratio
        # from there more landmarks may be within reach, and less wrongly warped
        limit = STILL if ratio < ACCEPTED else NEAR_RAD
        converged = same_view(found.world_from_camera, pose, limit, depth)
        if converged or not HOPELESS <= ratio < CERTAIN:
            break
        pose = found.world_from_camera
    return best


def search(candidates: Iterable[PoseEstimate], align: Callable[[Tensor], Alignment | None],
           depth: float) -> Alignment | None:
    """Return the best alignment of candidates (1,); None if none could be aligned.

    Candidates come with the most likely first, and each is computed only when those before it are
    not accepted. The visible inlier ratio counts for more where several lead to the same view.

    Args:
        candidates: poses to start from.
        align: alignment of a pose (4, 4) with restarts.
        depth: median depth of the scene [m].
    """
    best: Alignment | None = None
    twice, turned = False, 0.0
    ratios: list[float] = []
    for candidate in candidates:
        pose = candidate.world_from_camera[0]
        if not bool(candidate.found[0]):
            continue
        if (best is not None and best.verification.visible_inlier_ratio > TWICE
                and same_view(best.world_from_camera, pose, BEGINS, depth)):
            twice = True
            break
        found = align(pose)
        ratios.append(0.0 if found is None else found.verification.inlier_ratio)
        if len(ratios) >= TRIED and max(ratios) < UNLIKELY:
            break
        if found is None:
            continue
        again = best is not None and same_view(best.world_from_camera, found.world_from_camera,
                                               ENDS, depth)
        if best is None or found.verification.score > best.verification.score:
            twice = twice and again
            best = found
            turned = float(rotation_angle(best.world_from_camera[:3, :3].T @ pose[:3, :3]))
        twice |= again
        if ((twice and best.verification.visible_inlier_ratio > TWICE)
                or (turned < NEAR_RAD and best.verification.inlier_ratio >= ACCEPTED)):
            break
    return raised(best) if best is not None and twice else best


def raised(found: Alignment) -> Alignment:
    """Raise the visible inlier ratio of a view that two candidates converged to."""
    outliers = 1 - found.verification.visible_inlier_ratio
    return replace(found, verification=replace(
        found.verification, visible_inlier_ratio=1 - outliers ** AGAIN))
