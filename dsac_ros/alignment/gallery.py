# SPDX-License-Identifier: Apache-2.0
"""The pictures of a map at work: they recall where an image may be from, and align its pose."""
from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, grid_sample, normalize
from torch.nn.utils.rnn import pad_sequence

from dsac_ros.alignment.align import Alignment, align
from dsac_ros.alignment.focal import FocalTest
from dsac_ros.alignment.joint import refine_jointly
from dsac_ros.alignment.landmarks import Landmarks, Picture, Pyramid, landmarks_of
from dsac_ros.alignment.match import visible
from dsac_ros.alignment.repetition import repeats
from dsac_ros.alignment.search import approach, search
from dsac_ros.device import in_half
from dsac_ros.geometry import se3
from dsac_ros.geometry.resample import STRIDE, Resamplers
from dsac_ros.ransac.estimator import PoseEstimate
from dsac_ros.ransac.threads import threads
from dsac_ros.types import SceneCoordinates

RECALLED = 10    # pictures that an image may be near to

# images (1, 1, H, W) in [0, 1] -> descriptors (1, C, H/8, W/8)
Encode = Callable[[Tensor], Tensor]


class Gallery:
    """The pictures of one map and the landmarks in them; descriptors are made when first needed.

    Not thread-safe.
    """

    def __init__(self, pictures: Sequence[Picture], encode: Encode, resamplers: Resamplers,
                 device: torch.device | str = 'cpu') -> None:
        """Takes pictures with landmarks, the encoder, and the resamplers to the image it sees."""
        self.pictures = [picture for picture in pictures if len(picture.pixels)]
        self.encode, self._resamplers = encode, resamplers
        self.device = torch.device(device)
        self.landmarks: Landmarks = landmarks_of(self.pictures, self.device)
        self.depth = float(np.median(np.concatenate([p.depth for p in self.pictures])))
        codes = np.stack([picture.code for picture in self.pictures])
        self.codes = torch.from_numpy(codes).to(self.device).float()
        self._described: dict[int, Tensor] = {}

    def search(self, image: Pyramid, matrix: Tensor, candidates: Iterable[PoseEstimate]
               ) -> Alignment | None:
        """Of the poses that an image may have, the best aligned: `search.search`."""
        def near(pose: Tensor, coarsest: int) -> Alignment | None:
            return align(image, matrix, pose, self.landmarks, coarsest)

        def approached(pose: Tensor) -> Alignment | None:
            with threads(1):
                return approach(pose, near, self.depth)
        return search(candidates, approached, self.depth)

    def repeats(self, image: Pyramid, matrix: Tensor, world_from_camera: Tensor) -> bool:
        """Return True if an image fits other poses as well: `repetition.repeats`."""
        pose = se3.inverse(world_from_camera).float()
        seen = self.landmarks.take(visible(self.landmarks, pose, matrix, image.size_wh))
        with threads(1):
            return repeats(image, seen, pose, matrix)

    def refine_jointly(self, image: Pyramid, matrix: Tensor, world_from_camera: Tensor,
                       features: SceneCoordinates) -> tuple[Tensor, Tensor]:
        """Refine a pose (4, 4) of an image: `joint.refine_jointly`."""
        with threads(1):
            return refine_jointly(image, matrix, world_from_camera, self.landmarks, features)

    def focal_test(self, image: Pyramid, matrix: Tensor, world_from_camera: Tensor) -> FocalTest:
        """Return the test of the focal length of an image at its pose (4, 4)."""
        return FocalTest(image, matrix, world_from_camera.to(self.device), self.landmarks)

    def recall(self, seen: Tensor, descriptors: Tensor, centres: Tensor,
               matrix: Tensor) -> tuple[SceneCoordinates, SceneCoordinates]:
        """Landmarks of the most similar pictures, each where its descriptor fits best.

        Args:
            seen: the image (1, 1, H, W) in [0, 1] that the network saw.
            descriptors: its descriptors (1, C, H/8, W/8).
            centres: pixels (N, 2) of its cells in the pinhole `matrix` (3, 3).
            matrix: intrinsics of that pinhole.

        Picture by picture as a batch, since what one right picture says may drown among many
        wrong ones, and all together as one image. A match is mutual: no other landmark of the
        picture is nearer to the image's cell.
        """
        descriptors = normalize(descriptors.float(), dim=1)
        cells = descriptors[0].flatten(1)
        similar = self._similar(seen, descriptors)
        known = [self._descriptors(index) for index in similar]
        with in_half(self.device):
            likeness = (torch.cat(known) @ cells).float()  # the maximum of halves takes longer
        points, pixels = [], []
        for index, like in zip(similar, likeness.split([len(one) for one in known])):
            nearest = like.max(1).indices  # in half the time of argmax
            rows = torch.arange(len(nearest), device=self.device)
            mutual = like[:, nearest].argmax(0) == rows
            points.append(self.landmarks.points[self.landmarks.picture == index][mutual])
            pixels.append(centres[nearest[mutual]])
        return (matched_points(points, pixels, matrix),
                matched_points([torch.cat(points)], [torch.cat(pixels)], matrix))

    def describe(self) -> None:
        """Make the descriptors of all pictures now, so that no query waits for them."""
        for index in range(len(self.pictures)):
            self._descriptors(index)

    def _similar(self, seen: Tensor, descriptors: Tensor) -> list[int]:
        """The pictures most similar to an image (1, 1, H, W) of unit descriptors (1, C, h, w)."""
        likeness = self.codes @ code(descriptors, seen)
        return likeness.topk(min(RECALLED, len(likeness))).indices.tolist()

    def _descriptors(self, index: int) -> Tensor:
        """Descriptors (L, C) of unit length of a picture's landmarks."""
        if index not in self._described:
            picture = self.pictures[index]
            resampler = self._resamplers(picture.camera)
            with torch.no_grad():
                descriptors = self.encode(as_input(resampler(picture.image), self.device)).float()
            ratio = resampler.matrix[0, 0] / picture.matrix[0, 0]
            pixels = (picture.pixels - picture.matrix[:2, 2]) * ratio + resampler.matrix[:2, 2]
            sides = torch.tensor(resampler.size_wh)
            grid = (torch.from_numpy(pixels).float() + 0.5) / sides * 2 - 1
            there = grid_sample(normalize(descriptors, dim=1), grid.to(self.device)[None, None],
                                align_corners=False, padding_mode='border')[0, :, 0].T
            self._described[index] = normalize(there, dim=1)
        return self._described[index]


