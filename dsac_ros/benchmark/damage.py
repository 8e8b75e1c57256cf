# SPDX-License-Identifier: Apache-2.0
"""Image corruptions of robot cameras: blur, low light, compression, occlusion, low resolution."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import cv2
import numpy as np
import torch

from dsac_ros.mapping.data.augmentation import motion_blur, uniform
from dsac_ros.types import Frame

GAMMA = 2.2
# full-well capacity and read noise of the sensor [electrons]
FULL_WELL, READ_NOISE = 1e4, 10.0

Damage = Callable[[Frame, torch.Generator], Frame]


def blurred(length_px: float) -> Damage:
    """Return motion blur of this length in a random direction."""

    def damage(frame: Frame, generator: torch.Generator) -> Frame:
        angle = uniform(generator, 0, math.pi)
        return replace(frame, image=motion_blur(frame.image, length_px, angle))

    return damage


def darkened(stops: float) -> Damage:
    """Return an exposure lower by `stops`, with the photon noise of that exposure, no gain."""

    def damage(frame: Frame, generator: torch.Generator) -> Frame:
        electrons = (frame.image / 255.0) ** GAMMA * FULL_WELL / 2.0**stops
        noise = torch.randn(frame.image.shape, generator=generator).numpy()
        measured = electrons + np.sqrt(electrons + READ_NOISE**2) * noise
        image = 255.0 * (measured / FULL_WELL).clip(0, 1) ** (1 / GAMMA)
        return replace(frame, image=image.round().astype(np.uint8))

    return damage


def compressed(quality: int) -> Damage:
    """Return JPEG compression of this quality."""

    def damage(frame: Frame, generator: torch.Generator) -> Frame:
        data = cv2.imencode('.jpg', frame.image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
        decoded = cv2.imdecode(data, cv2.IMREAD_UNCHANGED)
        assert decoded is not None
        return replace(frame, image=decoded)

    return damage


def occluded(share: float) -> Damage:
    """Return a gray rectangle of the image's aspect that occludes this share of the image."""

    def damage(frame: Frame, generator: torch.Generator) -> Frame:
        height, width = frame.image.shape[:2]
        high, wide = (round(side * math.sqrt(share)) for side in (height, width))
        top, left = (round(uniform(generator, 0, room)) for room in (height - high, width - wide))
        image = frame.image.copy()
        image[top : top + high, left : left + wide] = 100
        return replace(frame, image=image)

    return damage


def shrunk(factor: float) -> Damage:
    """Return a reduction of the resolution by a factor along each side."""

    def damage(frame: Frame, generator: torch.Generator) -> Frame:
        width, height = frame.camera.size_wh
        size_wh = round(width / factor), round(height / factor)
        scale = np.array(size_wh) / frame.camera.size_wh
        matrix = frame.camera.matrix.copy()
        # a pixel's centre is an integer, its corner half a pixel before
        matrix[:2, 2] = (matrix[:2, 2] + 0.5) * scale - 0.5
        matrix[[0, 1], [0, 1]] *= scale
        return replace(
            frame,
            image=cv2.resize(frame.image, size_wh, interpolation=cv2.INTER_AREA),
            camera=replace(frame.camera, size_wh=size_wh, matrix=matrix),
            depth=None,
            mask=None,
        )

    return damage


#: The rows of the damage table.
DAMAGES: dict[str, Damage] = {
    'none': lambda frame, generator: frame,
    'blur 5 px': blurred(5),
    'blur 10 px': blurred(10),
    'blur 20 px': blurred(20),
    'blur 30 px': blurred(30),
    '3 stops darker': darkened(3),
    'JPEG quality 15': compressed(15),
    '50 % covered': occluded(0.5),
    'half resolution': shrunk(2),
}
