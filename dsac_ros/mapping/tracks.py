# SPDX-License-Identifier: Apache-2.0
"""Points that several views see: SIFT tracks, triangulated at the views' known poses.

RootSIFT (Arandjelovic and Zisserman, CVPR 2012), Lowe's ratio test, the epipolar constraint of
the known poses, and the point nearest to all rays in angle (iteratively reweighted midpoint).
"""
from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from dsac_ros.geometry.resample import STRIDE, cell_centres
from dsac_ros.mapping.dataset import View

FEATURES = 1200         # SIFT features of a view
RATIO = 0.8             # of Lowe's test
LEAST_SECOND = 0.8      # similarity that a second candidate is taken to have at least
MAX_ERROR_PX = 3.0      # of an observation against the triangulated point
MAX_DEPTH_ERROR = 0.02  # standard deviation of a point, as a share of its distance
NEAR, FAR = 6, 5        # partners of a view: its nearest ones, and some further off
MAX_ANGLE_DEG = 60.0    # between the optical axes of partners
MAX_DISTANCE = 1.5      # between partners, in units of the scene's depth
PEELS = 3
ROUNDS = 10


@dataclass(frozen=True)
class Tracks:
    """P points seen in M observations.

    points (P, 3) in scene units; point (M,) and view (M,) say what an observation sees and from
    where, pixels (M, 2) where the feature was found.
    """

    points: np.ndarray
    point: np.ndarray
    view: np.ndarray
    pixels: np.ndarray


def find_tracks(views: Sequence[View],
                progress: Callable[[float], None] = lambda share: None) -> Tracks:
    """Match the views with their neighbours and triangulate what they see in common."""
    pixels, descriptors = [], []
    sift = cv2.SIFT_create(FEATURES, contrastThreshold=0.02, enable_precise_upscale=True)
    for done, view in enumerate(views, 1):
        where, what = root_sift(sift, view)
        pixels.append(where)
        descriptors.append(what)
        progress(0.5 * done / len(views))
    first = np.concatenate([[0], np.cumsum([len(p) for p in pixels])])
    pairs = neighbours(views)
    edges = [np.zeros((0, 2), int)]
    for done, (a, b) in enumerate(pairs, 1):
        off = epipolar_distance(views[a], views[b], pixels[a], pixels[b])
        matches = matched(descriptors[a], descriptors[b], off < MAX_ERROR_PX)
        edges.append(matches + [first[a], first[b]])
        progress(0.5 + 0.5 * done / len(pairs))
    view = np.repeat(np.arange(len(views)), np.diff(first))
    return linked(views, np.concatenate(edges), view, np.concatenate(pixels))


def linked(views: Sequence[View], edges: np.ndarray, view: np.ndarray,
           pixels: np.ndarray) -> Tracks:
    """The points behind matches `edges` (E, 2) of features seen in view (M,) at pixels (M, 2).

    A wrong match joins two tracks into one with no common point: what the better one of them
    leaves over is linked once more, without it.
    """
    label = np.full(len(view), -1)
    points = [np.zeros((0, 3))]
    for _ in range(PEELS):
        left = edges[(label[edges] < 0).all(1)]
        graph = coo_array((np.ones(len(left)), left.T), shape=(len(view), len(view)))
        joined = connected_components(graph, directed=False)[1]
        some, found = triangulated(views, np.where(label < 0, joined, joined.max() + 1
                                                   + np.arange(len(view))), view, pixels)
        label[found >= 0] = found[found >= 0] + sum(map(len, points))
        points.append(some)
    seen = label >= 0
    return Tracks(np.concatenate(points), label[seen], view[seen], pixels[seen])


def root_sift(sift: cv2.SIFT, view: View) -> tuple[np.ndarray, np.ndarray]:
    """Pixels (K, 2) and unit descriptors (K, 128) float32 of a view's features."""
    found, descriptors = sift.detectAndCompute(view.image, view.mask.astype(np.uint8))
    if not found:
        return np.zeros((0, 2)), np.zeros((0, 128), np.float32)
    descriptors /= descriptors.sum(1, keepdims=True) + 1e-7
    return np.array([k.pt for k in found], float), np.sqrt(descriptors)