def matched_points(points: Sequence[Tensor], pixels: Sequence[Tensor],
            matrix: Tensor) -> SceneCoordinates:
    """Points (N, 3) seen at pixels (N, 2), of each image of a batch, the shorter ones padded."""
    padded_points, padded_pixels = (pad_sequence(list(x), batch_first=True)
                                    for x in (points, pixels))
    counts = torch.tensor([len(x) for x in points], device=padded_points.device)
    places = torch.arange(padded_points.shape[1], device=counts.device)
    valid = places < counts[:, None]
    return SceneCoordinates(
        points_world=padded_points, pixels=padded_pixels, valid=valid,
        sigma_px=torch.ones_like(valid, dtype=padded_points.dtype),
        matrices=matrix.to(padded_points).expand(len(counts), 3, 3),
        grid_hw=(1, padded_points.shape[1]))


def as_input(image: np.ndarray, device: torch.device | str) -> Tensor:
    """An image (H, W) uint8 as the encoder takes it (1, 1, H, W)."""
    return torch.from_numpy(image).to(device)[None, None].float() / 255


def code(descriptors: Tensor, image: Tensor) -> Tensor:
    """What an image (1, 1, H, W) in [0, 1] looks like as a whole (C,), of unit length.

    The mean of its descriptors (1, C, H/8, W/8) of unit length, each weighed by the contrast of
    its cell: a bare wall, or a hand before the lens, says nothing of the place.
    """
    mean, square = avg_pool2d(image, STRIDE), avg_pool2d(image.square(), STRIDE)
    contrast = (square - mean.square()).clamp(min=0).sqrt()
    return normalize((descriptors * contrast).sum((2, 3))[0], dim=0)


def to_tensors(pictures: Sequence[Picture]) -> dict[str, Tensor]:
    """The pictures as a map file keeps them."""
    if not pictures:
        return {}
    columns: dict[str, Any] = {
        'image_bytes': np.concatenate([p.webp for p in pictures]),
        'image_sizes': np.array([len(p.webp) for p in pictures]),
        'matrix': np.stack([p.matrix for p in pictures]),
        'camera_from_map': np.stack([p.camera_from_map for p in pictures]),
        'code': np.stack([p.code for p in pictures]).astype(np.float16),
        'landmarks': np.array([len(p.pixels) for p in pictures]),
        'pixels': np.concatenate([p.pixels for p in pictures]).astype(np.int16),
        'depth': np.concatenate([p.depth for p in pictures]).astype(np.float32)}
    return {f'pictures.{name}': torch.from_numpy(np.ascontiguousarray(value))
            for name, value in columns.items()}


def from_tensors(tensors: dict[str, Tensor]) -> list[Picture]:
    """The pictures behind `to_tensors`; none where the map has none."""
    column = {name.removeprefix('pictures.'): value.numpy() for name, value in tensors.items()
              if name.startswith('pictures.')}
    if not column:
        return []
    images = np.split(column['image_bytes'], np.cumsum(column['image_sizes'])[:-1])
    starts = np.cumsum(column['landmarks'])[:-1]
    return [Picture(*columns) for columns in zip(
        images, column['matrix'], column['camera_from_map'],
        np.split(column['pixels'].astype(int), starts), np.split(column['depth'], starts),
        column['code'].astype(np.float32))]
