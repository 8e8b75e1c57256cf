# SPDX-License-Identifier: Apache-2.0
"""Features that several views share: RootSIFT, matched along the epipolar lines of known poses."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from dsac_ros.alignment.features import MOST, Features, quantised, root_sift
from dsac_ros.mapping.data.view import View
from dsac_ros.mapping.optim.parallel import in_parallel
from dsac_ros.mapping.sfm.guided_matching import PosedFeatures, guided_matches

PARTNERS = 20  # of a view, at most
CROWDED = 0.5  # of the distance to a partner: nearer to another partner is no use
NEAR, NEAR_ANGLE_DEG = 0.3, 20.0  # that are as far in place [scene units] and in direction
MAX_ANGLE_DEG = 60.0  # between the optical axes of partners
MAX_DISTANCE = 4.0  # between partners, in units of the scene's depth


@dataclass(frozen=True)
class Matches:
    """F features of all views, and which of them look alike.

    view (F,) says where a feature is seen, pixels (F, 2) where in it; edges (E, 2) are the two
    features of a match; descriptors (F, 128) uint8 are quantised.
    """

    view: np.ndarray
    pixels: np.ndarray
    edges: np.ndarray
    descriptors: np.ndarray

    def of(self, kept: np.ndarray) -> Matches:
        """Return the features of the views in a mask (V,), and the matches among these."""
        own = kept[self.view]
        view, feature = np.cumsum(kept) - 1, np.cumsum(own) - 1
        return Matches(
            view[self.view[own]],
            self.pixels[own],
            feature[self.edges[own[self.edges].all(1)]],
            self.descriptors[own],
        )


def match(
    views: Sequence[View], within_px: float, progress: Callable[[float], None] = lambda share: None
) -> Matches:
    """Match the views with their neighbours, within a distance of the epipolar lines."""
    pairs = neighbours(views)
    found = list(in_parallel(features_of, views))
    posed = [posed_features(view, one) for view, one in zip(views, found)]
    first = np.concatenate([[0], np.cumsum([len(one) for one in found])])

    def matched(pair: tuple[int, int]) -> np.ndarray:
        a, b = pair
        return guided_matches(posed[a], posed[b], within_px) + first[[a, b]]

    edges = [np.zeros((0, 2), int)]
    for done, pair in enumerate(in_parallel(matched, pairs), 1):
        edges.append(pair)
        progress(done / len(pairs))
    view = np.repeat(np.arange(len(views)), np.diff(first))
    return Matches(
        view,
        np.concatenate([one.pixels for one in found]),
        np.concatenate(edges),
        np.concatenate([one.descriptors for one in found]),
    )


def features_of(view: View) -> Features:
    """The features of a view, found in its image where it brings none."""
    if view.features is not None:
        return view.features
    pixels, descriptors = root_sift(view.image, MOST, view.mask)
    return Features(pixels, quantised(descriptors))


def posed_features(view: View, features: Features) -> PosedFeatures:
    """The features of a view as rays from its pose."""
    rays = homogeneous(features.pixels) @ np.linalg.inv(view.matrix).T
    rays /= np.linalg.norm(rays, axis=1, keepdims=True)
    return PosedFeatures(
        rays @ view.scene_from_camera[:3, :3].T,
        features.descriptors,
        view.scene_from_camera[:3, 3],
        view.matrix[0, 0],
    )


def neighbours(views: Sequence[View]) -> list[tuple[int, int]]:
    """Pairs of views that may see the same: each with its partners."""
    apart = distances(views)
    return sorted({(min(i, j), max(i, j)) for i in range(len(views)) for j in partners(apart, i)})


def partners(apart: np.ndarray, view: int) -> list[int]:
    """The nearest views of which none stands near another, by distances (V, V).

    Several views of one place add the same matches, and little parallax.
    """
    own = apart[view]
    crowded = np.full(len(own), np.inf)  # distance to the nearest partner
    found: list[int] = []
    order = np.argsort(own, kind='stable')
    for other in order[np.isfinite(own[order])].tolist():
        if len(found) < PARTNERS and crowded[other] > CROWDED * own[other]:
            found.append(other)
            crowded = np.minimum(crowded, apart[other])
    return found


def distances(views: Sequence[View]) -> np.ndarray:
    """Distances (V, V) of views in place and direction; infinite where they share nothing."""
    centres = np.stack([view.scene_from_camera[:3, 3] for view in views])
    axes = np.stack([view.scene_from_camera[:3, 2] for view in views])
    distance = np.linalg.norm(centres[:, None] - centres, axis=2)
    angle = np.degrees(np.arccos(np.clip(axes @ axes.T, -1, 1)))
    apart = distance / NEAR + angle / NEAR_ANGLE_DEG
    apart[(angle > MAX_ANGLE_DEG) | (distance > MAX_DISTANCE)] = np.inf
    np.fill_diagonal(apart, np.inf)
    return apart


def agreeing(views: Sequence[View], matches: Matches, within_px: float) -> Matches:
    """The matches that lie within a distance of the epipolar lines of the views' poses."""
    a, b = matches.view[matches.edges].T
    pairs, which = np.unique(a * len(views) + b, return_inverse=True)
    maps = (
        np.stack(
            [fundamental(views[pair // len(views)], views[pair % len(views)]) for pair in pairs]
        )
        if len(pairs)
        else np.zeros((0, 3, 3))
    )
    pixels = homogeneous(matches.pixels)
    lines = unit_lines(np.einsum('eij,ej->ei', maps[which], pixels[matches.edges[:, 0]]))
    off = np.abs((lines * pixels[matches.edges[:, 1]]).sum(1))
    return replace(matches, edges=matches.edges[off < within_px])


def fundamental(a: View, b: View) -> np.ndarray:
    """The matrix (3, 3) that takes a pixel of a to its epipolar line in b."""
    b_from_a = np.linalg.inv(b.scene_from_camera) @ a.scene_from_camera
    x, y, z = b_from_a[:3, 3]
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.linalg.inv(b.matrix).T @ cross @ b_from_a[:3, :3] @ np.linalg.inv(a.matrix)


def unit_lines(lines: np.ndarray) -> np.ndarray:
    """Lines (N, 3) scaled so that a pixel's product with one is its distance."""
    return lines / np.maximum(np.linalg.norm(lines[:, :2], axis=1, keepdims=True), 1e-12)


def homogeneous(pixels: np.ndarray) -> np.ndarray:
    """Pixels (K, 2) with a 1 behind them (K, 3)."""
    return np.concatenate([pixels, np.ones((len(pixels), 1))], 1)
