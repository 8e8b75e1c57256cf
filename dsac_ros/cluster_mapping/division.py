# SPDX-License-Identifier: Apache-2.0
"""Division of a place into overlapping clusters of frames.

Hierarchical 2-means, the largest cluster first, as Poker divides camera positions (Brachmann et
al., CVPR 2023) and ESAC what images see (ICCV 2019); here both count: two cameras back to back in
one spot see different places.
"""

from __future__ import annotations

import numpy as np

from dsac_ros.cluster_mapping.config import DivisionConfig
from dsac_ros.errors import MappingError

ROUNDS, TRIES = 20, 10
EMPTY_DEPTH = 1e-9


def view_places(poses: np.ndarray, depths: np.ndarray) -> np.ndarray:
    """Return places (N, 6) whose distances [m] say how different views are.

    Args:
        poses: world_from_camera (N, 4, 4).
        depths: median depth (N,) [m] of what each sees.

    Returns:
        The camera's position and the point that it looks at, over the root of 2: views moved
        without turning are as far apart as their cameras.
    """
    centres = poses[:, :3, 3]
    seen = centres + depths[:, None] * poses[:, :3, 2]
    return np.asarray(np.concatenate([centres, seen], 1) / np.sqrt(2.0))


def divide(
    places: np.ndarray, count: int, depth: float, config: DivisionConfig, seed: int = 0
) -> list[np.ndarray]:
    """Divide views into clusters that overlap.

    Args:
        places: (N, 6) of `view_places`.
        count: of the clusters; 0: as many as the settings want.
        depth: median depth of the scene [m].
        config: settings.
        seed: of the starts of 2-means.

    Returns:
        Ascending indices of the frames of each cluster, the largest first.

    Raises:
        MappingError: there are too few frames for so many clusters.
    """
    rng = np.random.default_rng(seed)
    clusters = [np.arange(len(places))]
    while count == 0 or len(clusters) < count:
        halves = None
        for index in sorted(range(len(clusters)), key=lambda k: -len(clusters[k])):
            if count == 0 and not _too_large(places[clusters[index]], depth, config):
                continue
            halves = _halved(places, clusters[index], rng, config)
            if halves is not None:
                clusters[index : index + 1] = halves
                break
        if halves is None:
            break
    if len(clusters) < count:
        raise MappingError(
            f'{len(places)} frames make {len(clusters)} clusters of at least '
            f'{config.min_cluster_frames} frames, expected {count}; take fewer, or auto'
        )
    return sorted(_overlapping(places, clusters, config.cluster_overlap), key=len, reverse=True)


def _too_large(places: np.ndarray, depth: float, config: DivisionConfig) -> bool:
    spread = np.sqrt(((places - places.mean(0)) ** 2).sum(1).mean())
    return bool(
        len(places) > config.cluster_frames or spread > config.cluster_extent * max(depth, 1e-9)
    )


def _halved(
    places: np.ndarray, rows: np.ndarray, rng: np.random.Generator, config: DivisionConfig
) -> list[np.ndarray] | None:
    """Return two parts of a cluster; None where one of them has too few frames."""
    labels = two_means(places[rows], rng)
    halves = [rows[labels == label] for label in (0, 1)]
    return halves if min(map(len, halves)) >= config.min_cluster_frames else None


def two_means(places: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return the labels (N,) 0 or 1 of the best of several 2-means with k-means++ starts."""
    best, least = np.zeros(len(places), int), np.inf
    for _ in range(TRIES):
        first = places[rng.integers(len(places))]
        squared = ((places - first) ** 2).sum(1)
        if squared.sum() <= EMPTY_DEPTH:
            return best
        second = places[rng.choice(len(places), p=squared / squared.sum())]
        centres = np.stack([first, second])
        for _ in range(ROUNDS):
            distance = ((places[:, None] - centres) ** 2).sum(2)
            labels = distance.argmin(1)
            if len(np.unique(labels)) < 2:
                break
            centres = np.stack([places[labels == label].mean(0) for label in (0, 1)])
        if (error := distance.min(1).sum()) < least:
            best, least = labels, error
    return best


def _overlapping(
    places: np.ndarray, clusters: list[np.ndarray], overlap: float
) -> list[np.ndarray]:
    """Add to each cluster the frames of others that are hardly further from its centre."""
    centres = np.stack([places[rows].mean(0) for rows in clusters])
    distance = np.linalg.norm(places[:, None] - centres, axis=2)
    own = np.empty(len(places))
    for index, rows in enumerate(clusters):
        own[rows] = distance[rows, index]
    found = []
    for index, rows in enumerate(clusters):
        near = np.flatnonzero(distance[:, index] <= (1 + overlap) * own)
        found.append(np.union1d(rows, near))
    return found
