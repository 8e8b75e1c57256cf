# SPDX-License-Identifier: Apache-2.0
"""RANSAC as the papers write it: a loop, a library's solver, one hypothesis after the other."""

from __future__ import annotations

import cv2
import numpy as np
from scipy.optimize import least_squares


def project(
    world: np.ndarray, matrix: np.ndarray, turn: np.ndarray, shift: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Pixels (N, 2) and depths (N,) of world points in a camera of Rodrigues vector and shift."""
    camera = world @ cv2.Rodrigues(turn)[0].T + shift
    image = camera @ matrix.T
    return image[:, :2] / image[:, 2:], camera[:, 2]


def score(
    world: np.ndarray,
    pixels: np.ndarray,
    matrix: np.ndarray,
    turn: np.ndarray,
    shift: np.ndarray,
    inlier_px: float,
) -> float:
    """Soft inlier count of one pose."""
    projected, depth = project(world, matrix, turn, shift)
    error = np.where(depth > 0.0, np.linalg.norm(projected - pixels, axis=1), 100.0).clip(
        max=100.0
    )
    return float((1.0 / (1.0 + np.exp(5.0 / inlier_px * (error - inlier_px)))).sum())


def hypothesis(
    world: np.ndarray, pixels: np.ndarray, matrix: np.ndarray, cells: np.ndarray, inlier_px: float
) -> tuple[np.ndarray | None, float]:
    """Turn and shift (6,) by three cells that score best, or None, and the score."""
    best, best_score = None, -1.0
    _, turns, shifts = cv2.solveP3P(world[cells], pixels[cells], matrix, None, cv2.SOLVEPNP_P3P)
    for turn, shift in zip(turns, shifts):
        value = score(world, pixels, matrix, turn[:, 0], shift[:, 0], inlier_px)
        if value > best_score:
            best, best_score = np.concatenate([turn[:, 0], shift[:, 0]]), value
    return best, best_score


def refined(
    world: np.ndarray, pixels: np.ndarray, matrix: np.ndarray, pose: np.ndarray, inlier_px: float
) -> np.ndarray:
    """world_from_camera (4, 4) after ten fits of a turn and shift (6,) to its inliers."""
    for _ in range(10):
        projected, depth = project(world, matrix, pose[:3], pose[3:])
        inliers = (np.linalg.norm(projected - pixels, axis=1) < inlier_px) & (depth > 0.0)

        def residuals(pose: np.ndarray, inliers: np.ndarray = inliers) -> np.ndarray:
            return (
                project(world[inliers], matrix, pose[:3], pose[3:])[0] - pixels[inliers]
            ).ravel()

        pose = least_squares(residuals, pose).x
    rotation = cv2.Rodrigues(pose[:3])[0]
    world_from_camera = np.eye(4)
    world_from_camera[:3, :3], world_from_camera[:3, 3] = rotation.T, -rotation.T @ pose[3:]
    return world_from_camera


def estimate(
    world: np.ndarray,
    pixels: np.ndarray,
    matrix: np.ndarray,
    sets: np.ndarray,
    inlier_px: float = 10.0,
) -> tuple[np.ndarray, float]:
    """world_from_camera (4, 4), and the score of the best of `sets` (H, 3) before refinement."""
    best, best_score = max(
        (hypothesis(world, pixels, matrix, cells, inlier_px) for cells in sets),
        key=lambda found: found[1],
    )
    return refined(world, pixels, matrix, best, inlier_px), best_score


def expected_loss(
    world: np.ndarray,
    pixels: np.ndarray,
    matrix: np.ndarray,
    sets: np.ndarray,
    truth: np.ndarray,
    alpha: float,
    inlier_px: float = 10.0,
) -> tuple[float, np.ndarray]:
    """E_j[max(degrees, centimetres)] of sets (H, 3), and their probabilities (H,): DSAC, eq. 6."""
    weights, losses = [], []
    for cells in sets:
        pose, value = hypothesis(world, pixels, matrix, cells, inlier_px)
        if pose is None:
            weights.append(0.0)
            losses.append(0.0)
            continue
        found = refined(world, pixels, matrix, pose, inlier_px)
        turn = np.linalg.norm(cv2.Rodrigues(found[:3, :3].T @ truth[:3, :3])[0])
        shift = np.linalg.norm(found[:3, 3] - truth[:3, 3])
        weights.append(np.exp(alpha * value / len(world)))
        losses.append(max(np.degrees(turn), 100.0 * shift))
    probability = np.array(weights) / sum(weights)
    return float(probability @ losses), probability
