# SPDX-License-Identifier: Apache-2.0
"""Guided matching of two views of known poses: only features near an epipolar line compare.

The epipolar planes of two views form a pencil about their baseline. The features of both views
are binned by the angle of their plane, so that a feature is compared with a few percent of the
other view's.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from dsac_ros.alignment.features import RATIO, unit

LEAST_SECOND = 0.8  # similarity that a second candidate is taken to have at least
BIN = 64  # features of a bin
TURN = 2.0 * math.pi


@dataclass(frozen=True)
class PosedFeatures:
    """N features of a view with a pose.

    rays (N, 3) are unit vectors in scene axes, descriptors (N, 128) uint8 are quantised; centre
    (3,) is that of the camera [scene units], focal_px its focal length.
    """

    rays: np.ndarray
    descriptors: np.ndarray
    centre: np.ndarray
    focal_px: float

    def __len__(self) -> int:
        """Number of features."""
        return len(self.rays)


def guided_matches(a: PosedFeatures, b: PosedFeatures, within_px: float) -> np.ndarray:
    """Return index pairs (K, 2) of features that are each other's nearest and stand out.

    The candidates of a feature of `a` are those of `b` within a distance of its epipolar line,
    measured as angle times focal length. A pattern that repeats itself hardly ever does so along
    the line. A second candidate may be missing there, and is taken to be as similar as
    LEAST_SECOND (ratio test of Lowe, IJCV 2004).
    """
    if len(a) < 2 or len(b) < 2:
        return np.zeros((0, 2), int)
    rows, columns, off = candidates(a, b, within_px / b.focal_px)
    similarity = (
        taken(unit(a.descriptors), rows) @ taken(unit(b.descriptors), columns).transpose(1, 2)
    ).masked_fill_(off, -1.0)
    best, place = similarity.max(2)
    nearest = columns.gather(1, place)
    best_of_b = torch.full((len(b),), -1.0).scatter_reduce_(
        0, columns.clamp(min=0).flatten(), similarity.amax(1).flatten(), 'amax'
    )
    second = similarity.scatter_(2, place[..., None], -1.0).amax(2).clamp(min=LEAST_SECOND)
    good = (best >= best_of_b[nearest]) & (1.0 - best < RATIO**2 * (1.0 - second))
    return torch.stack([rows[good], nearest[good]], 1).numpy()


def candidates(
    a: PosedFeatures, b: PosedFeatures, tolerance: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Return features (B, BIN) of a, those (B, W) of b in their bins, and which are no pair.

    No pair (B, BIN, W) bool is further apart than the tolerance [rad], or fills a bin up.
    """
    across = perpendicular(b.centre - a.centre)
    in_a, in_b = (one.rays @ across.T for one in (a, b))
    rows, columns = map(
        torch.from_numpy,
        bins(angles(in_a), angles(in_b), tolerance / np.linalg.norm(in_b, axis=1).clip(1e-12)),
    )
    normals = in_a[:, ::-1] * [-1, 1] / np.linalg.norm(in_a, axis=1, keepdims=True).clip(1e-12)
    off = (taken(normals, rows) @ taken(in_b, columns).transpose(1, 2)).abs_() >= tolerance
    off |= (rows < 0)[:, :, None]
    off |= (columns < 0)[:, None]
    return rows, columns, off


def perpendicular(baseline: np.ndarray) -> np.ndarray:
    """Two unit vectors (2, 3) that are perpendicular to a baseline and to each other.

    Without a baseline any direction will do: a camera that only turned sees a point on one ray.
    """
    return np.linalg.svd(baseline[None])[2][1:]


def angles(across: np.ndarray) -> np.ndarray:
    """Angles (N,) of directions (N, 2) [rad]."""
    return np.arctan2(across[:, 1], across[:, 0])


def bins(a: np.ndarray, b: np.ndarray, sine: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Bins of epipolar planes: the features of each in both views, -1 where a bin has fewer.

    Args:
        a: angles (Na,) of the planes of one view's features [rad].
        b: angles (Nb,) of the other's.
        sine: sines (Nb,) of the tolerance of these; 1 and more is any plane.

    Returns:
        Indices (B, BIN) of a, each once, and (B, W) of b, in every bin within the tolerance.
    """
    order = np.argsort(a, kind='stable')
    count = -(-len(a) // BIN)
    rows = np.full(count * BIN, -1)
    rows[: len(a)] = order
    start = a[order[0]]
    lowest = a[order[::BIN]] - start
    highest = a[np.append(order[BIN - 1 : -1 : BIN], order[-1])] - start
    half = np.where(sine < 1.0, np.arcsin(np.minimum(sine, 1.0)), math.pi)
    low = (b - half - start) % TURN
    high = low + 2.0 * half
    first = np.searchsorted(highest, low)
    last = np.searchsorted(lowest, high % TURN, 'right') - 1 + count * (high >= TURN)
    touched = np.clip(last - first + 1, 0, count)
    of_b = np.repeat(np.arange(len(b)), touched)
    ends = np.cumsum(touched)
    bin_of = (np.arange(ends[-1]) - np.repeat(ends - touched - first, touched)) % count
    by_bin = np.argsort(bin_of, kind='stable')
    sizes = np.bincount(bin_of, minlength=count)
    columns = np.full((count, max(1, sizes.max())), -1)
    columns[np.arange(columns.shape[1]) < sizes[:, None]] = of_b[by_bin]
    return rows.reshape(count, BIN), columns


def taken(values: np.ndarray, index: Tensor) -> Tensor:
    """Rows (B, S, C) float32 of values (N, C) at indices (B, S); any row for a negative one."""
    # index_select: a tenth of the time of values[index]
    rows = torch.from_numpy(values).float().index_select(0, index.clamp(min=0).flatten())
    return rows.view(*index.shape, -1)
