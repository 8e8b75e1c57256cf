# SPDX-License-Identifier: Apache-2.0
"""Poses that agree with what their views see in common: bundle adjustment.

Levenberg-Marquardt on the reprojection errors of tracks, robust (Cauchy), the points eliminated
by the Schur complement (Triggs et al., Bundle Adjustment: A Modern Synthesis, 2000, section 6).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from scipy.linalg import cho_factor, cho_solve
from scipy.sparse import bsr_array

from dsac_ros.geometry import se3
from dsac_ros.mapping.data.view import View
from dsac_ros.mapping.sfm.tracks import Tracks

# How far a pose may be off, one standard deviation [scene units, rad]. It fixes the seven
# freedoms that images leave open, hardly more: a track is worth a pixel.
PLACE, ANGLE = 0.05, np.radians(3.0)
NEAREST = 1e-3  # depth below which an observation has no derivative [scene units]
# The error, in units of where errors begin to count for less, that it counts as all the same: to
# throw a point behind its cameras must be no gain.
LOST = 1e3


def adjusted(
    views: Sequence[View], tracks: Tracks, scale_px: float, rounds: int = 8
) -> np.ndarray:
    """camera_from_scene (V, 4, 4) of the views after at most `rounds` steps.

    scale_px is the error at which an observation begins to count for less.
    """
    start = np.stack([np.linalg.inv(view.scene_from_camera) for view in views])
    intrinsics = np.stack(
        [[view.matrix[0, 0], view.matrix[0, 2], view.matrix[1, 2]] for view in views]
    )
    poses, points, damping = start, tracks.points, 1e-4
    cost, normal = linearised(poses, points, start, intrinsics, tracks, scale_px)
    for _ in range(rounds):
        turn, shift = step(*normal, tracks, damping)
        moved = se3.exp(torch.from_numpy(turn)).numpy() @ poses
        cost_there, normal_there = linearised(
            moved, points + shift, start, intrinsics, tracks, scale_px
        )
        if cost_there >= cost:
            damping *= 10
            continue
        gained = 1 - cost_there / cost
        poses, points, cost, normal = moved, points + shift, cost_there, normal_there
        damping = max(damping / 10, 1e-9)
        if gained < 1e-4:
            break
    return poses


Normal = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def linearised(
    poses: np.ndarray,
    points: np.ndarray,
    start: np.ndarray,
    intrinsics: np.ndarray,
    tracks: Tracks,
    scale_px: float,
) -> tuple[float, Normal]:
    """The cost, and its normal equations.

    Their blocks: poses (V, 6, 6), points (P, 3, 3), between them (M, 6, 3), one to an observation;
    and the right sides (V, 6) and (P, 3). A pose moves by exp(twist) from the left.
    """
    pose, focal = poses[tracks.view], intrinsics[tracks.view, :1]
    camera = np.einsum('mij,mj->mi', pose[:, :3, :3], points[tracks.point]) + pose[:, :3, 3]
    seen = camera[:, 2] > NEAREST
    z = np.where(seen, camera[:, 2], 1.0)
    ray = camera[:, :2] / z[:, None]
    error = focal * ray + intrinsics[tracks.view, 1:] - tracks.pixels
    squared = (error**2).sum(1) / scale_px**2
    cost = scale_px**2 * np.log1p(np.where(seen, squared, LOST**2)).sum()
    weight = seen / (1.0 + squared)
    # d pixel / d camera, then camera's own derivatives: by translation I, by rotation -[camera]x
    by_camera = np.zeros((len(z), 2, 3))
    by_camera[:, 0, 0] = by_camera[:, 1, 1] = focal[:, 0] / z
    by_camera[:, :, 2] = -focal * ray / z[:, None]
    by_turn = -np.cross(by_camera, camera[:, None], axis=2)
    by_pose = np.concatenate([by_camera, by_turn], 2)
    by_point = by_camera @ pose[:, :3, :3]
    weighted_pose, weighted_point = (weight[:, None, None] * j for j in (by_pose, by_point))
    of_poses = summed(weighted_pose.swapaxes(1, 2) @ by_pose, tracks.view, len(poses))
    of_points = summed(weighted_point.swapaxes(1, 2) @ by_point, tracks.point, len(points))
    between = weighted_pose.swapaxes(1, 2) @ by_point
    right_poses = -summed(np.einsum('mki,mk->mi', weighted_pose, error), tracks.view, len(poses))
    right_points = -summed(
        np.einsum('mki,mk->mi', weighted_point, error), tracks.point, len(points)
    )
    prior = 1 / np.array([PLACE] * 3 + [ANGLE] * 3) ** 2
    off = se3.log(torch.from_numpy(poses @ np.linalg.inv(start))).numpy()
    cost += (prior * off**2).sum()
    return float(cost), (
        of_poses + np.diag(prior),
        of_points,
        between,
        right_poses - prior * off,
        right_points,
    )


def step(
    of_poses: np.ndarray,
    of_points: np.ndarray,
    between: np.ndarray,
    right_poses: np.ndarray,
    right_points: np.ndarray,
    tracks: Tracks,
    damping: float,
) -> tuple[np.ndarray, np.ndarray]:
    """Twists of the poses (V, 6) and shifts of the points (P, 3) that solve the damped system."""
    views, points = len(of_poses), len(of_points)
    inverse = np.linalg.inv(damped(of_points, damping))
    order = np.lexsort((tracks.point, tracks.view))
    ends = np.searchsorted(tracks.view[order], np.arange(views + 1))
    mixed = bsr_array((between[order], tracks.point[order], ends), shape=(6 * views, 3 * points))
    solved = bsr_array(
        (between[order] @ inverse[tracks.point[order]], tracks.point[order], ends),
        shape=mixed.shape,
    )
    reduced = -(solved @ mixed.T).toarray()
    blocks = reduced.reshape(views, 6, views, 6)
    blocks[np.arange(views), :, np.arange(views)] += damped(of_poses, damping)
    turn = cho_solve(cho_factor(reduced), right_poses.ravel() - solved @ right_points.ravel())
    shift = inverse @ (right_points.ravel() - mixed.T @ turn).reshape(-1, 3, 1)
    return turn.reshape(-1, 6), shift[..., 0]


def damped(blocks: np.ndarray, damping: float) -> np.ndarray:
    """Blocks (K, n, n) with their diagonals enlarged."""
    diagonal = np.einsum('kii->ki', blocks)
    return blocks + np.eye(blocks.shape[1]) * (damping * diagonal + 1e-9)[:, None]


def summed(values: np.ndarray, index: np.ndarray, count: int) -> np.ndarray:
    """Sums (count, ...) of the values (M, ...) with the same index (M,)."""
    flat = values.reshape(len(values), -1)
    sums = [np.bincount(index, column, count) for column in flat.T]
    return np.stack(sums, 1).reshape(count, *values.shape[1:])
