# SPDX-License-Identifier: Apache-2.0
"""Other people's RANSAC for absolute pose, all called alike: the peers of `dsac bench ransac`.

OpenCV is always there; PoseLib and pycolmap come with the `benchmark` extra.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np

# world (N, 3), pixels (N, 2), matrix (3, 3), size_wh -> world_from_camera (4, 4), None if lost
Solver = Callable[[np.ndarray, np.ndarray, np.ndarray, tuple[int, int]], 'np.ndarray | None']

INLIER_PX = 10.0
ITERATIONS = 1000  # what PoseLib spends at least by default


def peers() -> dict[str, Solver]:
    """The solvers that are installed, by the name of their row."""
    found: dict[str, Solver] = {}
    if importlib.util.find_spec('poselib'):
        found['poselib'] = poselib_pose
    found |= {'opencv_ransac': opencv_ransac_pose, 'opencv_usac': opencv_usac_pose}
    if importlib.util.find_spec('pycolmap'):
        found['pycolmap'] = pycolmap_pose
    return found


def poselib_pose(
    world: np.ndarray, pixels: np.ndarray, matrix: np.ndarray, size_wh: tuple[int, int]
) -> np.ndarray | None:
    """PoseLib's LO-RANSAC with its defaults."""
    import poselib

    pose, report = poselib.estimate_absolute_pose(
        pixels, world, colmap_camera(matrix, size_wh), {'max_reproj_error': INLIER_PX}, {}
    )
    return inverse(pose.R, pose.t) if report['num_inliers'] >= 4 else None


def opencv_ransac_pose(
    world: np.ndarray, pixels: np.ndarray, matrix: np.ndarray, size_wh: tuple[int, int]
) -> np.ndarray | None:
    """solvePnPRansac with P3P, refined on its inliers."""
    found, turn, shift, inliers = cv2.solvePnPRansac(
        world,
        pixels,
        matrix,
        None,
        iterationsCount=ITERATIONS,
        reprojectionError=INLIER_PX,
        flags=cv2.SOLVEPNP_P3P,
    )
    return refined(world, pixels, matrix, turn, shift, inliers) if found else None


def opencv_usac_pose(
    world: np.ndarray, pixels: np.ndarray, matrix: np.ndarray, size_wh: tuple[int, int]
) -> np.ndarray | None:
    """OpenCV's USAC with local optimisation and MSAC's score, refined on its inliers."""
    settings = cv2.UsacParams()
    settings.threshold, settings.maxIterations = INLIER_PX, ITERATIONS
    settings.loMethod, settings.score = cv2.LOCAL_OPTIM_INNER_LO, cv2.SCORE_METHOD_MSAC
    found, _, turn, shift, inliers = cv2.solvePnPRansac(
        world, pixels, matrix.copy(), np.zeros(4), params=settings
    )
    return refined(world, pixels, matrix, turn, shift, inliers) if found else None


def refined(
    world: np.ndarray,
    pixels: np.ndarray,
    matrix: np.ndarray,
    turn: np.ndarray,
    shift: np.ndarray,
    inliers: np.ndarray | None,
) -> np.ndarray | None:
    """world_from_camera (4, 4) after OpenCV's Levenberg-Marquardt on the inliers, of four or more.

    From camera_from_world's Rodrigues vector and translation.
    """
    if inliers is None or len(inliers) < 4:
        return None
    chosen = np.asarray(inliers).ravel()
    turn, shift = cv2.solvePnPRefineLM(world[chosen], pixels[chosen], matrix, None, turn, shift)
    return inverse(cv2.Rodrigues(turn)[0], shift[:, 0])


def pycolmap_pose(
    world: np.ndarray, pixels: np.ndarray, matrix: np.ndarray, size_wh: tuple[int, int]
) -> np.ndarray | None:
    """COLMAP's LO-RANSAC and its refinement."""
    import pycolmap

    described = colmap_camera(matrix, size_wh)
    camera = pycolmap.Camera(**described)
    ransac = pycolmap.AbsolutePoseEstimationOptions()
    ransac.ransac.max_error = INLIER_PX
    answer = pycolmap.estimate_and_refine_absolute_pose(pixels, world, camera, ransac)
    if answer is None:
        return None
    pose = answer['cam_from_world'].matrix()
    return inverse(pose[:, :3], pose[:, 3])


def colmap_camera(matrix: np.ndarray, size_wh: tuple[int, int]) -> dict[str, Any]:
    """A pinhole camera as COLMAP and PoseLib describe it."""
    return {
        'model': 'PINHOLE',
        'width': size_wh[0],
        'height': size_wh[1],
        'params': [matrix[0, 0], matrix[1, 1], matrix[0, 2], matrix[1, 2]],
    }


def inverse(rotation: np.ndarray, translation: np.ndarray) -> np.ndarray:
    """world_from_camera (4, 4) from camera_from_world's rotation (3, 3) and translation (3,)."""
    pose = np.eye(4)
    pose[:3, :3], pose[:3, 3] = rotation.T, -rotation.T @ translation
    return pose
