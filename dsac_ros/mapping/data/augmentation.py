# SPDX-License-Identifier: Apache-2.0
"""Augmentation of images: exposure, noise and blur."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
import torch

from dsac_ros.config import setting


@dataclass(frozen=True)
class PhotometricConfig:
    """Strength of the changes; each is drawn anew for each image."""

    gain: float = setting(0.4, 'largest change of the exposure, log scale', low=0.0)
    gamma: float = setting(0.3, 'largest change of the contrast curve, log scale', low=0.0)
    offset: float = setting(0.1, 'largest change of the black level', low=0.0, high=1.0)
    noise: float = setting(0.03, 'largest standard deviation of the noise', low=0.0, high=1.0)
    blur_px: float = setting(7.0, 'longest motion blur', unit='px', low=0.0)
    blur_share: float = setting(0.3, 'share of the images that are blurred', low=0.0, high=1.0)


def uniform(generator: torch.Generator, low: float, high: float) -> float:
    """One number between low and high."""
    return low + (high - low) * torch.rand((), generator=generator).item()


def change_light(
    image: np.ndarray, config: PhotometricConfig, generator: torch.Generator
) -> np.ndarray:
    """Image (H, W) uint8 under another exposure, gamma, black level, blur and noise."""
    if uniform(generator, 0, 1) < config.blur_share:
        image = motion_blur(
            image, uniform(generator, 1, max(1.0, config.blur_px)), uniform(generator, 0, math.pi)
        )
    gain = math.exp(uniform(generator, -config.gain, config.gain))
    gamma = math.exp(uniform(generator, -config.gamma, config.gamma))
    offset = uniform(generator, -config.offset, config.offset)
    levels = np.linspace(0.0, 1.0, 256, dtype=np.float32)
    curve = gain * levels**gamma + offset
    changed = curve[image]
    deviation = uniform(generator, 0, config.noise)
    if deviation > 0:
        noise = torch.randn(image.shape, generator=generator).numpy()
        changed = changed + deviation * noise
    return (changed.clip(0, 1) * 255).astype(np.uint8)


def motion_blur(image: np.ndarray, length_px: float, angle: float) -> np.ndarray:
    """Image blurred along a straight line of the given length [px] and direction [rad]."""
    size = int(math.ceil(length_px)) | 1
    if size < 3:
        return image
    half = size // 2
    kernel = np.zeros((size, size), np.float32)
    tip = (
        int(round(half * 16 + 8 * length_px * math.cos(angle))),
        int(round(half * 16 + 8 * length_px * math.sin(angle))),
    )
    tail = (2 * half * 16 - tip[0], 2 * half * 16 - tip[1])
    cv2.line(kernel, tail, tip, 1.0, 1, cv2.LINE_AA, shift=4)
    return cv2.filter2D(image, -1, kernel / kernel.sum(), borderType=cv2.BORDER_REFLECT)
