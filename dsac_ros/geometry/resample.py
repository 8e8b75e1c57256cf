# SPDX-License-Identifier: Apache-2.0
"""Resampling of images of any camera to an ideal pinhole, for mapping and queries alike.

Only the intrinsics change; the pose of the image stays the same.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from threading import Lock

import cv2
import numpy as np

from dsac_ros.geometry.camera import check_image_matches, project
from dsac_ros.geometry.camera_checks import check_camera, check_valid_share
from dsac_ros.types import Camera

STRIDE = 8
MAX_RESAMPLERS = 8  # resamplers
MIN_NETWORK_SHORT_SIDE = 64  # short side of the images that a network sees [px]
MIN_UNFILTERED_SCALE = 0.95  # scale below which images are first averaged, against aliasing


class Resampler:
    """Resamples images of one camera to an ideal pinhole: fx = fy, central principal point.

    The maps are computed once, by the constructor.

    Attributes:
        matrix: (3, 3) of the ideal camera.
        size_wh: of the ideal image, multiples of 8.
        mask: (H, W) bool, True for ideal pixels inside the original image.
    """

    def __init__(self, camera: Camera, short_side: float = 480) -> None:
        """Prepare the maps for a camera and a short side of the result [px]."""
        check_camera(camera)
        self.camera = camera
        self.matrix, self.size_wh = ideal_pinhole(camera, short_side)
        u, v = self._source_pixels()
        width, height = camera.size_wh
        with np.errstate(invalid='ignore'):
            self.mask = (u >= -0.5) & (u <= width - 0.5) & (v >= -0.5) & (v <= height - 0.5)
        check_valid_share(self.mask, camera)
        outside = ~np.isfinite(u)
        u[outside], v[outside] = -2.0 * width, -2.0 * height
        grid = np.meshgrid(np.arange(self.size_wh[0]), np.arange(self.size_wh[1]))
        self._is_identity = self.size_wh == tuple(camera.size_wh) and np.array_equal(grid, (u, v))
        self._depth_maps = cv2.convertMaps(*_float_maps(u, v), cv2.CV_16SC2, nninterpolation=True)
        scale = self.matrix[0, 0] / np.diag(camera.matrix)[:2]
        self._shrunk_wh = tuple(
            max(1, round(side * s)) if s < MIN_UNFILTERED_SCALE else side
            for side, s in zip(camera.size_wh, scale)
        )
        u, v = (
            (x + 0.5) * (shrunk / side) - 0.5
            for x, shrunk, side in zip((u, v), self._shrunk_wh, camera.size_wh)
        )
        self._maps = cv2.convertMaps(*_float_maps(u, v), cv2.CV_16SC2)

    def __call__(self, image: np.ndarray) -> np.ndarray:
        """Resample (H, W) or (H, W, 3) uint8 to the ideal camera.

        Outside the mask the nearest border pixel is repeated, to avoid artificial edges.
        """
        check_image_matches(self.camera, image)
        if self._is_identity:
            return image
        if self._shrunk_wh != self.camera.size_wh:
            # A remap alone would alias.
            image = cv2.resize(image, self._shrunk_wh, interpolation=cv2.INTER_AREA)
        return cv2.remap(image, *self._maps, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)

    def depth(self, depth: np.ndarray) -> np.ndarray:
        """Resample depth (H, W) float32 [m] by nearest neighbour; 0 outside."""
        check_image_matches(self.camera, depth)
        return cv2.remap(
            depth,
            *self._depth_maps,
            cv2.INTER_NEAREST,
            borderMode=cv2.BORDER_CONSTANT,
            borderValue=0.0,
        )

    def valid_mask(self, mask: np.ndarray | None) -> np.ndarray:
        """Return the valid ideal pixels (H, W) bool, given a mask (H, W) of the original image."""
        if mask is None:
            return self.mask
        check_image_matches(self.camera, mask)
        return self.mask & (
            cv2.remap(
                mask.astype(np.uint8),
                *self._depth_maps,
                cv2.INTER_NEAREST,
                borderMode=cv2.BORDER_CONSTANT,
                borderValue=0,
            )
            > 0
        )

    def _source_pixels(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the original coordinates u, v (H, W) of each ideal pixel, NaN if none."""
        width, height = self.size_wh
        x = (np.arange(width) - self.matrix[0, 2]) / self.matrix[0, 0]
        y = (np.arange(height) - self.matrix[1, 2]) / self.matrix[1, 1]
        rays = np.stack([*np.meshgrid(x, y), np.ones((height, width))], axis=-1)
        pixels = project(self.camera, rays)
        # Rounding errors of 1e-13 must not turn a copy into an interpolation.
        with np.errstate(over='ignore'):  # absurd distortion, refused by its mask
            pixels = np.round(pixels, 6)
        return pixels[..., 0].copy(), pixels[..., 1].copy()


