# SPDX-License-Identifier: Apache-2.0
"""Image retrieval: the pose of the most similar mapping image is that of the query.

The floor of visual localization: what interpolates poses must be better than this (Sattler et al.,
"Understanding the Limitations of CNN-based Absolute Camera Pose Regression", CVPR 2019, sec. 5).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from torch import Tensor

from dsac_ros.alignment.features import LONGEST, MOST, root_sift
from dsac_ros.config import AcceptConfig, RansacConfig
from dsac_ros.geometry.resample import Resamplers
from dsac_ros.map_container import StoredMap
from dsac_ros.systems.system import Estimate, EvidenceSystem, Query
from dsac_ros.systems.vlad import Vlad
from dsac_ros.types import Result

CANDIDATES = 5  # most similar images whose poses are shown


class Retrieval(EvidenceSystem):
    """VLAD codes of RootSIFT features; the evidence is the similarity of two codes, at most 1."""

    EVIDENCE = 'similarity to the nearest mapping image'

    def __init__(
        self,
        stored: StoredMap,
        vlad: Vlad,
        poses: np.ndarray,
        device: str,
        accept: AcceptConfig,
    ) -> None:
        """Take the codes of N mapping images and their poses map_from_camera (N, 4, 4)."""
        super().__init__(stored, Resamplers.to_own_size(LONGEST), device, accept)
        self.vlad, self.poses = vlad, poses

    @classmethod
    def of(
        cls,
        header: dict[str, Any],
        tensors: Mapping[str, Tensor],
        device: str,
        ransac: RansacConfig,
        accept: AcceptConfig,
    ) -> Retrieval:
        """Make the system of a map's header and tensors."""
        vlad = Vlad(*(tensors[name].numpy() for name in ('basis', 'words', 'codes')))
        poses = tensors['poses'].double().numpy()
        if poses.shape != (len(vlad.codes), 4, 4):
            raise ValueError(f'{len(vlad.codes)} codes and poses of the shape {poses.shape}')
        return cls(StoredMap(header), vlad, poses, device, accept)

    def estimate(self, query: Query) -> Estimate:
        """Return the pose of the most similar mapping image."""
        _, descriptors = root_sift(query.image, MOST, query.valid)
        query.clock.lap('features')
        similarity = self.vlad.similarity(descriptors)
        nearest = np.argsort(-similarity, kind='stable')[:CANDIDATES]
        query.clock.lap('retrieval')
        poses = self.poses[nearest].copy()
        poses[:, :3, 3] += self.map.origin
        return Estimate(
            poses[0],
            float(similarity[nearest[0]]),
            result=Result.OUT_OF_MAP,
            candidates=tuple(poses),
        )


SYSTEM = Retrieval
