# SPDX-License-Identifier: Apache-2.0
"""Pairs of images with an exact relative pose, and points of known depth in the first.

A photograph is a plane before two cameras: the homography between its images has an exact pose. A
posed frame with depth, such as one of a rendered world, makes a pair with another of its scene.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import Tensor

from dsac_ros.errors import MappingError
from dsac_ros.geometry import se3
from dsac_ros.geometry.resample import to_gray
from dsac_ros.mapping.data.augmentation import PhotometricConfig, change_light, uniform
from dsac_ros.mapping.pretraining.view_pairs import MOST_REJECTED, warp
from dsac_ros.systems.pixloc.config import PixLocTraining
from dsac_ros.types import PosedFrame

LIGHT = PhotometricConfig(
    gain=0.7, gamma=0.4, offset=0.1, noise=0.03, blur_px=12.0, blur_share=0.35
)
LEAST_CONTRAST = 8.0  # standard deviation of an image that teaches something [gray levels]
LEAST_OVERLAP = 0.3  # of the points that both cameras see
SAME_SURFACE = 0.03  # relative difference of depths of one surface
FARTHEST_START = 0.3  # median distance of projections from the true ones, of an image's side
BORDER_PX = 4  # of an image, in which no point is chosen
#: Standard deviations of where a camera stands before a photograph, of the distance to it, and
#: how far it is tilted and turned about its axis [rad].
BESIDE, TILT, ROLL = 0.25, 0.25, 0.35
WHOLE = 1.3  # sides of an image that fit into the short side of a photograph shown whole
NEAR, FAR = 0.7, 1.4  # distances of a camera from a photograph [m]


@dataclass(frozen=True)
class PosePair:
    """A reference image and a query, (S, S) uint8 each, of one camera (3, 3).

    points (N, 3) in the camera of the reference, query_from_reference (4, 4), start (4, 4): the
    pose from which the query is aligned.
    """

    reference: np.ndarray
    query: np.ndarray
    matrix: np.ndarray
    points: np.ndarray
    query_from_reference: np.ndarray
    start: np.ndarray


def draw_pose_pairs(
    photographs: Sequence[np.ndarray],
    scenes: Sequence[Sequence[PosedFrame]],
    config: PixLocTraining,
    generator: torch.Generator,
) -> Iterator[PosePair]:
    """Yield pairs without end, in another light each.

    Args:
        photographs: gray images (H, W) uint8.
        scenes: posed frames with depth of one place each, config.crop by config.crop pixels.
        config: settings.
        generator: of every draw.

    Raises:
        MappingError: MOST_REJECTED draws in a row show nothing.
    """
    rejected = 0
    while rejected < MOST_REJECTED:
        if scenes and uniform(generator, 0, 1) < config.rendered_share:
            frames = scenes[int(torch.randint(len(scenes), (), generator=generator))]
            pair = posed_pair(frames, config, generator)
        else:
            chosen = int(torch.randint(len(photographs), (), generator=generator))
            pair = photograph_pair(photographs[chosen], config, generator)
        if pair is None:
            rejected += 1
            continue
        rejected = 0
        yield pair
    raise MappingError(
        f'{MOST_REJECTED} pairs in a row show too little in common, expected photographs with '
        'something to see on them; use others'
    )


def photograph_pair(
    photograph: np.ndarray, config: PixLocTraining, generator: torch.Generator
) -> PosePair | None:
    """Return two views of a photograph on a plane; None where they show too little."""
    size, matrix = config.crop, square_matrix(config.crop)
    height, width = photograph.shape
    # from 1 m away a pixel of the photograph is at most one of the camera, and most of it is shown
    smallest = min(1.0, WHOLE * size / min(height, width))
    pitch = math.exp(uniform(generator, math.log(smallest), 0.0)) / matrix[0, 0]
    middle = [uniform(generator, 0.3, 0.7) * side for side in (width, height)]
    plane_of_photograph = np.array(
        [[pitch, 0, -pitch * middle[0]], [0, pitch, -pitch * middle[1]], [0, 0, 1.0]]
    )
    poses = [camera_before_plane(generator) for _ in range(2)]
    images = [
        warp(photograph, np.linalg.inv(view_of_plane(pose, matrix) @ plane_of_photograph), size)
        for pose in poses
    ]
    # the plane is z = 0: depth where a ray from the camera meets it
    rays = pixel_rays(matrix, size) @ poses[0][:3, :3].T
    with np.errstate(divide='ignore'):
        depth = -poses[0][2, 3] / rays[:, 2]
    return pair_of(
        images,
        matrix,
        depth.reshape(size, size),
        np.linalg.inv(poses[1]) @ poses[0],
        None,
        config,
        generator,
    )


def camera_before_plane(generator: torch.Generator) -> np.ndarray:
    """Draw plane_from_camera (4, 4) of a camera about 1 m before the plane z = 0."""
    pose = np.eye(4)
    tilt = [uniform(generator, -TILT, TILT) for _ in range(2)]
    turn = [*tilt, uniform(generator, -ROLL, ROLL)]
    pose[:3, :3] = cv2.Rodrigues(np.array(turn))[0]
    distance = math.exp(uniform(generator, math.log(NEAR), math.log(FAR)))
    # it looks at about the middle, from where its tilt takes it
    pose[:3, 3] = -distance * pose[:3, 2]
    pose[:2, 3] += [uniform(generator, -BESIDE, BESIDE) for _ in range(2)]
    return pose


def view_of_plane(plane_from_camera: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Return the homography (3, 3) from the plane z = 0 to pixels."""
    camera_from_plane = np.linalg.inv(plane_from_camera)
    return matrix @ camera_from_plane[:3, [0, 1, 3]]


