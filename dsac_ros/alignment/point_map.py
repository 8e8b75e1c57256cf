# SPDX-License-Identifier: Apache-2.0
"""Points of a feature-based map: each with one mean descriptor.

An image is matched in two steps. Each of its strongest features votes, by its nearest descriptor,
for the mapping views that saw that point (`PointMatcher.retrieve`); then all features are matched
with the points that the best views saw together, by mutual nearest neighbours and Lowe's ratio
test (Sattler et al., TPAMI 2017, match 2D to 3D directly as well). Viewpoint and scale may change
as far as SIFT follows.
"""

from __future__ import annotations

import copy
import functools
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from dsac_ros.alignment.features import Features, unit
from dsac_ros.alignment.guided_match import guided_match
from dsac_ros.compute.device import fastest_dtype

VOTERS = 400  # strongest features of an image that vote; 1000 find the same views
FARTHEST = 0.2  # distance (1 less the cosine) of a feature and a point that is worth a vote
SPARE = 0xFFFF  # bits of a float32 that a bfloat16 does not have
BLOCK = 256  # features that are compared with points at a time
RATIO = 0.85  # of Lowe's test: fewer points compete than in a whole map
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

    @functools.cached_property
    def view_centres(self) -> np.ndarray:
        """Mean (V, 3) [m] of the points that each view saw."""
        count = np.maximum(np.bincount(self.view), 1)
        seen = self.points[self.point]
        sums = np.stack([np.bincount(self.view, seen[:, axis]) for axis in range(3)], 1)
        return np.asarray(sums / count[:, None])

    def outside(self, centre: np.ndarray, radius: float) -> np.ndarray:
        """Return which points (P,) bool no view of a place saw.

        A view is of the place if the mean of its points is within a radius of the centre (3,).
        """
        is_near = np.linalg.norm(self.view_centres - centre, axis=1) <= radius
        left = np.ones(len(self), dtype=bool)
        left[self.point[is_near[self.view]]] = False
        return left


