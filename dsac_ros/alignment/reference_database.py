# SPDX-License-Identifier: Apache-2.0
"""Retrieval of reference images by global descriptor, and matches with their landmarks."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, grid_sample, normalize

from dsac_ros.alignment.landmarks import Landmarks
from dsac_ros.alignment.matched_points import matched_points
from dsac_ros.alignment.reference_image import ReferenceImage
from dsac_ros.compute.device import in_half
from dsac_ros.geometry.resample import STRIDE, Resamplers
from dsac_ros.types import SceneCoordinates

RETRIEVED = 10  # reference images that a query is matched with

# images (1, 1, H, W) in [0, 1] -> descriptors (1, C, H/8, W/8)
Encode = Callable[[Tensor], Tensor]


class ReferenceDatabase:
    """Database of the reference images of one map.

    Local descriptors of a reference image are computed when it is first retrieved. Not
    thread-safe.
    """

    def __init__(
        self,
        references: Sequence[ReferenceImage],
        landmarks: Landmarks,
        encode: Encode,
        resamplers: Resamplers,
        device: torch.device | str = 'cpu',
    ) -> None:
        """Take reference images, their landmarks, the encoder and resamplers to its input."""
        self.references, self.landmarks = references, landmarks
        self.encode, self._resamplers = encode, resamplers
        self.device = torch.device(device)
        descriptors = np.stack([one.global_descriptor for one in references])
        self.global_descriptors = torch.from_numpy(descriptors).to(self.device).float()
        self._local_descriptors: dict[int, Tensor] = {}

    def retrieve(
        self,
        image: Tensor,
        descriptors: Tensor,
        pixels: Tensor,
        matrix: Tensor,
        valid: Tensor,
    ) -> tuple[SceneCoordinates, SceneCoordinates]:
        """Retrieve the most similar reference images and match their landmarks with a query.

        A match is mutual: no other landmark of the reference image is nearer to the query's cell.

        Args:
            image: query (1, 1, H, W) in [0, 1] that the network saw.
            descriptors: its descriptors (1, C, H/8, W/8).
            pixels: centres (N, 2) of its cells in the pinhole `matrix`.
            matrix: intrinsics (3, 3) of that pinhole.
            valid: cells (N,) bool that show the scene; the others are not matched.

        Returns:
            Matches with each reference image as a batch, since those with the one right image may
            drown among many wrong ones, and matches with all of them as one image.
        """
        descriptors = normalize(descriptors.float(), dim=1)
        retrieved = self._most_similar(image, descriptors, valid)
        cells = descriptors[0].flatten(1)
        if not bool(valid.all()):
            cells, pixels = cells[:, valid], pixels[valid]
        of_landmarks = [self._descriptors_of(index) for index in retrieved]
        with in_half(self.device):
            similarity = (torch.cat(of_landmarks) @ cells).float()  # a maximum of halves is slower
        points, matched = [], []
        for index, similar in zip(retrieved, similarity.split([len(d) for d in of_landmarks])):
            nearest = similar.max(1).indices  # in half the time of argmax
            rows = torch.arange(len(nearest), device=self.device)
            mutual = similar[:, nearest].argmax(0) == rows
            points.append(self.landmarks.points[self.landmarks.reference == index][mutual])
            matched.append(pixels[nearest[mutual]])
        return (
            matched_points(points, matched, matrix),
            matched_points([torch.cat(points)], [torch.cat(matched)], matrix),
        )

    def precompute_descriptors(self) -> None:
        """Compute the local descriptors of all reference images, so that no query waits."""
        for index in range(len(self.references)):
            self._descriptors_of(index)

    def _most_similar(self, image: Tensor, descriptors: Tensor, valid: Tensor) -> list[int]:
        """Return the indices of the reference images nearest by global descriptor."""
        similarity = self.global_descriptors @ global_descriptor(descriptors, image, valid)
        return similarity.topk(min(RETRIEVED, len(similarity))).indices.tolist()

    def _descriptors_of(self, index: int) -> Tensor:
        """Return unit descriptors (L, C) of the landmarks of one reference image."""
        if index not in self._local_descriptors:
            reference = self.references[index]
            resampler = self._resamplers(reference.camera)
            with torch.no_grad():
                image = as_input(resampler(reference.image), self.device)
                descriptors = self.encode(image).float()
            ratio = resampler.matrix[0, 0] / reference.matrix[0, 0]
            pixels = (reference.pixels - reference.matrix[:2, 2]) * ratio + resampler.matrix[:2, 2]
            sides = torch.tensor(resampler.size_wh)
            grid = (torch.from_numpy(pixels).float() + 0.5) / sides * 2 - 1
            sampled = grid_sample(
                normalize(descriptors, dim=1),
                grid.to(self.device)[None, None],
                align_corners=False,
                padding_mode='border',
            )[0, :, 0].T
            self._local_descriptors[index] = normalize(sampled, dim=1)
        return self._local_descriptors[index]


def as_input(image: np.ndarray, device: torch.device | str) -> Tensor:
    """Convert an image (H, W) uint8 to the encoder's input (1, 1, H, W) in [0, 1]."""
    return torch.from_numpy(image).to(device)[None, None].float() / 255


def global_descriptor(descriptors: Tensor, image: Tensor, valid: Tensor | None = None) -> Tensor:
    """Return the global descriptor (C,) of an image (1, 1, H, W) in [0, 1], of unit length.

    It is the mean of the unit descriptors (1, C, H/8, W/8), each weighted by the contrast of its
    cell: a bare wall, or a hand before the lens, says nothing of the place. Nor do cells that are
    not valid (h * w,) bool.
    """
    contrast = cell_contrast(image)
    if valid is not None:
        contrast = contrast * valid.view(contrast.shape)
    return normalize((descriptors * contrast).sum((2, 3))[0], dim=0)


def cell_contrast(image: Tensor) -> Tensor:
    """Return the standard deviation (1, 1, H/8, W/8) of an image (1, 1, H, W) in each cell."""
    mean, square = avg_pool2d(image, STRIDE), avg_pool2d(image.square(), STRIDE)
    return (square - mean.square()).clamp(min=0).sqrt()
