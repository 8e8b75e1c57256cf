# SPDX-License-Identifier: Apache-2.0
"""Scene coordinates seen by another pinhole, and joined by measured depth."""
from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from dsac_ros.types import SceneCoordinates


def in_pinhole(scene: SceneCoordinates, matrix: Tensor) -> SceneCoordinates:
    """Express scene coordinates in the pixels of another ideal pinhole that looks the same way.

    Both cameras have square pixels; matrix (3, 3) is the intrinsics of the other one. Predicted
    errors keep their angle.
    """
    matrix = matrix.to(scene.matrices)
    ratio = matrix[0, 0] / scene.matrices[:, 0, 0]
    from_centre = scene.pixels - scene.matrices[:, None, :2, 2]
    return replace(scene, pixels=from_centre * ratio[:, None, None] + matrix[:2, 2],
                   sigma_px=scene.sigma_px * ratio[:, None],
                   matrices=matrix.expand_as(scene.matrices))


def with_depth(scene: SceneCoordinates, depth: np.ndarray) -> SceneCoordinates:
    """Add what a sensor measured at the pixels of one image, from its depth (H, W) [m]."""
    u, v = scene.pixels[0].round().long().T.cpu().numpy()
    height, width = depth.shape
    measured = depth[v.clip(0, height - 1), u.clip(0, width - 1)]
    measured = torch.from_numpy(np.ascontiguousarray(measured, dtype=np.float32))
    return replace(scene, depth=measured.to(scene.pixels.device)[None])
