# SPDX-License-Identifier: Apache-2.0
"""Resemblance of maps: which of them verify each other's reference images, measured once.

Nothing that a query sees tells identical rooms apart, and a query may be one that only one of two
maps knows well. So look-alikes are found when a set is written, from the images of both.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from dsac_ros.alignment import point_map, reference_image
from dsac_ros.alignment.feature_localizer import ENOUGH, FeatureLocalizer
from dsac_ros.alignment.features import unit
from dsac_ros.alignment.point_map import PointMap
from dsac_ros.alignment.reference_image import ReferenceImage
from dsac_ros.compute.frame_cache import FrameCache
from dsac_ros.config import RansacConfig
from dsac_ros.decision import SAME_VIEW
from dsac_ros.geometry.resample import Resamplers
from dsac_ros.geometry.se3 import same_view
from dsac_ros.map_container import read_container
from dsac_ros.map_set.feature_index import VOTERS, FeatureIndex, Signatures
from dsac_ros.map_set.file import MapEntry, MapSet, map_path
from dsac_ros.map_set.look_alike import LookAlike
from dsac_ros.map_set.vocabulary import load_vocabularies
from dsac_ros.types import Frame

VIEWS = 12  # mapping views of a map whose points vote for the maps that it may look like
# Votes of a view for another map from which on its images are asked: unlike rooms have fewer.
LEAST_VOTES = 3.0
PARTNERS = 6  # maps at most that a map is compared with
IMAGES = 8  # reference images of each map that are localized in the other one
PROBES = 3  # of them that are localized first: where none is, the maps are unlike
LEAST_IMAGES = 2  # that tell one pose of a look-alike
HYPOTHESES = 512  # minimal sets for each image


@dataclass(frozen=True)
class ComparedMap:
    """Part of a map that is compared: its reference images, points and origin (3,) [m]."""

    entry: MapEntry
    references: Sequence[ReferenceImage]
    points: PointMap | None
    origin: np.ndarray

    @classmethod
    def read(cls, path: Path, entry: MapEntry) -> ComparedMap:
        """Read the map of an entry of the set `path`. Raises MapError."""
        header, tensors = read_container(map_path(path, entry))
        return cls(
            entry,
            reference_image.from_tensors(tensors),
            point_map.from_tensors(tensors),
            np.asarray(header['origin'], dtype=float),
        )

    @functools.cached_property
    def localizer(self) -> FeatureLocalizer:
        """Localizer by the features of this map."""
        return FeatureLocalizer(self.points)

    def world_from_camera(self, index: int) -> np.ndarray:
        """Return the pose (4, 4) of a reference image in the world."""
        pose = np.linalg.inv(np.asarray(self.references[index].camera_from_map, dtype=float))
        pose[:3, 3] += self.origin
        return np.asarray(pose)

    def localized(self, image: ReferenceImage) -> np.ndarray | None:
        """Return the pose (4, 4) of an image of another map in this one's world.

        None where too few features agree.
        """
        frame = Frame(image.image, image.camera)
        pinhole = Resamplers.to_own_size()(frame.camera)
        config = RansacConfig(hypotheses=HYPOTHESES)
        with torch.inference_mode():
            found = self.localizer.localize(frame, pinhole, config, FrameCache())
        if found.inlier_count < ENOUGH:
            return None
        pose = found.estimate.world_from_camera[0].double().numpy().copy()
        pose[:3, 3] += self.origin
        return np.asarray(pose)


def with_look_alikes(maps: MapSet, path: Path, changed: Iterable[str]) -> MapSet:
    """Return a set with the look-alikes of maps that were added or replaced.

    Args:
        maps: the set.
        path: of its file.
        changed: ids of those maps.
    """
    new = [entry for entry in maps.entries if entry.id in set(changed)]
    ids = {entry.id for entry in new}
    kept = [one for one in maps.look_alikes if not {one.first, one.second} & ids]
    index = FeatureIndex([entry.points for entry in maps.entries])

    @functools.lru_cache(maxsize=2 * PARTNERS)
    def read(number: int) -> ComparedMap:
        return ComparedMap.read(path, maps.entries[number])

    compared: set[frozenset[str]] = set()
    for number, entry in enumerate(maps.entries):
        if entry.id not in ids:
            continue
        for other in partners(read(number), index, number):
            pair = frozenset((entry.id, maps.entries[other].id))
            if pair in compared:
                continue
            compared.add(pair)
            found = look_alike(read(number), read(other))
            if found is not None:
                kept.append(found)
    return replace(maps, look_alikes=tuple(kept))


def partners(one: ComparedMap, index: FeatureIndex, number: int) -> list[int]:
    """Return the indices of the maps that views of a map vote for, those with most votes first."""
    if one.points is None or not len(one.points):
        return []
    views = np.unique(one.points.view)
    votes = np.zeros(index.count)
    for view in views[:: max(1, len(views) // VIEWS)]:
        rows = one.points.point[one.points.view == view][:VOTERS]
        signatures = Signatures(one.entry.points.words[rows], one.entry.points.bits[rows])
        votes = np.maximum(votes, index.votes(signatures))
    votes[number] = 0
    best = np.argsort(-votes, kind='stable')[:PARTNERS]
    return [int(other) for other in best if votes[other] >= LEAST_VOTES]


def look_alike(first: ComparedMap, second: ComparedMap) -> LookAlike | None:
    """Return how two maps look alike; None if neither verifies images of the other.

    Maps of one frame that tell one view of each image do not look alike: they overlap.
    """
    moved: list[tuple[np.ndarray, np.ndarray]] = []  # second_from_first, pose in the first
    compared = 0
    order = [most_similar(first, second), most_similar(second, first)]
    for row in range(IMAGES):
        if row == PROBES and not moved:
            return None
        for one, other, indices in ((first, second, order[0]), (second, first, order[1])):
            if row >= len(indices):
                continue
            index = indices[row]
            compared += 1
            there = other.localized(one.references[index])
            if there is None:
                continue
            here = one.world_from_camera(index)
            pair = (here, there) if one is first else (there, here)
            moved.append((pair[1] @ np.linalg.inv(pair[0]), pair[0]))
    if not moved:
        return None
    depth = min(first.entry.depth, second.entry.depth)

    def agreeing(pose: np.ndarray) -> int:
        return sum(_same(pose @ camera, own @ camera, depth) for own, camera in moved)

    best = max((pose for pose, _ in moved), key=agreeing)
    images = agreeing(best)
    if images < LEAST_IMAGES:
        return None
    if first.entry.frame == second.entry.frame and agreeing(np.eye(4)) == images:
        return None
    return LookAlike(first.entry.id, second.entry.id, best, images, compared)


def most_similar(one: ComparedMap, other: ComparedMap) -> list[int]:
    """Return the indices of a map's reference images, those most similar to another map first."""
    similar = one.entry.codes.astype(np.float32) @ other.entry.codes.astype(np.float32).T
    return [int(index) for index in np.argsort(-similar.max(1), kind='stable')]


def signatures_of(points: PointMap | None) -> Signatures:
    """Return the signatures of a map's points; none of a map without points."""
    if points is None or not len(points):
        return Signatures.none()
    return Signatures.of(unit(points.descriptors), load_vocabularies().features)


def _same(a: np.ndarray, b: np.ndarray, depth: float) -> bool:
    return same_view(torch.from_numpy(a), torch.from_numpy(b), SAME_VIEW, depth)