def neighbours(views: Sequence[View]) -> list[tuple[int, int]]:
    """Pairs of views that may see the same: near in place and in direction."""
    centres = np.stack([view.scene_from_camera[:3, 3] for view in views])
    axes = np.stack([view.scene_from_camera[:3, 2] for view in views])
    pairs = set()
    for i in range(len(views)):
        distance = np.linalg.norm(centres - centres[i], axis=1)
        angle = np.degrees(np.arccos(np.clip(axes @ axes[i], -1, 1)))
        apart = distance / 0.3 + angle / 20.0
        apart[(angle > MAX_ANGLE_DEG) | (distance > MAX_DISTANCE)] = np.inf
        apart[i] = np.inf
        order = np.argsort(apart, kind='stable')
        order = order[np.isfinite(apart[order])]
        rest = order[NEAR:NEAR + 10 * FAR]
        far = rest[np.linspace(0, len(rest) - 1, min(FAR, len(rest))).astype(int)]
        pairs |= {(min(i, j), max(i, j)) for j in (*order[:NEAR].tolist(), *far.tolist())}
    return sorted(pairs)


def matched(a: np.ndarray, b: np.ndarray, possible: np.ndarray) -> np.ndarray:
    """Index pairs (K, 2) of unit descriptors that are each other's nearest and stand out.

    Among the pairs that are `possible` (Na, Nb) bool: where the poses are known, a pattern that
    repeats itself hardly ever does so on the epipolar line.
    """
    if len(a) < 2 or len(b) < 2:
        return np.zeros((0, 2), int)
    similarity = np.where(possible, a @ b.T, np.float32(-1.0))
    rows, nearest = np.arange(len(a)), similarity.argmax(1)
    mutual = similarity.argmax(0)[nearest] == rows
    best = similarity[rows, nearest]
    similarity[rows, nearest] = -1.0
    second = np.maximum(similarity.max(1), LEAST_SECOND)
    good = mutual & (1.0 - best < RATIO ** 2 * (1.0 - second))
    return np.stack([rows[good], nearest[good]], 1)


def epipolar_distance(a: View, b: View, in_a: np.ndarray, in_b: np.ndarray) -> np.ndarray:
    """Distance (Na, Nb) [px] of pixels in b from the epipolar lines of pixels in a."""
    b_from_a = np.linalg.inv(b.scene_from_camera) @ a.scene_from_camera
    x, y, z = b_from_a[:3, 3]
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    fundamental = np.linalg.inv(b.matrix).T @ cross @ b_from_a[:3, :3] @ np.linalg.inv(a.matrix)
    lines = homogeneous(in_a) @ fundamental.T
    lines /= np.maximum(np.linalg.norm(lines[:, :2], axis=1, keepdims=True), 1e-12)
    return np.abs(lines.astype(np.float32) @ homogeneous(in_b).astype(np.float32).T)


def homogeneous(pixels: np.ndarray) -> np.ndarray:
    """Pixels (K, 2) with a 1 behind them (K, 3)."""
    return np.concatenate([pixels, np.ones((len(pixels), 1))], 1)