def posed_pair(
    frames: Sequence[PosedFrame], config: PixLocTraining, generator: torch.Generator
) -> PosePair | None:
    """Return two frames with depth of one scene; None where they show too little in common."""
    first, second = (frames[i] for i in torch.randperm(len(frames), generator=generator)[:2])
    assert first.frame.depth is not None
    return pair_of(
        [to_gray(one.frame.image) for one in (first, second)],
        first.frame.camera.matrix,
        first.frame.depth,
        np.linalg.inv(second.world_from_camera) @ first.world_from_camera,
        second.frame.depth,
        config,
        generator,
    )


def pair_of(
    images: Sequence[np.ndarray],
    matrix: np.ndarray,
    depth: np.ndarray,
    query_from_reference: np.ndarray,
    query_depth: np.ndarray | None,
    config: PixLocTraining,
    generator: torch.Generator,
) -> PosePair | None:
    """Choose points of the first image, a start, and another light; None without overlap.

    Args:
        images: reference and query (S, S) uint8.
        matrix: intrinsics (3, 3) of both.
        depth: of the reference (S, S) [m].
        query_from_reference: (4, 4).
        query_depth: of the query (S, S), to know what is hidden there; None where nothing is.
        config: settings.
        generator: of every draw.
    """
    if min(float(image.std()) for image in images) < LEAST_CONTRAST:
        return None
    size = config.crop
    pixels = corners(images[0], config.points)
    u, v = pixels.astype(int).T
    known = np.isfinite(depth[v, u]) & (depth[v, u] > 0)
    pixels, distance = pixels[known], depth[v, u][known]
    if len(pixels) < config.points // 4:
        return None
    points = (pixels_and_one(pixels) @ np.linalg.inv(matrix).T) * distance[:, None]
    inside, places = seen_in(points, query_from_reference, matrix, size)
    if query_depth is not None:
        u, v = np.where(inside[:, None], places[:, :2], 0).round().astype(int).T
        inside &= np.abs(query_depth[v, u] - places[:, 2]) < SAME_SURFACE * places[:, 2]
    if inside.mean() < LEAST_OVERLAP:
        return None
    rows = torch.randint(len(points), (config.points,), generator=generator).numpy()
    if len(points) >= config.points:
        rows = np.arange(config.points)
    start = start_of(query_from_reference, float(np.median(distance)), config, generator)
    moved = seen_in(points[inside], start, matrix, size)[1][:, :2] - places[inside, :2]
    if np.median(np.linalg.norm(moved, axis=1)) > FARTHEST_START * size:
        return None
    return PosePair(
        change_light(images[0], LIGHT, generator),
        change_light(images[1], LIGHT, generator),
        matrix,
        points[rows],
        query_from_reference,
        start,
    )


