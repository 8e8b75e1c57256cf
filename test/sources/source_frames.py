# SPDX-License-Identifier: Apache-2.0
"""Tiny frames that the tests of this folder write and read back."""

from __future__ import annotations

import numpy as np
import torch

from dsac_ros.geometry import se3
from dsac_ros.geometry.camera import camera_from_info
from dsac_ros.types import Camera, Frame, PosedFrame

START_NS = 1_700_000_000_123_456_789
STEP_NS = 100_000_000
K = (50.0, 0, 15.5, 0, 52.0, 12.25, 0, 0, 1)
LENS = (-0.2, 0.05, 1e-3, -1e-3, 0.01)


def pose(*twist: float) -> np.ndarray:
    return se3.exp(torch.tensor(twist, dtype=torch.float64)).numpy()


def camera(lens: tuple[float, ...] = ()) -> Camera:
    return camera_from_info((32, 24), K, lens, model='plumb_bob')


def posed_frames(
    count: int = 5, *, depth: bool = False, lens: tuple[float, ...] = ()
) -> list[PosedFrame]:
    """Frames of noise 100 ms apart along a random walk, the second one gray."""
    generator = np.random.default_rng(7)
    frames = []
    for index in range(count):
        image = generator.integers(0, 256, (24, 32, 3), dtype=np.uint8)
        metres = (generator.integers(0, 5000, (24, 32)) / 1000).astype(np.float32)
        frame = Frame(
            image[..., 0].copy() if index == 1 else image,
            camera(lens),
            START_NS + index * STEP_NS,
            f'{index}',
            metres if depth else None,
        )
        frames.append(PosedFrame(frame, pose(*generator.normal(size=6) * 0.5)))
    return frames


def assert_same(found: list[PosedFrame], expected: list[PosedFrame], stamps: bool = True) -> None:
    assert len(found) == len(expected)
    for one, other in zip(found, expected):
        np.testing.assert_allclose(one.world_from_camera, other.world_from_camera, atol=1e-9)
        np.testing.assert_array_equal(one.frame.image, other.frame.image)
        np.testing.assert_allclose(one.frame.camera.matrix, other.frame.camera.matrix, atol=1e-8)
        assert one.frame.camera.size_wh == other.frame.camera.size_wh
        assert one.frame.camera.model == other.frame.camera.model
        np.testing.assert_allclose(one.frame.camera.distortion, other.frame.camera.distortion)
        if other.frame.depth is None:
            assert one.frame.depth is None
        else:
            np.testing.assert_allclose(one.frame.depth, other.frame.depth, atol=5e-4)
        if stamps:
            assert one.frame.stamp_ns == other.frame.stamp_ns
