# SPDX-License-Identifier: Apache-2.0
"""From light to a robot's picture: exposure, white balance, vignetting, motion blur, noise."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from dsac_ros.synthetic.atlas import to_srgb
from dsac_ros.types import Camera

MAX_TAPS = 9


@dataclass(frozen=True)
class SensorModel:
    """A cheap camera; a value of zero switches its effect off.

    exposure_stops: deviation of the slowly changing exposure; shot_noise: standard deviation at
    full white, growing with the root of the light; read_noise: the part without light (both of
    white = 1, linear); vignetting: light lost in the corners; exposure_s: how long the shutter is
    open; white_balance: deviation of the channels' gains.
    """

    exposure_stops: float = 0.35
    shot_noise: float = 0.018
    read_noise: float = 0.003
    vignetting: float = 0.25
    exposure_s: float = 0.012
    white_balance: float = 0.03

    def gains(self, rng: np.random.Generator, frames: int, rate_hz: float) -> np.ndarray:
        """Gains (frames, 3) that wander over about eight seconds."""
        keep = np.exp(-1.0 / (8.0 * rate_hz))
        walk = rng.standard_normal((frames, 3))
        for k in range(1, frames):
            walk[k] = keep * walk[k - 1] + np.sqrt(1 - keep * keep) * walk[k]
        exposure = 2.0 ** (self.exposure_stops * walk[:, :1])
        red, blue = (1 + self.white_balance * walk[:, k] for k in (1, 2))
        return exposure * np.stack([red, np.ones(frames), blue], axis=1)

    def expose(
        self,
        linear: np.ndarray,
        depth: np.ndarray,
        camera: Camera,
        end_from_start: np.ndarray,
        gain: np.ndarray,
        rng: np.random.Generator,
    ) -> np.ndarray:
        """The picture (H, W, 3) uint8 sRGB of the light (H, W, 3).

        depth (H, W) [m]; end_from_start (4, 4) takes points from the camera as the shutter opens
        to the camera as it closes; gain (3,).
        """
        light = motion_blur(linear, depth, camera, end_from_start)
        light = light * (gain.astype(np.float32) * self._vignette(camera)[..., None])
        if self.shot_noise > 0 or self.read_noise > 0:
            variance = light * np.float32(self.shot_noise**2) + np.float32(self.read_noise**2)
            light += np.sqrt(variance) * rng.standard_normal(light.shape, dtype=np.float32)
        return to_srgb(light)

    def _vignette(self, camera: Camera) -> np.ndarray:
        """Share of the light (H, W) that arrives; the corners get 1 - vignetting."""
        width, height = camera.size_wh
        x = (np.arange(width) - (width - 1) / 2) / (width / 2)
        y = (np.arange(height) - (height - 1) / 2) / (height / 2)
        square = (x * x)[None] + (y * y)[:, None]
        return (1 - self.vignetting * (square / 2) ** 1.5).astype(np.float32)


def motion_blur(
    linear: np.ndarray, depth: np.ndarray, camera: Camera, end_from_start: np.ndarray
) -> np.ndarray:
    """The mean of the light along each pixel's way while the shutter is open."""
    height, width = depth.shape
    matrix = np.asarray(camera.matrix, np.float64)
    # A pixel and its depth move by an affine map: pixel' ~ A pixel z + b.
    turn = matrix @ end_from_start[:3, :3] @ np.linalg.inv(matrix)
    a, b = turn.astype(np.float32), (matrix @ end_from_start[:3, 3]).astype(np.float32)
    u = np.arange(width, dtype=np.float32)
    v = np.arange(height, dtype=np.float32)[:, None]
    inverse = 1 / np.maximum(depth, np.float32(0.05))
    x, y, w = (a[k, 0] * u + (a[k, 1] * v + a[k, 2]) + b[k] * inverse for k in range(3))
    w = np.maximum(w, np.float32(0.05))
    flow_x, flow_y = x / w - u, y / w - v
    longest = float(np.percentile(np.maximum(np.abs(flow_x), np.abs(flow_y))[::8, ::8], 99))
    if longest < 0.5:
        return linear
    taps = int(np.clip(np.ceil(longest) + 1, 3, MAX_TAPS))
    total = np.zeros_like(linear)
    for part in (np.arange(taps) + 0.5) / taps - 0.5:
        total += cv2.remap(
            linear,
            u + flow_x * np.float32(part),
            v + flow_y * np.float32(part),
            cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE,
        )
    return total / np.float32(taps)
