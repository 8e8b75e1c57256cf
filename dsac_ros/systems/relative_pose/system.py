# SPDX-License-Identifier: Apache-2.0
"""Map-free localization: relative poses with retrieved mapping images, made absolute by theirs.

Where the mapping images have depth, their features are points and tell position and scale alone;
otherwise the distances between mapping cameras do, and two directions give a position.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from dsac_ros.alignment.features import LONGEST, MOST, mutual, root_sift, unit
from dsac_ros.config import AcceptConfig, RansacConfig, build
from dsac_ros.geometry.resample import Resamplers
from dsac_ros.map_container import StoredMap
from dsac_ros.systems.evidence import EvidenceModel
from dsac_ros.systems.relative_pose.absolute import NONE, AbsolutePose, absolute_pose
from dsac_ros.systems.relative_pose.config import RelativePoseConfig
from dsac_ros.systems.relative_pose.essential import relative_pose
from dsac_ros.systems.relative_pose.measured import measured_pose
from dsac_ros.systems.system import Estimate, EvidenceSystem, Query
from dsac_ros.systems.vlad import Vlad
from dsac_ros.types import PoseStatistics, Result

LEAST_EVIDENCE = 50  # matches; without depth no mirrored query of RedKitchen had any


@dataclass(frozen=True)
class References:
    """Mapping images: features, poses and codes.

    image (M,): index of the mapping image of each feature, sorted; rays (M, 2): in normalised
    coordinates; depth (M,) [m], 0 where unknown; descriptors (M, 128) uint8; poses (N, 4, 4):
    map_from_camera.
    """

    image: np.ndarray
    rays: np.ndarray
    depth: np.ndarray
    descriptors: np.ndarray
    poses: np.ndarray
    vlad: Vlad

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor]) -> References:
        """Take the tensors of a map; ValueError or KeyError where these are others."""
        own = {name: tensor.numpy() for name, tensor in tensors.items()}
        vlad = Vlad(*(own.pop(name) for name in ('basis', 'words', 'codes')))
        found = cls(**own, vlad=vlad)
        count, features = len(found.poses), len(found.image)
        if (
            found.poses.shape != (count, 4, 4)
            or len(vlad.codes) != count
            or found.rays.shape != (features, 2)
            or found.depth.shape != (features,)
            or found.descriptors.shape != (features, 128)
            or (np.diff(found.image) < 0).any()
            or not ((found.image >= 0) & (found.image < count)).all()
        ):
            raise ValueError('features and mapping images do not belong together')
        return found

    def of(self, index: int) -> slice:
        """Return the features of a mapping image."""
        first, last = np.searchsorted(self.image, (index, index + 1))
        return slice(int(first), int(last))


class RelativePoseSystem(EvidenceSystem):
    """The evidence is the number of matches that fit the pose, over all mapping images."""

    EVIDENCE = 'matches that fit one pose'
    UNMEASURED = EvidenceModel(
        threshold=LEAST_EVIDENCE,
        accepts=True,
        covariance_scale=100.0,
        floor_rad=0.01,
        logit_offset=-7.8,
        logit_slope=2.0,
    )

    def __init__(
        self,
        stored: StoredMap,
        references: References,
        device: str,
        ransac: RansacConfig,
        accept: AcceptConfig,
    ) -> None:
        """Take the mapping images; RANSAC's settings serve where they have depth."""
        super().__init__(stored, Resamplers.to_own_size(LONGEST), device, accept)
        self.references, self.ransac = references, ransac
        self.settings = build(RelativePoseConfig, stored.header['settings'])
        self.has_depth = bool((references.depth > 0).any())
        self._descriptors = unit(references.descriptors)

    @classmethod
    def of(
        cls,
        header: dict[str, Any],
        tensors: Mapping[str, Tensor],
        device: str,
        ransac: RansacConfig,
        accept: AcceptConfig,
    ) -> RelativePoseSystem:
        """Make the system of a map's header and tensors."""
        references = References.from_tensors(tensors)
        return cls(StoredMap(header), references, device, ransac, accept)

    def estimate(self, query: Query) -> Estimate:
        """Estimate the pose from relative poses with the most similar mapping images."""
        clock, matrix = query.clock, query.resampler.matrix
        pixels, descriptors = root_sift(query.image, MOST, query.valid)
        clock.lap('features')
        nearest = self.references.vlad.nearest(descriptors, self.settings.retrieved)
        clock.lap('retrieval')
        matches = [
            (index, mutual(descriptors, self._descriptors[self.references.of(index)]))
            for index in nearest.tolist()
        ]
        clock.lap('matching')
        found = self._by_depth(matches, pixels, matrix) if self.has_depth else None
        if found is None or found.inliers < LEAST_EVIDENCE:
            other = self._by_directions(matches, pixels, matrix)
            found = max(filter(None, (found, other)), key=lambda one: one.inliers, default=None)
        clock.lap('pose')
        if found is None:
            return Estimate(reason=NONE)
        pose = found.world_from_camera.copy()
        pose[:3, 3] += self.map.origin
        return Estimate(
            pose,
            float(found.inliers),
            found.covariance,
            found.reason,
            Result.POSITION_UNDETERMINED if found.reason else Result.LOW_INLIERS,
            PoseStatistics(
                inlier_count=found.inliers,
                hypothesis_agreement=found.references / max(1, len(matches)),
            ),
            (pose,),
        )

    def _by_depth(
        self, matches: list[tuple[int, np.ndarray]], pixels: np.ndarray, matrix: np.ndarray
    ) -> AbsolutePose | None:
        points, seen = [], []
        for index, rows in matches:
            features, pose = self.references.of(index), self.references.poses[index]
            depth = self.references.depth[features][rows[:, 1]]
            rays = self.references.rays[features][rows[:, 1]]
            known = depth > 0
            in_camera = np.column_stack([rays, np.ones(len(rays))])[known] * depth[known, None]
            points.append(in_camera @ pose[:3, :3].T + pose[:3, 3])
            seen.append(pixels[rows[known, 0]])
        return measured_pose(points, seen, matrix, self.ransac)

    def _by_directions(
        self, matches: list[tuple[int, np.ndarray]], pixels: np.ndarray, matrix: np.ndarray
    ) -> AbsolutePose | None:
        query_rays = (pixels - matrix[:2, 2]) / matrix[0, 0]
        relative = [
            found
            for index, rows in matches
            if (
                found := relative_pose(
                    query_rays[rows[:, 0]],
                    self.references.rays[self.references.of(index)][rows[:, 1]].astype(float),
                    self.references.poses[index],
                    float(matrix[0, 0]),
                )
            )
        ]
        return absolute_pose(relative, float(matrix[0, 0]))


SYSTEM = RelativePoseSystem
