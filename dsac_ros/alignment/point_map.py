# SPDX-License-Identifier: Apache-2.0
"""Landmarks as a feature-based map keeps them: points with one mean descriptor each.

An image is matched in two steps. Each of its strongest features votes, by its nearest descriptor,
for the mapping views that saw that point (`PointMatcher.retrieve`); then all features are matched
with the points that the best views saw together, by mutual nearest neighbours and Lowe's ratio
test (Sattler et al., TPAMI 2017, match 2D to 3D directly as well). Viewpoint and scale may change
as far as SIFT follows.
"""
from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from dsac_ros.alignment.features import Features, unit
from dsac_ros.alignment.guided_match import guided_match

VOTERS = 400        # features that vote, the strongest; 1000 find the same views
LEAST_SIMILAR = 0.8  # cosine of a feature and a point that is worth a vote
RATIO = 0.85        # of Lowe's test: fewer points compete than in a whole map
PREFIX = 'points.'
FOUR_BITS, STEP = 15, 11  # largest value of a stored component, and what one step stands for


@dataclass(frozen=True)
class PointMap:
    """P points of a place, seen in V mapping views.

    points (P, 3) float32 [m] in the map's frame, descriptors (P, 128) uint8 as `quantised`; view
    and point (M,) say which view saw which point, ordered by view.
    """

    points: np.ndarray
    descriptors: np.ndarray
    view: np.ndarray
    point: np.ndarray

    def __len__(self) -> int:
        """Number of points."""
        return len(self.points)


class PointMatcher:
    """Matches the features of images with the points of one map."""

    def __init__(self, points: PointMap, device: torch.device | str = 'cpu') -> None:
        """Takes the points; their descriptors are made ready once."""
        self.points = points
        self._unit = unit(points.descriptors)
        self._descriptors = torch.from_numpy(self._unit).to(device)
        self._view = torch.from_numpy(points.view).to(device)
        self._point = torch.from_numpy(points.point).to(device)
        seen = torch.bincount(self._point, minlength=len(points)).clamp(min=1)
        # a point that many views saw says less about which of them is near
        self._vote = seen.double().rsqrt()

    def retrieve(self, features: Features, count: int) -> Tensor:
        """Return the indices (count,) of the mapping views that features vote for, best first.

        Fewer where the map has not so many views; none of a map without points.
        """
        if not len(self.points):
            return self._view
        voters = torch.from_numpy(unit(features.first(VOTERS).descriptors)).to(self._descriptors)
        best = (voters @ self._descriptors.T).max(1)
        weight = (best.values - LEAST_SIMILAR).clamp(min=0.0).double()
        of_point = torch.zeros_like(self._vote).index_add_(0, best.indices, weight) * self._vote
        votes = torch.zeros(int(self._view.max()) + 1, dtype=torch.float64,
                            device=self._view.device)
        votes.index_add_(0, self._view, of_point[self._point])
        return votes.topk(min(count, len(votes))).indices

    def match(self, features: Features, views: Tensor) -> tuple[np.ndarray, np.ndarray]:
        """Return indices (K,) of features and the points (K,) of `views` they are taken for."""
        near = self._point[torch.isin(self._view, views)].unique()
        if len(features) < 2 or len(near) < 2:
            return np.zeros(0, int), np.zeros(0, int)
        descriptors = torch.from_numpy(unit(features.descriptors)).to(self._descriptors)
        similarity = descriptors @ self._descriptors[near].T
        best = similarity.max(1)
        both = similarity.max(0).indices[best.indices] == torch.arange(
            len(descriptors), device=near.device)
        second = similarity.scatter(1, best.indices[:, None], -1.0).max(1).values
        good = both & (1.0 - best.values < RATIO ** 2 * (1.0 - second))
        return good.nonzero()[:, 0].cpu().numpy(), near[best.indices[good]].cpu().numpy()

    def guided_match(self, features: Features, world_from_camera: np.ndarray,
                     matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the same as `match`, with the pose (4, 4) and the intrinsics (3, 3) known."""
        return guided_match(features.pixels, unit(features.descriptors), self.points.points,
                            self._unit, world_from_camera, matrix)


def to_tensors(points: PointMap | None) -> dict[str, Tensor]:
    """The points as a map file keeps them.

    Descriptors in four bits a component; of the observations, ordered by view, the number in each
    view and the points.
    """
    if points is None:
        return {}
    few = len(points) <= np.iinfo(np.uint16).max
    columns = {'xyz': points.points, 'descriptors': packed(points.descriptors),
               'seen': np.bincount(points.view).astype(np.int32),
               'point': points.point.astype(np.uint16 if few else np.int32)}
    return {PREFIX + name: torch.from_numpy(np.ascontiguousarray(value))
            for name, value in columns.items()}


def from_tensors(tensors: dict[str, Tensor]) -> PointMap | None:
    """The points behind `to_tensors`; None where the map has none."""
    if PREFIX + 'xyz' not in tensors:
        return None
    xyz, descriptors, seen, point = (tensors[PREFIX + name].numpy()
                                     for name in ('xyz', 'descriptors', 'seen', 'point'))
    return PointMap(xyz, unpacked(descriptors), np.repeat(np.arange(len(seen)), seen),
                    point.astype(int))


def packed(descriptors: np.ndarray) -> np.ndarray:
    """Descriptors (P, 128) uint8 in four bits a component (P, 64) uint8.

    What is rounded away turns a descriptor by 4 degrees; those of one point in two views differ by
    some 30. Means of descriptors hardly have components above FOUR_BITS steps.
    """
    steps = np.minimum((descriptors.astype(int) + STEP // 2) // STEP, FOUR_BITS).astype(np.uint8)
    return steps[:, ::2] << 4 | steps[:, 1::2]


def unpacked(pairs: np.ndarray) -> np.ndarray:
    """The descriptors (P, 128) uint8 behind `packed`."""
    steps = np.stack([pairs >> 4, pairs & FOUR_BITS], 2).reshape(len(pairs), -1)
    return (steps * STEP).astype(np.uint8)
