# SPDX-License-Identifier: Apache-2.0
"""What a map remembers of the scene's looks: a few pictures, and points of known depth in them."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import grid_sample

QUALITY = 80  # of the compressed pictures
PATCH = 11   # side of a template [px of its level]
LEVELS = 4   # of the pyramid: pixels of 1, 2, 4 and 8 px


@dataclass(frozen=True)
class Picture:
    """One gray image of the ideal pinhole `matrix`, taken at camera_from_map (4, 4).

    webp (M,) uint8 is the image as the map's file keeps it: it is compressed once, however often
    the map is read and written. pixels (L, 2) integers and depth (L,) [m] are the points known in
    it; code (C,) is what the place looks like as a whole, of unit length.
    """

    webp: np.ndarray
    matrix: np.ndarray
    camera_from_map: np.ndarray
    pixels: np.ndarray
    depth: np.ndarray
    code: np.ndarray

    @property
    def image(self) -> np.ndarray:
        """The image (H, W) uint8."""
        return cv2.imdecode(self.webp, cv2.IMREAD_GRAYSCALE)


def compressed(image: np.ndarray) -> np.ndarray:
    """The image (H, W) uint8 as the bytes of a WebP (M,) uint8."""
    return cv2.imencode('.webp', image, [cv2.IMWRITE_WEBP_QUALITY, QUALITY])[1].ravel()


@dataclass(frozen=True)
class Landmarks:
    """L points, each as one picture shows it.

    points (L, 3) [m] in the map's frame; picture (L,) its index; centre (L, 3) of the camera that
    took it; across (L, 3, 2): where the point moves when its pixel does, at the same depth [m/px];
    size (L,): pixels per metre there; templates (L, LEVELS, PATCH, PATCH) uint8.
    """

    points: Tensor
    picture: Tensor
    centre: Tensor
    across: Tensor
    size: Tensor
    templates: Tensor

    def __len__(self) -> int:
        return len(self.points)

    def take(self, chosen: Tensor) -> Landmarks:
        """Those `chosen` (N,)."""
        return Landmarks(*(getattr(self, field.name)[chosen] for field in fields(self)))


def landmarks_of(pictures: Sequence[Picture], device: torch.device | str = 'cpu') -> Landmarks:
    """The points of all pictures, with their templates cut out."""
    columns: list[tuple[Tensor, ...]] = []
    for index, picture in enumerate(pictures):
        map_from_camera = np.linalg.inv(picture.camera_from_map)
        inverse = np.linalg.inv(picture.matrix)
        depth = picture.depth[:, None].astype(float)
        rays = np.concatenate([picture.pixels, np.ones((len(depth), 1))], 1) @ inverse.T
        points = (rays * depth) @ map_from_camera[:3, :3].T + map_from_camera[:3, 3]
        across = depth[:, :, None] * (map_from_camera[:3, :3] @ inverse)[None, :, :2]
        centre = np.broadcast_to(map_from_camera[:3, 3], points.shape)
        pixels = torch.from_numpy(picture.pixels).float()
        templates = torch.stack([
            patches(level, number, pixels, torch.eye(2).expand(len(pixels), 2, 2), PATCH // 2)
            for number, level in enumerate(pyramid(picture.image))], 1)
        columns.append((
            torch.from_numpy(points).float(), torch.full((len(points),), index),
            torch.from_numpy(centre.copy()).float(), torch.from_numpy(across).float(),
            torch.from_numpy(picture.matrix[0, 0] / picture.depth).float(),
            templates.round().to(torch.uint8)))
    return Landmarks(*(torch.cat(column).to(device) for column in zip(*columns)))


def pyramid(image: np.ndarray) -> list[Tensor]:
    """The image (H, W) uint8 at LEVELS scales, each (1, 1, h, w) float32."""
    levels = [image]
    while len(levels) < LEVELS:
        height, width = levels[-1].shape
        levels.append(cv2.resize(levels[-1], (max(1, width // 2), max(1, height // 2)),
                                 interpolation=cv2.INTER_AREA))
    return [torch.from_numpy(level)[None, None].float() for level in levels]


def patches(level: Tensor, number: int, pixels: Tensor, warp: Tensor, reach: int) -> Tensor:
    """Squares (N, 2 reach + 1, 2 reach + 1) of a level (1, 1, h, w) of the pyramid.

    About pixels (N, 2) of the whole image; warp (N, 2, 2) takes a step on the template's whole
    image to one on this. A step of a square is 2^number px; what lies outside repeats the border.
    """
    steps = torch.arange(-reach, reach + 1, dtype=pixels.dtype, device=pixels.device)
    steps = torch.stack(torch.meshgrid(steps, steps, indexing='xy'), -1).reshape(-1, 2)
    return squares(level, pixels[:, None] + 2.0 ** number * steps @ warp.mT, number)


def squares(level: Tensor, where: Tensor, number: int) -> Tensor:
    """Gray values (N, R, R) of a level (1, 1, h, w) at pixels (N, R^2, 2) of the whole image."""
    side = round(where.shape[1] ** 0.5)
    extent = where.new_tensor([level.shape[3], level.shape[2]]) * 2.0 ** number
    grid = (where + 0.5) / extent * 2 - 1
    gray = grid_sample(level, grid[None], align_corners=False, padding_mode='border')
    return gray.reshape(len(where), side, side)


def spread_out(pixels: Tensor, priority: Tensor, size_wh: tuple[int, int], most: int,
               grid: tuple[int, int] = (8, 6)) -> Tensor:
    """Indices of at most `most` of pixels (N, 2): of every bin of the image those that come first.

    Points in one corner would leave a pose undetermined, however many they are.
    """
    bins = torch.tensor(grid, device=pixels.device)
    place = pixels / torch.tensor(size_wh, device=pixels.device) * bins
    column, row = place.long().clamp(min=0).minimum(bins - 1).unbind(1)
    bin_of = column + grid[0] * row
    order = priority.argsort(descending=True, stable=True)
    order = order[bin_of[order].argsort(stable=True)]
    first = torch.searchsorted(bin_of[order].contiguous(),
                               torch.arange(grid[0] * grid[1], device=pixels.device))
    rank = torch.arange(len(order), device=pixels.device) - first[bin_of[order]]
    return order[rank < max(1, most // (grid[0] * grid[1]))]