def triangulated(views: Sequence[View], label: np.ndarray, view: np.ndarray,
                 pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Points (P, 3), one to each set of equal labels that has a precise one; and whose (M,).

    -1 for observations of no point, the outliers of the sets among them.
    """
    poses = np.stack([v.scene_from_camera for v in views])
    inverse = np.stack([np.linalg.inv(v.matrix) for v in views])
    focal = np.array([v.matrix[0, 0] for v in views])
    belongs = np.full(len(label), -1)
    rows = np.flatnonzero(np.bincount(label)[label] >= 2)
    rays = np.einsum('mij,mj->mi', poses[view[rows], :3, :3] @ inverse[view[rows]],
                     homogeneous(pixels[rows]))
    rays /= np.linalg.norm(rays, axis=1, keepdims=True)
    for _ in range(2):  # once with all observations, once without the outliers
        label_, view_ = np.unique(label[rows], return_inverse=True)[1], view[rows]
        points, spread, angle = nearest_points(rays, poses[view_, :3, 3], label_,
                                               1.0 / focal[view_])
        distance = ((points[label_] - poses[view_, :3, 3]) * rays).sum(1)
        keep = (angle * focal[view_] < MAX_ERROR_PX) & (distance > 0)
        # one observation of a point in a view, the best one
        order = np.lexsort((angle, view_, label_))
        again = (np.diff(label_[order]) == 0) & (np.diff(view_[order]) == 0)
        keep[order[1:][again]] = False
        members = np.bincount(label_[keep], minlength=len(points))
        keep &= members[label_] >= 2
        last = rows, label_, keep
        rows, rays = rows[keep], rays[keep]
    rows, label_, keep = last
    nearest = np.full(len(points), np.inf)
    np.minimum.at(nearest, label_[keep], distance[keep])
    keep &= spread[label_] < MAX_DEPTH_ERROR * nearest[label_]
    kept, belongs[rows[keep]] = np.unique(label_[keep], return_inverse=True)
    return points[kept], belongs


def nearest_points(rays: np.ndarray, centres: np.ndarray, label: np.ndarray,
                   noise: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The point of each label nearest to its rays in angle, robustly.

    Of unit rays (M, 3) from centres (M, 3) with angular noise (M,) [rad]. Returns points (P, 3),
    their largest standard deviation (P,) and the angles (M,) between rays and points [rad].
    """
    count = label.max(initial=-1) + 1
    across = np.eye(3) - rays[:, :, None] * rays[:, None]  # takes a vector to what is off the ray
    weight = np.ones(len(rays))
    for done in range(ROUNDS):
        normal = np.zeros((count, 3, 3))
        right = np.zeros((count, 3))
        np.add.at(normal, label, across * weight[:, None, None])
        np.add.at(right, label, np.einsum('mij,mj->mi', across, centres) * weight[:, None])
        points = np.linalg.solve(normal + 1e-12 * np.eye(3) * np.trace(
            normal, axis1=1, axis2=2)[:, None, None], right[..., None])[..., 0]
        towards = points[label] - centres
        distance = np.maximum(np.linalg.norm(towards, axis=1), 1e-9)
        angle = np.linalg.norm(np.einsum('mij,mj->mi', across, towards), axis=1) / distance
        # wide at first: the fit must find the larger party before it turns the smaller one away
        share = angle / (noise * max(1.0, 2.0 ** (5 - done)))
        weight = 1.0 / ((noise * distance) ** 2 * (1.0 + share ** 2))
    spread = 1.0 / np.sqrt(np.maximum(np.linalg.eigvalsh(normal)[:, 0], 1e-12))
    return points, spread, angle


def with_depth(views: Sequence[View], tracks: Tracks) -> list[View]:
    """The views, those without measured depth with that of the nearest track at each pixel."""
    filled = []
    for index, view in enumerate(views):
        points = tracks.points[tracks.point[tracks.view == index]]
        if view.depth is not None or not len(points):
            filled.append(view)
            continue
        camera_from_scene = np.linalg.inv(view.scene_from_camera)
        camera = points @ camera_from_scene[:3, :3].T + camera_from_scene[:3, 3]
        pixels = camera[:, :2] / camera[:, 2:] * view.matrix[0, 0] + view.matrix[:2, 2]
        size_wh = (view.image.shape[1], view.image.shape[0])
        nearest = cKDTree(pixels).query(cell_centres(size_wh))[1]
        cells = camera[nearest, 2].reshape(size_wh[1] // STRIDE, size_wh[0] // STRIDE)
        depth = cv2.resize(cells.astype(np.float32), size_wh, interpolation=cv2.INTER_NEAREST)
        filled.append(replace(view, depth=depth))
    return filled
