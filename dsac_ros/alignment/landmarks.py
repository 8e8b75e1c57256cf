# SPDX-License-Identifier: Apache-2.0
"""What a map remembers of the scene's looks: a few pictures, and points of known depth in them."""
from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, fields

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import grid_sample

from dsac_ros.types import Camera

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
    def camera(self) -> Camera:
        """The ideal pinhole."""
        height, width = self.image.shape
        return Camera((width, height), self.matrix)

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


@dataclass(frozen=True)
class Pyramid:
    """A gray image at LEVELS scales, each half as large as the one before.

    They lie beside each other in one `atlas` (1, 1, h, w) float32, so that all are read at once:
    first and last (LEVELS, 2) are the corners of each level there, in pixels; size_wh is that of
    the whole image.
    """

    atlas: Tensor
    first: Tensor
    last: Tensor
    size_wh: tuple[int, int]

    @classmethod
    def of(cls, image: np.ndarray, device: torch.device | str = 'cpu') -> Pyramid:
        """The pyramid of an image (H, W) uint8."""
        height, width = image.shape
        atlas = np.zeros((height, width + max(1, width // 2)), np.float32)
        size_wh, corner, corners = (width, height), (0, 0), []
        for number in range(LEVELS):
            height, width = image.shape
            left, top = corner
            atlas[top:top + height, left:left + width] = image
            corners.append([corner, (left + width - 1, top + height - 1)])
            # the second one stands to the right of the first, the others below it
            corner = (size_wh[0], top + height if number else 0)
            image = cv2.resize(image, (max(1, width // 2), max(1, height // 2)),
                               interpolation=cv2.INTER_AREA)
        first, last = torch.tensor(corners, dtype=torch.float32, device=device).unbind(1)
        return cls(torch.from_numpy(atlas)[None, None].to(device), first, last, size_wh)

    def patches(self, level: Tensor, pixels: Tensor, warp: Tensor, reach: int) -> Tensor:
        """Squares (N, 2 reach + 1, 2 reach + 1) of the levels (N,), about pixels (N, 2).

        Pixels are those of the whole image, and warp (N, 2, 2) takes a step on the square to one
        there. What lies outside repeats the border.
        """
        side = 2 * reach + 1
        shrink = 0.5 ** level[:, None]
        first, last = self.first[level], self.last[level]
        middle = (pixels + 0.5) * shrink - 0.5 + first
        # coordinates in rows: broadcasting along them is an order of magnitude faster
        where = middle[..., None] + (warp * shrink[..., None]) @ steps(reach, warp.device)
        where = where.maximum(first[..., None]).minimum(last[..., None])
        extent = where.new_tensor([[self.atlas.shape[3]], [self.atlas.shape[2]]])
        grid = ((2 * where + 1) / extent - 1).mT
        return grid_sample(self.atlas, grid[None], align_corners=False).reshape(-1, side, side)


@functools.lru_cache(maxsize=16)
def steps(reach: int, device: torch.device) -> Tensor:
    """The pixels (2, (2 reach + 1)^2) of a square, row by row, from its middle."""
    along = torch.arange(-reach, reach + 1, dtype=torch.float32, device=device)
    return torch.stack(torch.meshgrid(along, along, indexing='xy')).reshape(2, -1)


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
        columns.append((
            torch.from_numpy(points).float(), torch.full((len(points),), index),
            torch.from_numpy(centre.copy()).float(), torch.from_numpy(across).float(),
            torch.from_numpy(picture.matrix[0, 0] / picture.depth).float(),
            templates_of(Pyramid.of(picture.image), torch.from_numpy(picture.pixels).float())))
    return Landmarks(*(torch.cat(column).to(device) for column in zip(*columns)))


def templates_of(image: Pyramid, pixels: Tensor) -> Tensor:
    """What an image looks like about pixels (L, 2), (L, LEVELS, PATCH, PATCH) uint8."""
    upright = torch.eye(2).expand(len(pixels), 2, 2)
    templates = [image.patches(torch.full((len(pixels),), number), pixels, 2.0 ** number * upright,
                               PATCH // 2) for number in range(LEVELS)]
    return torch.stack(templates, 1).round().to(torch.uint8)


def parts(pixels: Tensor, size_wh: tuple[int, int],
          grid: tuple[int, int] = (8, 6)) -> Tensor:
    """In which part (N,) of an image's `grid`, counted row by row, pixels (N, 2) lie."""
    bins = torch.tensor(grid, device=pixels.device)
    place = pixels / torch.tensor(size_wh, device=pixels.device) * bins
    column, row = place.long().clamp(min=0).minimum(bins - 1).unbind(1)
    return column + grid[0] * row


def spread_out(pixels: Tensor, priority: Tensor, size_wh: tuple[int, int], most: int,
               grid: tuple[int, int] = (8, 6)) -> Tensor:
    """Indices of at most `most` of pixels (N, 2): of every bin of the image those that come first.

    Points in one corner would leave a pose undetermined, however many they are.
    """
    bin_of = parts(pixels, size_wh, grid)
    order = priority.argsort(descending=True, stable=True)
    order = order[bin_of[order].argsort(stable=True)]
    held = torch.bincount(bin_of, minlength=grid[0] * grid[1])
    first = held.cumsum(0) - held
    rank = torch.arange(len(order), device=pixels.device) - first[bin_of[order]]
    return order[rank < max(1, most // (grid[0] * grid[1]))]
