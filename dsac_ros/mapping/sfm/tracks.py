# SPDX-License-Identifier: Apache-2.0
"""Points that several views see: tracks of matches, triangulated at the views' known poses.

A point is the one nearest to all its rays in angle (iteratively reweighted midpoint).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array

from dsac_ros.alignment.features import UNIT, quantised, unit
from dsac_ros.mapping.data.view import View
from dsac_ros.mapping.sfm.matching import Matches, homogeneous, match

MAX_ERROR_PX = 3.0  # of an observation against the triangulated point
MAX_DEPTH_ERROR = 0.2  # standard deviation of a point, as a share of its distance
PRECISE = 0.02  # the same of a point that stands for the scene's shape
PEELS = 3
CHUNK = 65536  # matches whose similarity is computed at a time
ROUNDS = 10
SYMMETRIC = np.array([[0, 1, 2], [1, 3, 4], [2, 4, 5]])  # its six entries, row by row


@dataclass(frozen=True)
class Tracks:
    """P points seen in M observations.

    points (P, 3) in scene units; point (M,) and view (M,) say what an observation sees and from
    where, pixels (M, 2) where the feature was found; descriptors (P, 128) uint8 are the means of
    the observations', quantised; depth_error (P,) is the standard deviation of a point as a share
    of its distance from the nearest view, parallax (P,) the largest angle between two of its rays
    [rad].
    """

    points: np.ndarray
    point: np.ndarray
    view: np.ndarray
    pixels: np.ndarray
    descriptors: np.ndarray
    depth_error: np.ndarray
    parallax: np.ndarray

    def select(self, kept: np.ndarray) -> Tracks:
        """Only the points of a mask (P,)."""
        index = np.cumsum(kept) - 1
        seen = kept[self.point]
        return Tracks(
            self.points[kept],
            index[self.point[seen]],
            self.view[seen],
            self.pixels[seen],
            self.descriptors[kept],
            self.depth_error[kept],
            self.parallax[kept],
        )

    def precise(self) -> Tracks:
        """Only the points whose place is known to PRECISE of their distance."""
        return self.select(self.depth_error < PRECISE)


def find_tracks(
    views: Sequence[View], progress: Callable[[float], None] = lambda share: None
) -> Tracks:
    """Match the views with their neighbours and triangulate what they see in common."""
    return linked(views, match(views, MAX_ERROR_PX, progress))


def linked(
    views: Sequence[View],
    matches: Matches,
    error_px: float = MAX_ERROR_PX,
    depth_error: float = MAX_DEPTH_ERROR,
) -> Tracks:
    """The points behind the matches.

    Their observations are off by less than error_px, their standard deviation is less than
    depth_error, as a share of their distance. Matches join features to tracks, the most similar
    ones first, as long as a track is seen but once in a view. What a point does not explain of its
    track is linked once more, without the rest.
    """
    view, pixels = matches.view, matches.pixels
    alike = similarity(matches.descriptors, matches.edges)
    edges = matches.edges[np.argsort(-alike, kind='stable')]
    label = np.full(len(view), -1)
    points, errors = [np.zeros((0, 3))], [np.zeros(0)]
    for _ in range(PEELS):
        joined = tracks_of(edges[(label[edges] < 0).all(1)], view)
        alone = len(view) + np.arange(len(view))
        some, error, found = triangulated(
            views, np.where(label < 0, joined, alone), view, pixels, error_px, depth_error
        )
        label[found >= 0] = found[found >= 0] + sum(map(len, points))
        points.append(some)
        errors.append(error)
    seen = label >= 0
    means = summing(label[seen], sum(map(len, points))) @ unit(matches.descriptors[seen])
    places = np.concatenate(points)
    centres = np.stack([v.scene_from_camera[:3, 3] for v in views])
    return Tracks(
        places,
        label[seen],
        view[seen],
        pixels[seen],
        quantised(unit(means * UNIT)),
        np.concatenate(errors),
        widest_angle(places[label[seen]] - centres[view[seen]], label[seen]),
    )


def similarity(descriptors: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Cosine (E,) of the descriptors (F, 128) that edges (E, 2) join."""
    parts = [
        np.einsum('ec,ec->e', *(unit(descriptors[end]) for end in part.T))
        for part in np.split(edges, range(CHUNK, len(edges), CHUNK))
    ]
    return np.concatenate(parts)


def tracks_of(edges: np.ndarray, view: np.ndarray) -> np.ndarray:
    """Labels (F,) of the tracks that edges (E, 2), in this order, join features to.

    An edge between tracks that both have a feature of one view is left out: one of the matches
    is wrong, and this is the later one. view (F,) says where a feature is seen.
    """
    parent = list(range(len(view)))
    views = [1 << index for index in view.tolist()]  # of each track, as a set of bits

    def root(feature: int) -> int:
        while parent[feature] != feature:
            parent[feature] = feature = parent[parent[feature]]
        return feature

    for one, other in edges.tolist():
        one, other = root(one), root(other)
        if not views[one] & views[other]:
            parent[other] = one
            views[one] |= views[other]
    return np.array([root(feature) for feature in range(len(view))], int)


