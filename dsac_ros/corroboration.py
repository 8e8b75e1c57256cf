# SPDX-License-Identifier: Apache-2.0
"""Evidence beyond the pose of one image: several images together, and twins of the place."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from dsac_ros.alignment.feature_localizer import CHANCE
from dsac_ros.alignment.rig import SUPPORT, RigView, estimate_rig_pose
from dsac_ros.compute.frame_cache import FrameCache
from dsac_ros.decision import SAME_VIEW, in_world, judged
from dsac_ros.geometry.se3 import same_view
from dsac_ros.localizer import Localizer
from dsac_ros.types import Frame, Localization, PoseStatistics, Result

MIN_SUPPORTING_VIEWS = 2
# Of the depth: views whose points are no further from the middle of an image's view share it.
PLACE = 1.0
# Times that more views of this place are left out.
PLACES = 3


def localize_rig(
    localizer: Localizer, views: Sequence[RigView], stamp_ns: int = 0
) -> Localization:
    """Localize a rig by the matches of several of its images, too few in each of them.

    The pose and its covariance are those of the rig. It takes as many features as one image
    would need, and two images that support the pose.
    """
    with torch.inference_mode():
        found = estimate_rig_pose(views)
    if found is None or found.supporting_views < MIN_SUPPORTING_VIEWS:
        counts = () if found is None else found.inlier_counts
        return Localization(
            Result.LOW_INLIERS,
            f'{len(views)} images have {"/".join(map(str, counts)) or "no"} inliers of one '
            f'pose, expected {SUPPORT} in {MIN_SUPPORTING_VIEWS} of them',
            stamp_ns,
        )
    pose, covariance = in_world(found.world_from_rig, found.covariance, localizer.map.origin)
    together = Localization(
        Result.ACCEPTED,
        '',
        stamp_ns,
        world_from_camera=pose,
        covariance=covariance,
        statistics=PoseStatistics(feature_inliers=found.inlier_count),
    )
    return judged(
        together, localizer.acceptance, localizer.max_position_sigma * localizer.network.scale
    )


def has_twin(localizer: Localizer, frame: Frame, world_from_camera: np.ndarray) -> bool:
    """Return True if another place of the map fits an image, too: rooms that look the same.

    A pose (4, 4) that is right and one in the twin of its room are verified alike. Where mapping
    found that the place has a twin, it has. Else features of the image are matched with the points
    that no view of this place saw: a pose by them that is another view, and has more inliers than
    by chance, is that of a twin. It costs about as much as a query; ask where a wrong pose would
    do harm.
    """
    query = localizer.query(frame, cache=FrameCache())
    if localizer.shows_twin(query):
        return True
    pose, depth = localizer.in_map(world_from_camera), localizer.network.scale
    centre, others = (pose[:3, 3] + depth * pose[:3, 2]).cpu().numpy(), localizer.features
    for _ in range(PLACES):
        others = others.outside(centre, PLACE * depth)
        with torch.inference_mode():
            found = others.localize(frame, query.resampler, localizer.budgets.full, query.cache)
        if found.inlier_count <= CHANCE:
            return False
        if not same_view(found.estimate.world_from_camera[0].to(pose), pose, SAME_VIEW, depth):
            return True
        # Views of this place are left, nearer or further than thought: by what they show.
        centre = found.guided.points_world[0].mean(0).cpu().numpy()
    return False
