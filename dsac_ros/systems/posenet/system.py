# SPDX-License-Identifier: Apache-2.0
"""PoseNet: a network says where an image was taken.

It has no evidence of its own for a pose. What counts is how near the image is to one that was
mapped; the covariance is that of outputs under dropout, samples of the posterior (Kendall and
Cipolla, ICRA 2016).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dsac_ros.compute.device import in_half
from dsac_ros.config import AcceptConfig, RansacConfig, build
from dsac_ros.geometry.resample import Resamplers, network_resamplers
from dsac_ros.map_container import StoredMap
from dsac_ros.network.encoder import Encoder, load_encoder
from dsac_ros.systems.posenet.config import PoseNetConfig
from dsac_ros.systems.posenet.network import PoseRegression, pooled, spread
from dsac_ros.systems.posenet.novelty import closeness, codes_of
from dsac_ros.systems.posenet.synthesis import Pinhole, of_plane
from dsac_ros.systems.system import Estimate, EvidenceSystem, Query
from dsac_ros.types import Result

ENCODER, REGRESSION = 'encoder.', 'regression.'  # beginnings of the names of tensors
REFERENCES = 'references'


class PoseNet(EvidenceSystem):
    """Encoder and regression; the evidence is the closeness to the nearest mapping view."""

    EVIDENCE = 'closeness to the nearest mapping image'
    # Unlike a match, a regression is not right for images less close than held-out ones.
    TOWARDS_RIGHT = 0.9

    def __init__(
        self,
        stored: StoredMap,
        encoder: Encoder,
        regression: PoseRegression,
        references: Tensor,
        config: PoseNetConfig,
        device: str,
        accept: AcceptConfig,
    ) -> None:
        """Take networks, codes (R, D) of mapping views, and a header with the images' size."""
        header = stored.header
        resamplers: Resamplers = network_resamplers(header['focal_px'], header['short_side'])
        super().__init__(stored, resamplers, device, accept)
        self.encoder, self.regression = encoder.to(device), regression.to(device)
        self.references, self.config = references.to(device), config
        self.camera = camera_of(header)

    @classmethod
    def of(
        cls,
        header: dict[str, Any],
        tensors: Mapping[str, Tensor],
        device: str,
        ransac: RansacConfig,
        accept: AcceptConfig,
    ) -> PoseNet:
        """Make the system of a map's header and tensors."""
        config = build(PoseNetConfig, header['settings'])
        encoder, encoder_id = load_encoder()
        if own := part(tensors, ENCODER):
            encoder.load_state_dict(own)
        elif header['encoder_id'] != encoder_id:
            raise ValueError(
                f'learned with encoder {header["encoder_id"]}, this package ships {encoder_id}'
            )
        weights = part(tensors, REGRESSION)
        with torch.device('meta'):  # sizes without memory
            empty = PoseRegression(encoder.config.descriptor, config).state_dict()
        if sum(one.numel() for one in empty.values()) > sum(w.numel() for w in weights.values()):
            raise ValueError('its settings are those of a network with more weights than it holds')
        regression = PoseRegression(encoder.config.descriptor, config)
        regression.load_state_dict(weights)
        regression.requires_grad_(False)
        references = tensors[REFERENCES].float()
        return cls(StoredMap(header), encoder, regression, references, config, device, accept)

    def estimate(self, query: Query) -> Estimate:
        """Return the pose that the network predicts, and its spread under dropout."""
        features = self.features(query.image, query.valid, query.resampler.matrix)
        query.clock.lap('encoder')
        found = estimate_of(
            self.regression,
            features,
            self.config.samples,
            self.map.origin,
            self.depth,
            closeness(codes_of(features), self.references),
        )
        query.clock.lap('regression')
        return found

    def features(self, image: np.ndarray, valid: np.ndarray, matrix: np.ndarray) -> Tensor:
        """Encode an image (H, W) of the intrinsics (3, 3): features (1, C, grid, grid)."""
        seen, mask = of_plane(image, valid, matrix, self.camera, np.eye(3), np.zeros(3), 1.0)
        pixels = torch.from_numpy(seen).to(self.device)[None, None].float() / 255
        with in_half(self.device):
            descriptors = self.encoder(pixels)
        return pooled(
            descriptors.float(), torch.from_numpy(mask).to(self.device)[None], self.config.grid
        )


def estimate_of(
    regression: PoseRegression,
    features: Tensor,
    count: int,
    origin: np.ndarray,
    scale: float,
    evidence: float,
) -> Estimate:
    """Return the pose of an image's features (1, C, grid, grid), with its spread under dropout.

    count: samples; origin (3,) and scale are those of the scene.
    """
    mean = regression(features)[0]
    samples = regression.samples(features, count)
    poses = torch.stack([mean, *samples]).double().cpu().numpy()
    poses[:, :3, 3] = origin + scale * poses[:, :3, 3]
    units = np.repeat([scale, 1.0], 3)
    return Estimate(
        poses[0],
        evidence,
        spread(samples, mean).cpu().numpy() * np.outer(units, units),
        result=Result.OUT_OF_MAP,
        candidates=tuple(poses),
    )


def camera_of(header: Mapping[str, Any]) -> Pinhole:
    """Return the camera of the images that the network of a map sees."""
    width, height = header['network_size_wh']
    focal = header['network_focal_px']
    matrix = np.array(
        [[focal, 0.0, (width - 1) / 2], [0.0, focal, (height - 1) / 2], [0.0, 0.0, 1.0]]
    )
    return Pinhole(matrix, (width, height))


def part(tensors: Mapping[str, Tensor], beginning: str) -> dict[str, Tensor]:
    """Return the float32 tensors whose names begin so, by what follows."""
    return {
        name.removeprefix(beginning): value.float()
        for name, value in tensors.items()
        if name.startswith(beginning)
    }


SYSTEM = PoseNet
