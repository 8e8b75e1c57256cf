# SPDX-License-Identifier: Apache-2.0
"""Points that a model from structure from motion has already, in place of triangulation.

COLMAP's RootSIFT and OpenCV's are alike: of one image, coinciding keypoints have descriptors with
a cosine of 0.99 in the median. So queries can be matched with descriptors of its database. A model
without these tells places alone, and gets the descriptors of features found where its points are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from dsac_ros.alignment.features import unit
from dsac_ros.geometry.resample import Resampler
from dsac_ros.systems.sift_sfm.triangulation import Features, Structure
from dsac_ros.types import TrackedPoints

NEAR_PX = 1.5  # of a point that a feature shows; most have smaller reprojection errors
LEAST_POINTS = 30  # of an image in the median; a model of other features than SIFT has fewer


@dataclass(frozen=True)
class Track:
    """Features of an image that show points of a model: rows, ids (K,), places (K, 3)."""

    rows: np.ndarray
    ids: np.ndarray
    places: np.ndarray


def features_of_model(
    points: TrackedPoints, resampler: Resampler, world_from_camera: np.ndarray
) -> tuple[Features, Track] | None:
    """Return the features that a model describes; None where it has no descriptors."""
    if points.descriptors is None:
        return None
    pixels, ahead = projected(points.points_world, resampler.matrix, world_from_camera)
    features = Features(
        pixels[ahead],
        unit(points.descriptors[ahead]),
        resampler.matrix,
        resampler.size_wh,
        world_from_camera,
    )
    count = np.arange(len(features.pixels))
    return features, Track(count, points.ids[ahead], points.points_world[ahead])


def track_of(features: Features, points: TrackedPoints) -> Track:
    """Assign to each feature the point of a model that lies nearest to it, if one does."""
    pixels, ahead = projected(points.points_world, features.matrix, features.world_from_camera)
    if not ahead.any() or not len(features.pixels):
        return Track(np.zeros(0, int), np.zeros(0, np.int64), np.zeros((0, 3)))
    shown = np.flatnonzero(ahead)
    distance, nearest = cKDTree(pixels[ahead]).query(features.pixels)
    rows = np.flatnonzero(distance < NEAR_PX)
    chosen = shown[nearest[rows]]
    return Track(rows, points.ids[chosen], points.points_world[chosen])


def projected(
    points_world: np.ndarray, matrix: np.ndarray, world_from_camera: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Project points (K, 3) to pixels (K, 2) of an ideal pinhole; which lie ahead (K,) bool."""
    camera = (points_world - world_from_camera[:3, 3]) @ world_from_camera[:3, :3]
    ahead = camera[:, 2] > 0
    depth = np.where(ahead, camera[:, 2], 1.0)
    return camera[:, :2] / depth[:, None] * np.diag(matrix)[:2] + matrix[:2, 2], ahead


def is_usable(tracks: Sequence[Track]) -> bool:
    """Return True if enough features of most images show points of the model."""
    return bool(np.median([len(track.rows) for track in tracks]) >= LEAST_POINTS)


def structure_of(tracks: Sequence[Track]) -> Structure:
    """Return the points that the features of images show, each once."""
    ids = np.concatenate([track.ids for track in tracks])
    places = np.concatenate([track.places for track in tracks])
    _, first, index = np.unique(ids, return_index=True, return_inverse=True)
    ends = np.cumsum([len(track.ids) for track in tracks])[:-1]
    return Structure(
        places[first],
        [(track.rows, one) for track, one in zip(tracks, np.split(index.ravel(), ends))],
    )