class PointMatcher:
    """Matches the features of images with the points of one map."""

    def __init__(self, points: PointMap, device: torch.device | str = 'cpu') -> None:
        """Take the points and unpack their descriptors once."""
        self.points = points
        self._unit = unit(points.descriptors)
        self._descriptors = augmented(self._unit, -1.0, device)
        self._view = torch.from_numpy(points.view).to(device)
        self._point = torch.from_numpy(points.point).to(device)
        seen = torch.bincount(self._point, minlength=len(points)).clamp(min=1)
        # a point that many views saw says less about which of them is near
        self._vote = seen.double().rsqrt()
        self._used: Tensor | None = None  # (P,) bool; None for all points

    def among(self, used: np.ndarray) -> PointMatcher:
        """Return a matcher with some of its points (P,) bool, which shares what is in memory."""
        some, chosen = copy.copy(self), torch.from_numpy(used).to(self._view.device)
        some._used = chosen if self._used is None else chosen & self._used
        return some

    def retrieve(self, features: Features, count: int) -> Tensor:
        """Return the indices (count,) of the mapping views that features vote for, best first.

        Fewer where the map has not so many views; none of a map without points.
        """
        if not len(self.points):
            return self._view
        voters = augmented(unit(features.first(VOTERS).descriptors), 1.0, self._view.device)
        nearest = [maxima(self._similarity(block), 1) for block in voters.split(BLOCK)]
        best = torch.cat([index for _, index in nearest])
        weight = (torch.cat([like for like, _ in nearest]) + FARTHEST).clamp(min=0.0).double()
        of_point = torch.zeros_like(self._vote).index_add_(0, best, weight) * self._vote
        votes = torch.zeros(
            int(self._view.max()) + 1, dtype=torch.float64, device=self._view.device
        )
        votes.index_add_(0, self._view, of_point[self._point])
        return votes.topk(min(count, len(votes))).indices

    def match(self, features: Features, views: Tensor) -> tuple[np.ndarray, np.ndarray]:
        """Match features with the points of `views`; return K indices of features and points."""
        near = self._point[torch.isin(self._view, views)].unique()
        if self._used is not None:
            near = near[self._used[near]]
        if len(features) < 2 or len(near) < 2:
            return np.zeros(0, int), np.zeros(0, int)
        best, index, second, feature = nearest_two(
            augmented(unit(features.descriptors), 1.0, near.device), self._descriptors[near]
        )
        mutual = feature[index] == torch.arange(len(index), device=near.device)
        good = mutual & (best < RATIO**2 * second)
        return good.nonzero()[:, 0].cpu().numpy(), near[index[good]].cpu().numpy()

    def guided_match(
        self, features: Features, world_from_camera: np.ndarray, matrix: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Match with the pose (4, 4) and intrinsics (3, 3) known; return the same as `match`."""
        used = slice(None) if self._used is None else self._used.nonzero()[:, 0].cpu().numpy()
        rows, index = guided_match(
            features.pixels,
            unit(features.descriptors),
            self.points.points[used],
            self._unit[used],
            world_from_camera,
            matrix,
        )
        return rows, index if isinstance(used, slice) else used[index]

    def _similarity(self, block: Tensor) -> Tensor:
        """Return the cosine less 1 of features (n, 129) and points (n, P), least if unused."""
        like = block @ self._descriptors.T
        least = torch.finfo(like.dtype).min
        return like if self._used is None else like.masked_fill(~self._used, least)


def augmented(descriptors: np.ndarray, last: float, device: torch.device | str) -> Tensor:
    """Append one component to unit descriptors (N, 128), for products in half precision.

    Of one with 1 and one with -1 the product is the cosine less 1, so that what is rounded is a
    small part of the distance, not of the cosine.
    """
    values = torch.nn.functional.pad(torch.from_numpy(descriptors), (0, 1), value=last)
    return values.to(device, fastest_dtype(device))


def nearest_two(features: Tensor, points: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Find the nearest points of features (N, 129) and the nearest features of points (P, 129).

    Both `augmented`. A block of features at a time, whose products stay in the cache.

    Returns:
        For each feature the distance (N,), 1 less the cosine, of its nearest point, that point's
        index (N,) and the distance (N,) of the second; for each point its nearest feature (P,).
    """
    best, index, second = [], [], []
    of_point = features.new_full((len(points),), -torch.inf, dtype=torch.float32)
    feature = torch.zeros(len(points), dtype=torch.long, device=points.device)
    for start, block in zip(range(0, len(features), BLOCK), features.split(BLOCK)):
        like = block @ points.T
        nearer, row = maxima(like, 0)
        feature = torch.where(nearer > of_point, row + start, feature)
        of_point = torch.maximum(of_point, nearer)
        nearest, column = maxima(like, 1)
        best.append(nearest)
        index.append(column)
        second.append(like.scatter_(1, column[:, None], -torch.inf).amax(1).float())
    return -torch.cat(best), torch.cat(index), -torch.cat(second), feature


def maxima(values: Tensor, dim: int) -> tuple[Tensor, Tensor]:
    """Return the maxima of a matrix along a dimension, float32, and their indices.

    A float32 that was a bfloat16 has 16 bits to spare: with the index in them the plain maximum,
    which is vectorised, finds both in half of the time of one that keeps track of indices. The
    values are finite.
    """
    size = values.shape[dim]
    if values.dtype != torch.bfloat16 or values.is_cuda or not 0 < size <= SPARE + 1:
        found = values.max(dim)
        return found.values.float(), found.indices
    index = torch.arange(size, dtype=torch.int32)
    bits = values.float().view(torch.int32).bitwise_or_(index[:, None] if dim == 0 else index)
    most = bits.view(torch.float32).amax(dim).view(torch.int32)
    return (most & ~SPARE).view(torch.float32), (most & SPARE).long()


def to_tensors(points: PointMap | None) -> dict[str, Tensor]:
    """Return the points as a map file stores them.

    Descriptors have four bits a component. Observations are ordered by view: their number in each
    view, and their points.
    """
    if points is None:
        return {}
    few = len(points) <= np.iinfo(np.uint16).max
    columns = {
        'xyz': points.points,
        'descriptors': packed(points.descriptors),
        'seen': np.bincount(points.view).astype(np.int32),
        'point': points.point.astype(np.uint16 if few else np.int32),
    }
    return {
        PREFIX + name: torch.from_numpy(np.ascontiguousarray(value))
        for name, value in columns.items()
    }


def from_tensors(tensors: dict[str, Tensor]) -> PointMap | None:
    """Invert `to_tensors`; None where the map has no points.

    Raises ValueError where the numbers of observations do not fit them.
    """
    if PREFIX + 'xyz' not in tensors:
        return None
    xyz, descriptors, seen, point = (
        tensors[PREFIX + name].numpy() for name in ('xyz', 'descriptors', 'seen', 'point')
    )
    if (seen < 0).any() or seen.sum(dtype=np.float64) != len(point):
        raise ValueError(f'its views show not the {len(point)} points that are listed')
    return PointMap(
        xyz, unpacked(descriptors), np.repeat(np.arange(len(seen)), seen), point.astype(int)
    )


def packed(descriptors: np.ndarray) -> np.ndarray:
    """Pack descriptors (P, 128) uint8 into four bits a component (P, 64) uint8.

    What is rounded away turns a descriptor by 4 degrees; those of one point in two views differ by
    some 30. Means of descriptors hardly have components above FOUR_BITS steps.
    """
    steps = np.minimum((descriptors.astype(int) + STEP // 2) // STEP, FOUR_BITS).astype(np.uint8)
    return np.asarray(steps[:, ::2] << 4 | steps[:, 1::2])


def unpacked(pairs: np.ndarray) -> np.ndarray:
    """Invert `packed`: descriptors (P, 128) uint8."""
    steps = np.stack([pairs >> 4, pairs & FOUR_BITS], 2).reshape(len(pairs), -1)
    return (steps * STEP).astype(np.uint8)
