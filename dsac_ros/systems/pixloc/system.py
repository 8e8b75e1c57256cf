# SPDX-License-Identifier: Apache-2.0
"""PixLoc: a pose near the true one is refined by aligning deep features with those of the map.

Sarlin et al., "Back to the Feature: Learning Robust Camera Localization from Pixels to Pose",
CVPR 2021. A network that knows no scene extracts features and confidences at three levels; the
pose is optimised on them coarse to fine, for points of known depth that reference images show.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dsac_ros.alignment.landmarks import distant, landmarks_of
from dsac_ros.alignment.reference_database import as_input, global_descriptor
from dsac_ros.alignment.reference_image import ReferenceImage, from_tensors
from dsac_ros.compute.device import in_half
from dsac_ros.config import AcceptConfig, RansacConfig, build
from dsac_ros.errors import MapError
from dsac_ros.geometry import se3
from dsac_ros.geometry.resample import STRIDE, Resamplers
from dsac_ros.map_container import StoredMap
from dsac_ros.network.encoder import Encoder
from dsac_ros.systems.pixloc.aligner import FeatureAligner
from dsac_ros.systems.pixloc.config import PixLocConfig
from dsac_ros.systems.pixloc.network import FeatureNetwork, load_network
from dsac_ros.systems.pixloc.pyramid import shrunk, steps_of
from dsac_ros.systems.pixloc.references import ReferenceFeatures
from dsac_ros.systems.system import Estimate, EvidenceSystem, Query
from dsac_ros.types import PoseStatistics, Result

RETRIEVAL_SHRINK = 2  # of the image whose global descriptor is compared


class PixLoc(EvidenceSystem):
    """Refines poses of retrieved reference images; the evidence is the contrast of features."""

    EVIDENCE = 'times nearer features than by chance'

    def __init__(
        self,
        stored: StoredMap,
        network: FeatureNetwork,
        config: PixLocConfig,
        device: str,
        accept: AcceptConfig,
    ) -> None:
        """Take reference images with points, and the network."""
        super().__init__(
            stored, Resamplers.to_short_side(stored.header['short_side']), device, accept
        )
        self.config, self.network = config, network.to(self.device)
        self.accept = accept
        references = [one for one in stored.reference_images if len(one.pixels)]
        if not references:
            raise ValueError('no reference image has points')
        self.references = references
        landmarks = landmarks_of(references, self.device)
        self.features = ReferenceFeatures(references, landmarks, self.network, self.device)
        self.aligner = FeatureAligner(self.features, config)
        self._codes = torch.from_numpy(np.stack([one.global_descriptor for one in references])).to(
            self.device
        )

    @classmethod
    def of(
        cls,
        header: dict[str, Any],
        tensors: Mapping[str, Tensor],
        device: str,
        ransac: RansacConfig,
        accept: AcceptConfig,
    ) -> PixLoc:
        """Make the system of a map's header and tensors."""
        network, network_id = load_network()
        if header['encoder_id'] != network_id:
            raise MapError(
                f'the map was learned with the features {header["encoder_id"]}, this package '
                f'ships {network_id}; learn the map again with this version'
            )
        stored = StoredMap(header, reference_images=from_tensors(dict(tensors)))
        config = build(PixLocConfig, header['settings'])
        return cls(stored, network, config, device, accept)

    def starting_from_guesses(self) -> PixLoc:
        """Return a system of the same map that refines guesses alone; features are shared."""
        changed = copy.copy(self)
        changed.config = replace(self.config, start='guess')
        return changed

    def warm_up(self) -> None:
        """Extract the features of all reference images."""
        with torch.inference_mode():
            for index in range(len(self.references)):
                self.features.extract(index)

    def estimate(self, query: Query) -> Estimate:
        """Align the query from the poses of similar reference images, or from a guess."""
        clock, matrix = query.clock, query.resampler.matrix
        starts = [] if query.guess is None else [self.in_map(query.guess)]
        searched = self.config.start == 'retrieval'
        if searched:
            starts += self.retrieve(query.image, query.valid)
            clock.lap('retrieval')
        if not starts:
            return Estimate(
                reason='no pose to start from: this map refines guesses alone (start=guess)',
                result=Result.OUT_OF_MAP,
            )
        steps = steps_of(self.network, query.image, matrix, self.device)
        clock.lap('network')
        mask = None if query.valid.all() else distant(query.valid).to(self.device)
        enough = self.acceptance.threshold if self.acceptance.accepts else math.inf
        found = self.aligner.align(steps, starts, query.resampler.size_wh, mask, searched, enough)
        clock.lap('align')
        if not found:
            return Estimate(
                reason='no start sees enough points of the map', result=Result.OUT_OF_MAP
            )
        poses = [self.in_world(one.camera_from_map) for one in found]
        return Estimate(
            poses[0],
            found[0].contrast,
            found[0].covariance.cpu().numpy(),
            statistics=PoseStatistics(inlier_count=found[0].points),
            candidates=tuple(poses),
        )

    def retrieve(self, image: np.ndarray, valid: np.ndarray) -> list[Tensor]:
        """Return camera_from_map (4, 4) of the most similar reference images."""
        code = code_of(self.network.encoder, image, self.device, valid)
        similarity = self._codes @ code
        nearest = similarity.topk(min(self.config.retrieved, len(similarity))).indices
        return [
            torch.from_numpy(self.references[index].camera_from_map).to(self.device).float()
            for index in nearest.tolist()
        ]

    def in_map(self, world_from_camera: np.ndarray) -> Tensor:
        """Return camera_from_map (4, 4) of a pose in the world."""
        pose = np.array(world_from_camera, dtype=float)
        pose[:3, 3] -= self.map.origin
        return torch.from_numpy(np.linalg.inv(pose)).to(self.device).float()

    def in_world(self, camera_from_map: Tensor) -> np.ndarray:
        """Return world_from_camera (4, 4) float64 of a pose in the map."""
        pose: np.ndarray = se3.inverse(camera_from_map.double()).cpu().numpy()
        pose[:3, 3] += self.map.origin
        return pose


def code_of(
    encoder: Encoder,
    image: np.ndarray,
    device: torch.device | str,
    valid: np.ndarray | None = None,
) -> Tensor:
    """Return the global descriptor (C,) of an image (H, W) uint8."""
    small = cropped(shrunk(image, np.eye(3), RETRIEVAL_SHRINK)[0])
    cells = None
    if valid is not None and not valid.all():
        mask = cropped(shrunk(valid.astype(np.uint8), np.eye(3), RETRIEVAL_SHRINK)[0])
        height, width = (side // STRIDE for side in mask.shape)
        cells = torch.from_numpy(
            mask.reshape(height, STRIDE, width, STRIDE).all((1, 3)).reshape(-1)
        ).to(device)
    pixels = as_input(small, device)
    with torch.no_grad(), in_half(device):
        descriptors = encoder(pixels).float()
    unit = torch.nn.functional.normalize(descriptors, dim=1)
    return global_descriptor(unit, pixels, cells)


def cropped(image: np.ndarray) -> np.ndarray:
    """Return an image without the rows and columns beyond a multiple of the encoder's stride."""
    height, width = (side // STRIDE * STRIDE for side in image.shape)
    return np.ascontiguousarray(image[:height, :width])


def with_codes(
    references: list[ReferenceImage], network: FeatureNetwork, device: torch.device | str
) -> list[ReferenceImage]:
    """Add the global descriptors that `PixLoc.retrieve` compares."""
    return [
        replace(one, global_descriptor=code_of(network.encoder, one.image, device).cpu().numpy())
        for one in references
    ]


SYSTEM = PixLoc
