# SPDX-License-Identifier: Apache-2.0
"""What robots' cameras do to images: blur, darkness, compression, cover, few pixels."""
from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import cv2
import numpy as np
import torch

from dsac_ros.mapping.augmentation import motion_blur, uniform
from dsac_ros.types import Frame

GAMMA = 2.2
# of a sensor whose pixels hold 10000 electrons, read with a noise of 10 of them
FULL_WELL, READ_NOISE = 1e4, 10.0

Damage = Callable[[Frame, torch.Generator], Frame]


def blurred(length_px: float) -> Damage:
    """Motion blur of this length in some direction."""
    def damage(frame: Frame, generator: torch.Generator) -> Frame:
        angle = uniform(generator, 0, math.pi)
        return replace(frame, image=motion_blur(frame.image, length_px, angle))
    return damage


def darkened(stops: float) -> Damage:
    """2^stops times less light, with the noise of as many photons fewer; not amplified again."""
    def damage(frame: Frame, generator: torch.Generator) -> Frame:
        electrons = (frame.image / 255.0) ** GAMMA * FULL_WELL / 2.0 ** stops
        noise = torch.randn(frame.image.shape, generator=generator).numpy()
        seen = electrons + np.sqrt(electrons + READ_NOISE ** 2) * noise
        image = 255.0 * (seen / FULL_WELL).clip(0, 1) ** (1 / GAMMA)
        return replace(frame, image=image.round().astype(np.uint8))
    return damage


def compressed(quality: int) -> Damage:
    """JPEG of this quality."""
    def damage(frame: Frame, generator: torch.Generator) -> Frame:
        data = cv2.imencode('.jpg', frame.image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
        decoded = cv2.imdecode(data, cv2.IMREAD_UNCHANGED)
        assert decoded is not None
        return replace(frame, image=decoded)
    return damage


def covered(share: float) -> Damage:
    """A gray rectangle of the image's shape somewhere before this share of the image."""
    def damage(frame: Frame, generator: torch.Generator) -> Frame:
        height, width = frame.image.shape[:2]
        high, wide = (round(side * math.sqrt(share)) for side in (height, width))
        top, left = (round(uniform(generator, 0, room)) for room in (height - high, width - wide))
        image = frame.image.copy()
        image[top:top + high, left:left + wide] = 100
        return replace(frame, image=image)
    return damage


def shrunk(factor: float) -> Damage:
    """1/factor as many pixels along each side."""
    def damage(frame: Frame, generator: torch.Generator) -> Frame:
        width, height = frame.camera.size_wh
        size_wh = round(width / factor), round(height / factor)
        scale = np.array(size_wh) / frame.camera.size_wh
        matrix = frame.camera.matrix.copy()
        # a pixel's centre is an integer, its corner half a pixel before
        matrix[:2, 2] = (matrix[:2, 2] + 0.5) * scale - 0.5
        matrix[[0, 1], [0, 1]] *= scale
        return replace(frame, image=cv2.resize(frame.image, size_wh, interpolation=cv2.INTER_AREA),
                       camera=replace(frame.camera, size_wh=size_wh, matrix=matrix), depth=None,
                       mask=None)
    return damage


#: The rows of the damage table.
DAMAGES: dict[str, Damage] = {
    'none': lambda frame, generator: frame,
    'blur 5 px': blurred(5), 'blur 10 px': blurred(10), 'blur 20 px': blurred(20),
    'blur 30 px': blurred(30), '3 stops darker': darkened(3), 'JPEG quality 15': compressed(15),
    '50 % covered': covered(0.5), 'half resolution': shrunk(2)}
