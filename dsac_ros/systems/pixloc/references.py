# SPDX-License-Identifier: Apache-2.0
"""Features of the points of a map's reference images, extracted when they are first needed."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from dsac_ros.alignment.landmarks import Landmarks
from dsac_ros.alignment.match import visible
from dsac_ros.alignment.reference_image import ReferenceImage
from dsac_ros.geometry import se3
from dsac_ros.systems.pixloc.featuremetric import Field, ReferencePoints
from dsac_ros.systems.pixloc.network import CHANNELS, FeatureNetwork
from dsac_ros.systems.pixloc.pyramid import SHRINKS, steps_of


class ReferenceFeatures:
    """Features of the points of each reference image at every step. Not thread-safe."""

    def __init__(
        self,
        references: Sequence[ReferenceImage],
        landmarks: Landmarks,
        network: FeatureNetwork,
        device: torch.device | str = 'cpu',
    ) -> None:
        """Take reference images, their points (`landmarks_of`) and the network."""
        self.references, self.landmarks = references, landmarks
        self.network, self.device = network, torch.device(device)
        counts = torch.tensor([len(one.pixels) for one in references])
        self._last = counts.cumsum(0).tolist()
        self._known = [False] * len(references)
        self._features = [
            torch.zeros(len(landmarks), count, dtype=torch.float16, device=self.device)
            for _ in SHRINKS
            for count in CHANNELS
        ]
        self._weight = torch.zeros(len(self._features), len(landmarks), device=self.device)

    def in_view(
        self,
        camera_from_map: Tensor,
        matrix: Tensor,
        size_wh: tuple[int, int],
        mask: Tensor | None,
        budget: tuple[int, int],
    ) -> Tensor:
        """Return the indices (N,) of points that a pose (4, 4) sees like a reference image.

        budget: number of reference images with the most similar views, and of points at most.
        """
        return visible(self.landmarks, camera_from_map, matrix, size_wh, mask, *budget)

    def points(self, step: int, chosen: Sequence[Tensor]) -> ReferencePoints:
        """Return B sets of points, by their indices, with features of a step.

        Sets are filled up to one length with points that weigh nothing.
        """
        rows = torch.nn.utils.rnn.pad_sequence(list(chosen), True, -1)
        for index in self.landmarks.reference[rows[rows >= 0]].unique().tolist():
            self.extract(index)
        filled = rows.clamp(min=0)
        return ReferencePoints(
            self.landmarks.points[filled],
            self._features[step][filled].float(),
            self._weight[step][filled] * (rows >= 0),
        )

    def extract(self, index: int) -> None:
        """Extract the features of a reference image, unless that has been done."""
        if self._known[index]:
            return
        reference = self.references[index]
        pose = torch.from_numpy(reference.camera_from_map).to(self.device).float()
        rows = slice(self._last[index] - len(reference.pixels), self._last[index])
        camera = se3.transform(pose, self.landmarks.points[rows])
        for number, step in enumerate(
            steps_of(self.network, reference.image, reference.matrix, self.device)
        ):
            pixels = camera[:, :2] / camera[:, 2:] * step.matrix[0, 0] + step.matrix[:2, 2]
            features, _, confidence, inside = Field.of(step.level).sample(pixels[None])
            self._features[number][rows] = features[0].half()
            self._weight[number, rows] = (confidence * inside)[0]
        self._known[index] = True
