# SPDX-License-Identifier: Apache-2.0
"""Points that several views see: tracks of matches, triangulated at the views' known poses.

A point is the one nearest to all its rays in angle (iteratively reweighted midpoint).
"""
from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from dsac_ros.alignment.features import UNIT, quantised, unit
from dsac_ros.geometry.resample import STRIDE, cell_centres
from dsac_ros.mapping.matching import Matches, homogeneous, match
from dsac_ros.mapping.view import View

MAX_ERROR_PX = 3.0      # of an observation against the triangulated point
MAX_DEPTH_ERROR = 0.02  # standard deviation of a point, as a share of its distance
PEELS = 3
ROUNDS = 10


@dataclass(frozen=True)
class Tracks:
    """P points seen in M observations.

    points (P, 3) in scene units; point (M,) and view (M,) say what an observation sees and from
    where, pixels (M, 2) where the feature was found; descriptors (P, 128) uint8 are the means of
    the observations', quantised.
    """

    points: np.ndarray
    point: np.ndarray
    view: np.ndarray
    pixels: np.ndarray
    descriptors: np.ndarray


def find_tracks(views: Sequence[View],
                progress: Callable[[float], None] = lambda share: None) -> Tracks:
    """Match the views with their neighbours and triangulate what they see in common."""
    return linked(views, match(views, MAX_ERROR_PX, progress))


def linked(views: Sequence[View], matches: Matches, error_px: float = MAX_ERROR_PX,
           depth_error: float = MAX_DEPTH_ERROR) -> Tracks:
    """The points behind the matches.

    Their observations are off by less than error_px, their standard deviation is less than
    depth_error, as a share of their distance. A wrong match joins two tracks into one with no
    common point: what the better one of them leaves over is linked once more, without it.
    """
    edges, view, pixels = matches.edges, matches.view, matches.pixels
    label = np.full(len(view), -1)
    points = [np.zeros((0, 3))]
    for _ in range(PEELS):
        left = edges[(label[edges] < 0).all(1)]
        graph = coo_array((np.ones(len(left)), left.T), shape=(len(view), len(view)))
        joined = connected_components(graph, directed=False)[1]
        alone = joined.max(initial=-1) + 1 + np.arange(len(view))
        some, found = triangulated(views, np.where(label < 0, joined, alone), view, pixels,
                                   error_px, depth_error)
        label[found >= 0] = found[found >= 0] + sum(map(len, points))
        points.append(some)
    seen = label >= 0
    means = np.zeros((sum(map(len, points)), matches.descriptors.shape[1]), np.float32)
    np.add.at(means, label[seen], unit(matches.descriptors[seen]))
    return Tracks(np.concatenate(points), label[seen], view[seen], pixels[seen],
                  quantised(unit(means * UNIT)))


def triangulated(views: Sequence[View], label: np.ndarray, view: np.ndarray,
                 pixels: np.ndarray, error_px: float,
                 depth_error: float) -> tuple[np.ndarray, np.ndarray]:
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
        keep = (angle * focal[view_] < error_px) & (distance > 0)
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
    keep &= spread[label_] < depth_error * nearest[label_]
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