class Resamplers:
    """Cache of one resampler per camera; beyond MAX_RESAMPLERS the oldest is dropped."""

    def __init__(self, short_side_of: Callable[[Camera], float]) -> None:
        """Set the short side [px] of the results as a function of the camera."""
        self.short_side_of = short_side_of
        self._by_camera: dict[tuple[object, ...], Resampler] = {}
        self._lock = Lock()  # frames of many cameras may be read by several threads

    @classmethod
    def to_short_side(cls, short_side: float) -> Resamplers:
        """Make results of a constant short side [px]."""
        return cls(lambda camera: short_side)

    @classmethod
    def to_own_size(cls, longest: float = math.inf) -> Resamplers:
        """Make results of the original size, with a long side of at most `longest` [px]."""
        return cls(
            lambda camera: round(min(camera.size_wh) * min(1.0, longest / max(camera.size_wh)))
        )

    @classmethod
    def to_focal(cls, focal: float, min_short_side: float, max_short_side: float) -> Resamplers:
        """Make results of a constant focal length [px], for equal object sizes with all lenses.

        Their short side [px] is at least min_short_side and at most max_short_side.
        """
        return cls(
            lambda camera: float(
                np.clip(focal * short_side_per_focal(camera), min_short_side, max_short_side)
            )
        )

    def __call__(self, camera: Camera) -> Resampler:
        """Return the resampler of this camera."""
        key = (camera.size_wh, camera.matrix.tobytes(), camera.model, camera.distortion)
        found = self._by_camera.get(key)
        if found is None:
            found = Resampler(camera, self.short_side_of(camera))
            with self._lock:
                if len(self._by_camera) >= MAX_RESAMPLERS:
                    self._by_camera.pop(next(iter(self._by_camera)))
                self._by_camera[key] = found
        return found

    def __len__(self) -> int:
        return len(self._by_camera)


def network_resamplers(focal: float, max_short_side: float) -> Resamplers:
    """Return resamplers to the focal length [px] of a map's network.

    Short sides are at most `max_short_side` [px].
    """
    return Resamplers.to_focal(focal, MIN_NETWORK_SHORT_SIDE, max_short_side)


def ideal_pinhole(camera: Camera, short_side: float) -> tuple[np.ndarray, tuple[int, int]]:
    """Return matrix (3, 3) and size_wh of the ideal pinhole with the camera's field of view.

    Its focal length is the geometric mean of fx and fy, scaled so that the short side of the
    image with square pixels becomes `short_side`; sides are the nearest multiples of 8.
    """
    focal, square = with_square_pixels(camera)
    scale = short_side / square.min()
    width, height = (max(STRIDE, STRIDE * int(side / STRIDE + 0.5)) for side in square * scale)
    matrix = np.array(
        [
            [focal * scale, 0.0, (width - 1) / 2],
            [0.0, focal * scale, (height - 1) / 2],
            [0.0, 0.0, 1.0],
        ]
    )
    return matrix, (width, height)


def with_square_pixels(camera: Camera) -> tuple[float, np.ndarray]:
    """Return focal length [px] and sides (2,) of the camera's image with square pixels."""
    fx, fy = float(camera.matrix[0, 0]), float(camera.matrix[1, 1])
    focal = np.sqrt(fx * fy)
    return focal, np.array([camera.size_wh[0] * focal / fx, camera.size_wh[1] * focal / fy])


def short_side_per_focal(camera: Camera) -> float:
    """Return the short side of the camera's image relative to its focal length."""
    focal, square = with_square_pixels(camera)
    return float(square.min() / focal)


def to_gray(image: np.ndarray) -> np.ndarray:
    """Convert an RGB (H, W, 3) or gray (H, W) uint8 image to gray (H, W)."""
    return image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)


def cell_centres(size_wh: tuple[int, int], stride: int = STRIDE) -> np.ndarray:
    """Return pixels (h * w, 2) float32 of the cell centres, row-major, from (3.5, 3.5) on."""
    half = (stride - 1) / 2
    u = np.arange(size_wh[0] // stride, dtype=np.float32) * stride + half
    v = np.arange(size_wh[1] // stride, dtype=np.float32) * stride + half
    return np.stack(np.meshgrid(u, v), axis=-1).reshape(-1, 2)


def _float_maps(u: np.ndarray, v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Convert maps to the type and range that OpenCV's fixed-point conversion accepts."""
    limit = 32000.0
    return (
        np.clip(u, -limit, limit).astype(np.float32),
        np.clip(v, -limit, limit).astype(np.float32),
    )
