# SPDX-License-Identifier: Apache-2.0
"""Search over candidate poses: refine them one by one until one is accepted."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from torch import Tensor

from dsac_ros.alignment.align import Alignment
from dsac_ros.alignment.landmarks import LEVELS
from dsac_ros.config import NOT_MEASURED, setting
from dsac_ros.geometry.se3 import rotation_angle, same_view
from dsac_ros.ransac.estimator import PoseEstimate

RESTART_LEVEL = 1  # coarsest level of a restart from a pose that is accepted


@dataclass(frozen=True)
class SearchConfig:
    """Settings of the search; ratios are inliers of all landmarks in view.

    Of all, because a pose that fits a part of the image alone has a high ratio among the visible
    ones.
    """

    accepted_ratio: float = setting(
        0.6, 'inlier ratio at which no better candidate is sought', origin=NOT_MEASURED
    )
    hopeless_ratio: float = setting(
        0.15, 'inlier ratio below which no alignment is restarted', origin=NOT_MEASURED
    )
    certain_ratio: float = setting(
        0.85, 'inlier ratio from which on none is restarted either', origin=NOT_MEASURED
    )
    converged: float = setting(
        0.01,
        'change of the view, as a share of the depth or [rad], below '
        'which an alignment has converged',
        origin=NOT_MEASURED,
    )
    near: float = setting(
        0.03,
        'the same within which another candidate leads to the same view; '
        'an alignment that turned further may fit a part of the image alone',
        origin=NOT_MEASURED,
    )
    same: float = setting(
        0.003, 'the same within which two alignments are one view', origin=NOT_MEASURED
    )
    twice_ratio: float = setting(
        0.25,
        'visible inlier ratio at which two candidates that lead to the same view are accepted',
        origin=NOT_MEASURED,
    )
    twice_exponent: float = setting(
        1.5,
        'exponent of the outlier ratio of such a view',
        origin='between one witness (1) and two independent ones (2)',
    )
    tries: int = setting(
        3,
        'candidates after which an image may be given up',
        origin='where a later one succeeded, one of the first three had 0.3',
    )
    unlikely_ratio: float = setting(
        0.25,
        'inlier ratio that one of them must have',
        origin='of 36 mirrored images of three places one reaches it',
    )


def refine_with_restarts(
    pose: Tensor,
    align: Callable[[Tensor, int], Alignment | None],
    depth: float,
    config: SearchConfig = SearchConfig(),
) -> Alignment | None:
    """Align a pose (4, 4), and restart from where that ended while it is not accepted.

    Args:
        pose: world_from_camera to start from.
        align: `align.align` of one image, given a pose and the coarsest level.
        depth: median depth of the scene [m].
        config: settings.
    """
    best: Alignment | None = None
    for furthest in (LEVELS - 2, LEVELS - 1, LEVELS - 1):
        accepted = best is not None and best.verification.inlier_ratio >= config.accepted_ratio
        coarsest = RESTART_LEVEL if accepted else furthest
        found = align(pose, coarsest)
        if found is None and best is None and coarsest < LEVELS - 1:
            continue
        if found is None or (
            best is not None and found.verification.score <= best.verification.score
        ):
            break
        best, ratio = found, found.verification.inlier_ratio
        # from there more landmarks may be within reach, and less wrongly warped
        limit = config.converged if ratio < config.accepted_ratio else config.near
        converged = same_view(found.world_from_camera, pose, limit, depth)
        if converged or not config.hopeless_ratio <= ratio < config.certain_ratio:
            break
        pose = found.world_from_camera
    return best


def search(
    candidates: Iterable[PoseEstimate],
    align: Callable[[Tensor], Alignment | None],
    depth: float,
    config: SearchConfig = SearchConfig(),
) -> Alignment | None:
    """Return the best alignment of candidates (1,); None if none could be aligned.

    Candidates come with the most likely first, and each is computed only when those before it are
    not accepted. The visible inlier ratio counts for more where several lead to the same view.

    Args:
        candidates: poses to start from.
        align: alignment of a pose (4, 4) with restarts.
        depth: median depth of the scene [m].
        config: settings.
    """
    best: Alignment | None = None
    twice, turned = False, 0.0
    ratios: list[float] = []
    for candidate in candidates:
        pose = candidate.world_from_camera[0]
        if not bool(candidate.found[0]):
            continue
        if (
            best is not None
            and best.verification.visible_inlier_ratio > config.twice_ratio
            and same_view(best.world_from_camera, pose, config.near, depth)
        ):
            twice = True
            break
        found = align(pose)
        ratios.append(0.0 if found is None else found.verification.inlier_ratio)
        if len(ratios) >= config.tries and max(ratios) < config.unlikely_ratio:
            break
        if found is None:
            continue
        again = best is not None and same_view(
            best.world_from_camera, found.world_from_camera, config.same, depth
        )
        if best is None or found.verification.score > best.verification.score:
            twice = twice and again
            best = found
            turned = float(rotation_angle(best.world_from_camera[:3, :3].T @ pose[:3, :3]))
        twice |= again
        if (twice and best.verification.visible_inlier_ratio > config.twice_ratio) or (
            turned < config.near and best.verification.inlier_ratio >= config.accepted_ratio
        ):
            break
    return raised(best, config) if best is not None and twice else best


def raised(found: Alignment, config: SearchConfig) -> Alignment:
    """Raise the visible inlier ratio of a view that two candidates converged to."""
    outliers = 1 - found.verification.visible_inlier_ratio
    return replace(
        found,
        verification=replace(
            found.verification, visible_inlier_ratio=1 - outliers**config.twice_exponent
        ),
    )
