# SPDX-License-Identifier: Apache-2.0
"""Poses of odometry made to agree with the images before a map is learned from them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from dsac_ros.errors import MappingError
from dsac_ros.mapping.data.dataset import Dataset
from dsac_ros.mapping.data.view import View
from dsac_ros.mapping.sfm.bundle_adjustment import adjusted
from dsac_ros.mapping.sfm.matching import agreeing, match
from dsac_ros.mapping.sfm.tracks import linked

GATES_PX = (12.0, 6.0, 3.0)  # how far off an observation may be, while the poses come closer
ROBUST = 0.25  # of the gate: from there on an observation counts for less
DEPTH_ERROR = 0.2  # of a point: to say how a camera is turned it need not be precise
LEAST_POINTS = 50  # that three views or more must see
MOST = 400  # views whose poses are unknowns: the time grows with their cube


def refined(data: Dataset, progress: Callable[[float], None] = lambda share: None) -> Dataset:
    """The data with poses at which features of the images meet in points.

    Of at most MOST views, evenly spread; those between move with the one before them. Origin,
    attitude and scale stay those of the given poses as a whole, since images do not know them.
    Raises MappingError where the images share too little.
    """
    every = math.ceil((len(data.views) + len(data.held_out)) / MOST)
    first = data.views[::every]
    chosen = [*first, *data.held_out[::every]]
    there = [
        pose @ np.linalg.inv(view.scene_from_camera)
        for view, pose in zip(chosen, agreed_poses(chosen, progress))
    ]

    def moved(views: Sequence[View], motions: Sequence[np.ndarray]) -> list[View]:
        return [
            replace(view, scene_from_camera=motions[index // every] @ view.scene_from_camera)
            for index, view in enumerate(views)
        ]

    return replace(
        data,
        views=moved(data.views, there[: len(first)]),
        held_out=moved(data.held_out, there[len(first) :]),
    )


def agreed_poses(
    views: Sequence[View], progress: Callable[[float], None] = lambda share: None
) -> np.ndarray:
    """scene_from_camera (V, 4, 4) of the views, adjusted in steps of ever closer gates."""
    matches = match(views, GATES_PX[0], lambda share: progress(0.7 * share))
    for done, gate in enumerate(GATES_PX, 1):
        tracks = linked(views, agreeing(views, matches, gate), gate, DEPTH_ERROR)
        # two views agree on a point by chance, three hardly ever do
        shared = int((np.bincount(tracks.point) >= 3).sum())
        if shared < LEAST_POINTS:
            raise MappingError(
                f'{shared} points are seen by three images or more, expected at '
                f'least {LEAST_POINTS} to refine poses with; leave refine_poses '
                'out, or record with more overlap and texture'
            )
        poses = np.linalg.inv(adjusted(views, tracks, ROBUST * gate))
        views = [replace(view, scene_from_camera=pose) for view, pose in zip(views, poses)]
        progress(0.7 + 0.3 * done / len(GATES_PX))
    return poses
