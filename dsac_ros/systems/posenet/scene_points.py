# SPDX-License-Identifier: Apache-2.0
"""Points of the scene that the frames show: measured, tracked, or of a COLMAP model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dsac_ros.colmap.points import points_file, read_points
from dsac_ros.errors import MappingError
from dsac_ros.geometry.resample import cell_centres
from dsac_ros.mapping.data.dataset import Dataset
from dsac_ros.mapping.data.view import View
from dsac_ros.systems.posenet.config import PoseNetConfig

POINTS = 96  # of a view, drawn from those that it sees
BINS = 16  # parts of the image along its longer side: the nearest point of each is seen
FEWEST = 8  # points of a view that say something about its pose


def points_of_views(
    data: Dataset, source: str, points: np.ndarray | None, seed: int
) -> list[np.ndarray]:
    """Return points (POINTS, 3) in scene units for each view; (0, 3) where it shows too few.

    Args:
        data: the views.
        source: depth, tracks or colmap; see `point_source`.
        points: those of the scene (P, 3) in scene units; None where depth is measured.
        seed: of the draw.
    """
    generator = np.random.default_rng(seed)
    found = []
    for view in data.views:
        seen = measured(view) if points is None else visible(points, view)
        if len(seen) >= FEWEST:
            rows = generator.choice(len(seen), POINTS, replace=len(seen) < POINTS)
            found.append(seen[rows])
        else:
            found.append(np.zeros((0, 3)))
    if not any(map(len, found)):
        raise MappingError(
            f'no frame shows {FEWEST} scene points of the source {source!r}, and the reprojection '
            'loss needs them; use frames with depth or with more texture, or the recipe '
            'posenet_learned'
        )
    return found


def point_source(data: Dataset, config: PoseNetConfig) -> str:
    """Return which source of points settings and frames ask for.

    Raises:
        MappingError: depth is asked for and no frame has any, or a model that is not named.
    """
    has_depth = any(view.depth is not None for view in data.views)
    if config.scene_points == 'auto':
        return 'colmap' if config.colmap_model else 'depth' if has_depth else 'tracks'
    if config.scene_points == 'depth' and not has_depth:
        raise MappingError(
            'scene_points=depth and no frame has depth; use tracks, or frames with depth'
        )
    if config.scene_points == 'colmap' and not config.colmap_model:
        raise MappingError(
            'scene_points=colmap and no model is named; add --set colmap_model=FOLDER'
        )
    return config.scene_points


def measured(view: View) -> np.ndarray:
    """Return the points (N, 3) in scene units where the depth of a view is measured."""
    if view.depth is None:
        return np.zeros((0, 3))
    pixels = cell_centres((view.image.shape[1], view.image.shape[0]))
    u, v = pixels.round().astype(int).T
    z = np.where(view.mask[v, u], view.depth[v, u], 0.0)
    rays = np.column_stack([(pixels - view.matrix[:2, 2]) / view.matrix[0, 0], np.ones(len(u))])
    in_camera = (rays * z[:, None])[z > 0]
    return in_camera @ view.scene_from_camera[:3, :3].T + view.scene_from_camera[:3, 3]


def visible(points: np.ndarray, view: View) -> np.ndarray:
    """Return those of the points (P, 3) that a view sees: the nearest in each part of its image.

    A point behind a surface is not seen, and there is no surface: only points.
    """
    camera_from_scene = np.linalg.inv(view.scene_from_camera)
    in_camera = points @ camera_from_scene[:3, :3].T + camera_from_scene[:3, 3]
    front = np.flatnonzero(in_camera[:, 2] > 0)
    plane = in_camera[front, :2] / in_camera[front, 2:]
    pixels = plane * view.matrix[0, 0] + view.matrix[:2, 2]
    height, width = view.image.shape
    inside = ((pixels >= 0) & (pixels <= (width - 1, height - 1))).all(1)
    front, pixels = front[inside], pixels[inside]
    column, row = (pixels * BINS / max(width, height)).astype(int).T
    order = np.argsort(in_camera[front, 2], kind='stable')
    _, first = np.unique((row * BINS + column)[order], return_index=True)
    return points[front[order[first]]]


def tracked(views: Sequence[View], points: np.ndarray) -> np.ndarray:
    """Check the points (P, 3) of tracks through views; return them."""
    if not len(points):
        raise MappingError(
            f'no point could be triangulated of {len(views)} mapping frames, and the reprojection '
            'loss needs them; take frames that overlap, or use frames with depth'
        )
    return points


def read_colmap_points(folder: Path) -> np.ndarray:
    """Return the points (P, 3) of a COLMAP model, in its own unit and frame.

    Raises:
        MappingError: there is no such file.
        SourceError: it is cut short.
    """
    file = points_file(folder)
    if file is None:
        raise MappingError(
            f'{folder} has no points3D.bin or points3D.txt, expected a COLMAP model; check '
            'colmap_model'
        )
    return read_points(file)[1]
