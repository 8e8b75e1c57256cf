# SPDX-License-Identifier: Apache-2.0
"""Pairs of views whose correspondences are known, from photographs and from posed frames."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch

from dsac_ros.errors import MappingError
from dsac_ros.geometry.resample import STRIDE, cell_centres, to_gray
from dsac_ros.mapping.data.augmentation import PhotometricConfig, change_light, uniform
from dsac_ros.mapping.pretraining.config import PretrainConfig
from dsac_ros.types import PosedFrame

MOST_REJECTED = 1000  # draws in a row; each image is drawn at random
# as dark, noisy and blurred as what a robot's camera sees
LIGHT = PhotometricConfig(
    gain=0.7, gamma=0.4, offset=0.1, noise=0.05, blur_px=20.0, blur_share=0.35
)


@dataclass(frozen=True)
class ViewPair:
    """Two views (S, S) uint8 and, for each cell of the first, its pixel in the second (N, 2).

    NaN where the second does not see it.
    """

    first: np.ndarray
    second: np.ndarray
    pixels: np.ndarray


def photograph_pair(
    photograph: np.ndarray, config: PretrainConfig, generator: torch.Generator
) -> ViewPair:
    """Draw two views of a flat photograph (H, W) uint8 under random homographies."""
    height, width = photograph.shape
    size = config.crop
    zoom = math.exp(uniform(generator, -0.5, 0.3)) * min(1.0, min(height, width) / (1.3 * size))
    centre = (uniform(generator, 0.25, 0.75) * width, uniform(generator, 0.25, 0.75) * height)
    angle = uniform(generator, -0.3, 0.3)
    ratio = math.exp(uniform(generator, -1, 1) * math.log(config.max_zoom) / 2)
    turn = uniform(generator, -1, 1) * config.max_rotation / 2
    views = []
    for sign in (-1, 1):
        shift = [uniform(generator, -0.15, 0.15) * size for _ in range(2)]
        views.append(
            random_homography(
                centre, zoom * ratio**sign, angle + sign * turn, shift, size, generator
            )
        )
    first, second = (warp(photograph, h, size) for h in views)
    cells = cell_centres((size, size), STRIDE)
    pixels = apply_homography(np.linalg.inv(views[1]) @ views[0], cells)
    outside = (pixels < 0) | (pixels > size - 1)
    pixels[outside.any(1)] = np.nan
    return ViewPair(first, second, pixels)


def random_homography(
    centre: Sequence[float],
    zoom: float,
    angle: float,
    shift: Sequence[float],
    size: int,
    generator: torch.Generator,
) -> np.ndarray:
    """photograph_from_view (3, 3): a similarity with a touch of perspective."""
    to_middle = np.array(
        [[1, 0, -(size - 1) / 2 + shift[0]], [0, 1, -(size - 1) / 2 + shift[1]], [0, 0, 1.0]]
    )
    tilt = np.eye(3)
    tilt[2, :2] = [uniform(generator, -0.25, 0.25) / size for _ in range(2)]
    stretch = math.exp(uniform(generator, -0.2, 0.2))
    cosine, sine = math.cos(angle) / zoom, math.sin(angle) / zoom
    place = np.array(
        [[cosine * stretch, -sine, centre[0]], [sine * stretch, cosine, centre[1]], [0, 0, 1]]
    )
    return place @ tilt @ to_middle


def warp(photograph: np.ndarray, photograph_from_view: np.ndarray, size: int) -> np.ndarray:
    """The view (size, size) of a photograph; mirrored beyond its border."""
    return cv2.warpPerspective(
        photograph,
        photograph_from_view,
        (size, size),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REFLECT,
    )


def apply_homography(homography: np.ndarray, pixels: np.ndarray) -> np.ndarray:
    """Pixels (N, 2) through a homography (3, 3)."""
    image = np.concatenate([pixels, np.ones((len(pixels), 1))], 1) @ homography.T
    return image[:, :2] / image[:, 2:]


def posed_pair(
    frames: Sequence[PosedFrame], config: PretrainConfig, generator: torch.Generator
) -> ViewPair | None:
    """Two frames of one scene with depth, where they see the same; None where they don't.

    All frames are ideal pinhole images of one camera.
    """
    first, second = (frames[i] for i in torch.randperm(len(frames), generator=generator)[:2])
    a, b = first.frame, second.frame
    cells = cell_centres(a.camera.size_wh, STRIDE)
    u, v = cells.T.round().astype(int)
    depth = a.depth[v, u]
    rays = np.concatenate([cells, np.ones((len(cells), 1))], 1) @ np.linalg.inv(a.camera.matrix).T
    points = np.concatenate([rays * depth[:, None], np.ones((len(cells), 1))], 1)
    in_second = points @ (np.linalg.inv(second.world_from_camera) @ first.world_from_camera).T
    z = in_second[:, 2]
    projected = in_second[:, :3] @ b.camera.matrix.T
    pixels = projected[:, :2] / np.maximum(z, 1e-6)[:, None]
    width, height = b.camera.size_wh
    inside = (depth > 0) & (z > 0) & (pixels >= 0).all(1)
    inside &= (pixels <= [width - 1, height - 1]).all(1)
    u, v = np.where(inside[:, None], pixels, 0).round().astype(int).T
    # what the second camera sees there must be the same surface, not something before it
    inside &= np.abs(b.depth[v, u] - z) < 0.02 * z
    pixels[~inside] = np.nan
    if inside.mean() < 0.15:
        return None
    return ViewPair(to_gray(a.image), to_gray(b.image), pixels)


def draw_pairs(
    photographs: Sequence[np.ndarray],
    scenes: Sequence[Sequence[PosedFrame]],
    config: PretrainConfig,
    generator: torch.Generator,
) -> Iterator[tuple[ViewPair, np.ndarray, np.ndarray]]:
    """Endless pairs of views, and both views (S, S) in another light.

    Raises MappingError where MOST_REJECTED draws in a row show nothing.
    """
    rejected = 0
    while rejected < MOST_REJECTED:
        use_scene = scenes and uniform(generator, 0, 1) < config.rendered_share
        if use_scene:
            chosen = int(torch.randint(len(scenes), (), generator=generator))
            pair = posed_pair(scenes[chosen], config, generator)
        else:
            chosen = int(torch.randint(len(photographs), (), generator=generator))
            pair = photograph_pair(photographs[chosen], config, generator)
        # a view without any texture teaches nothing
        if pair is None or pair.first.std() < 8 or pair.second.std() < 8:
            rejected += 1
            continue
        rejected = 0
        yield (
            pair,
            change_light(pair.first, LIGHT, generator),
            change_light(pair.second, LIGHT, generator),
        )
    raise MappingError(
        f'{MOST_REJECTED} views in a row show no texture, expected photographs '
        'with something to see on them; use others'
    )
