# SPDX-License-Identifier: Apache-2.0
"""Scenes of known pose for the tests of the estimator, one by one and as a batch."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from dsac_ros.benchmark.synthetic_correspondences import (
    FOCAL,
    batch,
    scene_coordinates,
    to_device,
)
from dsac_ros.benchmark.synthetic_correspondences import cell_pixels as pixels
from dsac_ros.benchmark.synthetic_correspondences import synthetic_correspondences as scene
from dsac_ros.geometry import se3
from dsac_ros.types import SceneCoordinates

__all__ = [
    'FOCAL',
    'batch',
    'pixels',
    'poses_near',
    'scene',
    'scene_coordinates',
    'stack',
    'to_device',
]


def stack(scenes: Sequence[SceneCoordinates], name: str) -> Tensor:
    """One field of many images as one batch."""
    return torch.cat([getattr(one, name) for one in scenes])


def poses_near(seed, count, correspondences, world_from_camera, noise=0.02):
    """Poses (1, count, 4, 4) of the scaled world near the true one."""
    generator = torch.Generator().manual_seed(seed)
    scaled = world_from_camera.clone()
    scaled[:3, 3] = (scaled[:3, 3] - correspondences.centre[0]) / correspondences.scale[0]
    twist = noise * torch.randn(1, count, 6, dtype=torch.float64, generator=generator)
    return (se3.exp(twist) @ se3.inverse(scaled)).to(correspondences.points.dtype)