def start_of(
    query_from_reference: np.ndarray,
    depth: float,
    config: PixLocTraining,
    generator: torch.Generator,
) -> np.ndarray:
    """Draw a start between the true pose and that of the reference, and turn it.

    Args:
        query_from_reference: true pose (4, 4).
        depth: median depth of the points [m].
        config: settings.
        generator: of the draws.
    """
    truth = torch.from_numpy(query_from_reference)
    share = uniform(generator, 0, 1)
    noise = torch.randn(6, generator=generator, dtype=torch.float64)
    noise[:3] *= config.start_noise * depth
    noise[3:] *= config.start_noise
    away = share * se3.log(se3.inverse(truth)) + uniform(generator, 0, 1) * noise
    return np.asarray((se3.exp(away) @ truth).numpy())


def seen_in(
    points: np.ndarray, query_from_reference: np.ndarray, matrix: np.ndarray, size: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return whether points (N, 3) lie in the query (N,), and their pixels and depth (N, 3)."""
    camera = points @ query_from_reference[:3, :3].T + query_from_reference[:3, 3]
    depth = camera[:, 2]
    pixels = (camera @ matrix.T)[:, :2] / np.maximum(depth, 1e-6)[:, None]
    inside = (depth > 0) & (pixels >= 0).all(1) & (pixels <= size - 1).all(1)
    return inside, np.column_stack([pixels, depth])


def corners(image: np.ndarray, count: int) -> np.ndarray:
    """Return up to `count` pixels (N, 2) with texture, away from the border."""
    mask = np.zeros(image.shape, np.uint8)
    mask[BORDER_PX:-BORDER_PX, BORDER_PX:-BORDER_PX] = 1
    found = cv2.goodFeaturesToTrack(image, count, 0.01, 3, mask=mask)
    return np.zeros((0, 2)) if found is None else found[:, 0].astype(float)


def square_matrix(size: int) -> np.ndarray:
    """Intrinsics (3, 3) of a square image with 53 degrees field of view."""
    middle = (size - 1) / 2
    return np.array([[size, 0, middle], [0, size, middle], [0, 0, 1.0]])


def pixel_rays(matrix: np.ndarray, size: int) -> np.ndarray:
    """Rays (S * S, 3) of all pixels with z = 1, by row."""
    grid = np.stack(np.meshgrid(np.arange(size), np.arange(size)), -1).reshape(-1, 2)
    return pixels_and_one(grid) @ np.linalg.inv(matrix).T


def pixels_and_one(pixels: np.ndarray) -> np.ndarray:
    """Homogeneous pixels (N, 3)."""
    return np.column_stack([pixels, np.ones(len(pixels))])


def collate(pairs: Sequence[PosePair]) -> dict[str, Tensor]:
    """Stack pairs of one camera: images (2 B, 1, S, S) in [0, 1], references first."""
    images = np.stack([p.reference for p in pairs] + [p.query for p in pairs])

    def stacked(name: str) -> Tensor:
        return torch.from_numpy(np.stack([getattr(pair, name) for pair in pairs])).float()

    return {
        'images': torch.from_numpy(images)[:, None].float() / 255,
        'matrix': torch.from_numpy(pairs[0].matrix).float(),
        **{name: stacked(name) for name in ('points', 'query_from_reference', 'start')},
    }
