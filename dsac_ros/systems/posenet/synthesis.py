# SPDX-License-Identifier: Apache-2.0
"""Views of a scene from places near those of its frames.

A regression of poses knows only what it has seen (Sattler et al., CVPR 2019): frames are shown to
it as turned cameras see them, and where their depth is known as moved ones do.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch

from dsac_ros.geometry.rotation import matrix_from_axis_angle
from dsac_ros.mapping.data.augmentation import change_light
from dsac_ros.mapping.data.buffer import LIGHT
from dsac_ros.mapping.data.view import View

NEAREST = 0.05  # depth of the nearest point that is shown [scene units]
GAP_PX = 3  # gaps between projected pixels up to this width are closed
ANTIALIASING = 0.5  # standard deviation of the blur, as a share of the shrinkage [px]


@dataclass(frozen=True)
class Pinhole:
    """Camera of the images that a network sees: matrix (3, 3), size_wh [px]."""

    matrix: np.ndarray
    size_wh: tuple[int, int]


def random_view(
    view: View, camera: Pinhole, max_turn: float, reach: float, generator: torch.Generator
) -> View:
    """Show a view from another place, turned by up to max_turn [rad], in another light.

    It is moved by up to `reach` [scene units] where its depth is known.
    """
    turn = random_vector(max_turn, generator)
    move = random_vector(reach if view.depth is not None else 0.0, generator)
    rotation = matrix_from_axis_angle(torch.from_numpy(turn)).numpy()
    shown = moved_view(view, camera, rotation, move)
    return View(
        change_light(shown.image, LIGHT, generator),
        shown.mask,
        shown.matrix,
        shown.scene_from_camera,
        None,
    )


def random_vector(longest: float, generator: torch.Generator) -> np.ndarray:
    """Draw a vector (3,) of any direction whose length is uniform up to `longest`."""
    direction = torch.randn(3, generator=generator, dtype=torch.float64)
    length = longest * torch.rand((), generator=generator, dtype=torch.float64)
    return (length * direction / direction.norm()).numpy()


def moved_view(view: View, camera: Pinhole, rotation: np.ndarray, move: np.ndarray) -> View:
    """Return a view as another camera shows it.

    Args:
        view: depth is needed if it is moved.
        camera: of the result.
        rotation: view_from_result (3, 3).
        move: place of the result in the frame of the view (3,) [scene units].
    """
    view_from_result = np.eye(4)
    view_from_result[:3, :3], view_from_result[:3, 3] = rotation, move
    depth = 1.0
    if view.depth is not None and (view.depth > 0).any():
        depth = float(np.median(view.depth[view.depth > 0]))
    image, mask = of_plane(view.image, view.mask, view.matrix, camera, rotation, move, depth)
    if move.any() and view.depth is not None:
        mask = splat(view, camera, rotation, move, image)
    return View(image, mask, camera.matrix, view.scene_from_camera @ view_from_result, None)


def of_plane(
    image: np.ndarray,
    mask: np.ndarray,
    matrix: np.ndarray,
    camera: Pinhole,
    rotation: np.ndarray,
    move: np.ndarray,
    depth: float,
) -> tuple[np.ndarray, np.ndarray]:
    """Return image and mask as another camera shows them if all that is seen is at one depth.

    X_result = R^T (X - t), and z = depth for all X: a homography, exact for t = 0.

    Args:
        image: (H, W) uint8.
        mask: (H, W) bool.
        matrix: intrinsics (3, 3) of the image.
        camera: of the result.
        rotation: image_from_result (3, 3).
        move: place of the result in the frame of the image (3,).
        depth: of the plane, in the same unit.
    """
    plane = rotation.T.copy()
    plane[:, 2] -= rotation.T @ move / depth
    homography = camera.matrix @ plane @ np.linalg.inv(matrix)
    shrink = matrix[0, 0] / camera.matrix[0, 0]
    if shrink > 1.0:
        image = cv2.GaussianBlur(image, (0, 0), ANTIALIASING * shrink)
    size_wh = camera.size_wh
    return (
        cv2.warpPerspective(image, homography, size_wh, borderMode=cv2.BORDER_REPLICATE),
        cv2.warpPerspective(mask.astype(np.uint8), homography, size_wh, flags=cv2.INTER_NEAREST)
        > 0,
    )


def splat(
    view: View, camera: Pinhole, rotation: np.ndarray, move: np.ndarray, image: np.ndarray
) -> np.ndarray:
    """Draw a view's pixels of known depth into an image, the nearest last; return the mask."""
    assert view.depth is not None
    v, u = np.nonzero((view.depth > 0) & view.mask)
    z = view.depth[v, u]
    focal, centre = view.matrix[0, 0], view.matrix[:2, 2]
    points = np.stack([(u - centre[0]) / focal * z, (v - centre[1]) / focal * z, z], 1)
    moved = (points - move) @ rotation
    front = moved[:, 2] > NEAREST
    moved, grey = moved[front], view.image[v[front], u[front]]
    pixels = moved[:, :2] / moved[:, 2:] * camera.matrix[0, 0] + camera.matrix[:2, 2]
    pixels = np.rint(np.clip(pixels, -9, 1e6)).astype(int)
    inside = ((pixels >= 0) & (pixels < camera.size_wh)).all(1)
    order = np.flatnonzero(inside)[np.argsort(-moved[inside, 2], kind='stable')]
    columns, rows = pixels[order].T
    image[rows, columns] = grey[order]
    drawn = np.zeros(image.shape, np.uint8)
    drawn[rows, columns] = 1
    return cv2.morphologyEx(drawn, cv2.MORPH_CLOSE, np.ones((GAP_PX, GAP_PX), np.uint8)) > 0