def triangulated(
    views: Sequence[View],
    label: np.ndarray,
    view: np.ndarray,
    pixels: np.ndarray,
    error_px: float,
    depth_error: float,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Triangulate one point for each set of equal labels (M,) that determines one.

    Returns points (P, 3), their standard deviations (P,) as shares of their distances, below
    depth_error, and the points (M,) that are observed; -1 for observations of no point, the
    outliers of the sets among them.
    """
    poses = np.stack([v.scene_from_camera for v in views])
    inverse = np.stack([np.linalg.inv(v.matrix) for v in views])
    focal = np.array([v.matrix[0, 0] for v in views])
    belongs = np.full(len(label), -1)
    rows = np.flatnonzero(np.bincount(label)[label] >= 2)
    rays = np.einsum(
        'mij,mj->mi', poses[view[rows], :3, :3] @ inverse[view[rows]], homogeneous(pixels[rows])
    )
    rays /= np.linalg.norm(rays, axis=1, keepdims=True)
    for _ in range(2):  # once with all observations, once without the outliers
        label_, view_ = np.unique(label[rows], return_inverse=True)[1], view[rows]
        points, spread, angle = nearest_points(
            rays, poses[view_, :3, 3], label_, 1.0 / focal[view_]
        )
        distance = dot(points[label_] - poses[view_, :3, 3], rays)
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
    error = spread / nearest
    keep &= error[label_] < depth_error
    kept, belongs[rows[keep]] = np.unique(label_[keep], return_inverse=True)
    return points[kept], error[kept], belongs


def nearest_points(
    rays: np.ndarray, centres: np.ndarray, label: np.ndarray, noise: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The point of each label nearest to its rays in angle, robustly.

    Of unit rays (M, 3) from centres (M, 3) with angular noise (M,) [rad]. Returns points (P, 3),
    their largest standard deviation (P,) and the angles (M,) between rays and points [rad].
    """
    count = label.max(initial=-1) + 1
    summed = summing(label, count)
    # I - ray ray' takes a vector to what is off the ray: its six entries, and the centre's part
    across = np.stack(
        [float(i == j) - rays[:, i] * rays[:, j] for i in range(3) for j in range(i, 3)], 1
    )
    aside = centres - rays * dot(rays, centres)[:, None]
    columns = np.concatenate([across, aside], 1)
    weight = np.ones(len(rays))
    for done in range(ROUNDS):
        sums = summed @ (weight[:, None] * columns)
        normal, right = sums[:, SYMMETRIC], sums[:, 6:]
        points = np.linalg.solve(
            normal + 1e-12 * np.eye(3) * np.trace(normal, axis1=1, axis2=2)[:, None, None],
            right[..., None],
        )[..., 0]
        towards = points[label] - centres
        distance = np.maximum(np.sqrt(dot(towards, towards)), 1e-9)
        off = towards - rays * dot(rays, towards)[:, None]
        angle = np.sqrt(dot(off, off)) / distance
        # wide at first: the fit must find the larger party before it turns the smaller one away
        share = angle / (noise * max(1.0, 2.0 ** (5 - done)))
        weight = 1.0 / ((noise * distance) ** 2 * (1.0 + share**2))
    spread = 1.0 / np.sqrt(np.maximum(np.linalg.eigvalsh(normal)[:, 0], 1e-12))
    return points, spread, angle


def widest_angle(rays: np.ndarray, label: np.ndarray) -> np.ndarray:
    """Largest angle (P,) between two rays (M, 3) of the same label (M,), nearly [rad].

    That between the ray farthest from their mean and the one farthest from it.
    """
    rays = rays / np.linalg.norm(rays, axis=1, keepdims=True)
    reference = summing(label, label.max(initial=-1) + 1) @ rays
    apart = np.zeros(len(reference))
    for _ in range(2):
        reference /= np.linalg.norm(reference, axis=1, keepdims=True)
        chord = np.linalg.norm(rays - reference[label], axis=1)
        order = np.lexsort((chord, label))
        farthest = order[np.diff(label[order], append=-1) != 0]
        reference, apart = rays[farthest], chord[farthest]
    return 2.0 * np.arcsin(np.minimum(apart / 2.0, 1.0))


def summing(label: np.ndarray, count: int) -> csr_array:
    """Matrix (count, M) whose product with values (M, ...) sums those of equal labels (M,)."""
    ones = np.ones(len(label), np.float32)
    return csr_array((ones, (label, np.arange(len(label)))), shape=(count, len(label)))


def dot(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Products (M,) of vectors (M, 3)."""
    return np.einsum('mi,mi->m', a, b)
