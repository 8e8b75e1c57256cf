# SPDX-License-Identifier: Apache-2.0
"""Localizer: a frame through network, RANSAC and alignment to a pose, or a reason why not."""

from __future__ import annotations

import copy
import logging
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from dsac_ros.acceptance import AcceptanceModel
from dsac_ros.alignment.align import Alignment
from dsac_ros.alignment.aligner import Aligner
from dsac_ros.alignment.feature_localizer import FeatureLocalizer
from dsac_ros.alignment.landmarks import landmarks_of
from dsac_ros.alignment.reference_database import ReferenceDatabase
from dsac_ros.alignment.twin_check import AMBIGUOUS, TwinCheck
from dsac_ros.candidate_poses import candidate_poses
from dsac_ros.compute.device import choose_device
from dsac_ros.compute.frame_cache import FrameCache
from dsac_ros.compute.stopwatch import Stopwatch
from dsac_ros.compute.threads import threads
from dsac_ros.config import AcceptConfig, RansacConfig
from dsac_ros.decision import (
    decide,
    refused,
    statistics_of,
    tell_one_view,
    unusable_image,
    with_focal_hint,
    with_focal_verdict,
)
from dsac_ros.focal_check import FocalCheck
from dsac_ros.geometry.resample import Resamplers
from dsac_ros.map_file import Map, load_map
from dsac_ros.query import Budgets, Query
from dsac_ros.ransac.estimator import PoseEstimate
from dsac_ros.scene_coordinates import SceneRegressor
from dsac_ros.trace import Trace
from dsac_ros.types import Frame, Localization, Result, SceneCoordinates

log = logging.getLogger(__name__)


class Localizer:
    """Localizes frames in one map. Not thread-safe: one worker, one localizer."""

    def __init__(
        self,
        loaded: Map,
        device: str = 'cpu',
        ransac: RansacConfig = RansacConfig(),
        accept: AcceptConfig = AcceptConfig(),
    ) -> None:
        self.map = loaded
        self.device = torch.device(device)
        self.network = loaded.network.to(self.device).eval()
        self.regressor = SceneRegressor(self.network, loaded.header, self.device)
        self.features = FeatureLocalizer(loaded.points, self.device)
        self.twins = TwinCheck(loaded.header.get('twin_views') or (), self.features)
        self.aligner: Aligner | None = None
        self.database: ReferenceDatabase | None = None
        references = [one for one in loaded.reference_images if len(one.pixels)]
        if references:
            landmarks = landmarks_of(references, self.device)
            self.aligner = Aligner(
                landmarks, float(np.median(np.concatenate([one.depth for one in references])))
            )
            self.database = ReferenceDatabase(
                references,
                landmarks,
                self.regressor.encode,
                self.regressor.resamplers,
                self.device,
            )
        self.resamplers = Resamplers.to_short_side(loaded.header['short_side'])
        self._apply_settings(ransac, accept)

    @classmethod
    def load(
        cls,
        path: Path | str,
        device: str = 'auto',
        ransac: RansacConfig = RansacConfig(),
        accept: AcceptConfig = AcceptConfig(),
    ) -> Localizer:
        """Load a map file; device is auto, cpu or cuda. Raises MapError, ConfigError."""
        device = choose_device(device)
        return cls(load_map(Path(path), device), device, ransac, accept)

    def with_settings(self, ransac: RansacConfig, accept: AcceptConfig) -> Localizer:
        """Return a localizer of the same map under other settings; they share what is cached."""
        changed = copy.copy(self)
        changed._apply_settings(ransac, accept)
        return changed

    def _apply_settings(self, ransac: RansacConfig, accept: AcceptConfig) -> None:
        self.budgets = Budgets.of(ransac, verified=self.aligner is not None)
        self.acceptance = AcceptanceModel.of_header(self.map.header).overridden(accept)
        self.max_position_sigma = accept.max_position_sigma
        self.refuses_twins = accept.refuse_twins
        self.max_latency_ms = accept.max_latency_ms or math.inf
        self.focal_check = FocalCheck(
            accept.max_focal_error and max(accept.max_focal_error, self.acceptance.focal_error)
        )

    @property
    def depth(self) -> float:
        """Median depth of the scene [m]."""
        return float(self.network.scale)

    def warm_up(self) -> None:
        """Compute the descriptors of reference images, so that no query waits for them."""
        if self.database is not None:
            self.database.precompute_descriptors()

    def localize(self, frame: Frame, guess: np.ndarray | None = None) -> Localization:
        """Localize a frame, or say why that is not possible.

        Measured depth takes part where the frame has it. A guess, world_from_camera (4, 4), is one
        more hypothesis among those drawn, and no more trusted than they are.

        Raises CameraError and ImageError for intrinsics and images that cannot be used at all.
        """
        return self.trace(frame, guess).localization

    def trace(self, frame: Frame, guess: np.ndarray | None = None) -> Trace:
        """Localize a frame like `localize`, and keep what the pose was made of."""
        return self.answer(self.query(frame, guess))

    def answer(self, query: Query, quick: bool = False) -> Trace:
        """Localize the frame of a query of this map, of which some may be computed already.

        Quick: by scene coordinates with the reduced budget and by features, without retrieval.
        """
        unusable = unusable_image(query)
        if unusable is not None:
            return Trace(unusable)
        with torch.inference_mode():  # thousands of small operations: no gradient is recorded
            alignment = self._aligned(query, quick)
            if alignment is None or not self._accepted_by_landmarks(query, alignment):
                query.feature_pose()
                if not quick and not self._verified(query, alignment):
                    query.full_estimate()
                self._look_for_landmarks(query, alignment)
            elif alignment.verification.inlier_ratio < self.acceptance.clear_ratio:
                query.feature_pose()
            answer = decide(
                query,
                alignment,
                self._by_features(query, alignment),
                self.acceptance,
                self.map.origin,
                self.network.scale,
                self.max_position_sigma,
            )
            if answer.accepted:
                with query.clock.stage('focal'):
                    ratio = self._fitting_focal(query, answer, alignment)
                answer = with_focal_verdict(answer, ratio, query.frame.camera)
                answer = self._without_twin(query, answer)
            else:
                answer = with_focal_hint(answer, query.matrix, self.map.header)
        return Trace.of(answer, query, self.map.origin)

    def scene_coordinates(self, frame: Frame) -> tuple[SceneCoordinates, PoseEstimate]:
        """Return the scene coordinates of a frame, and the pose by them alone."""
        query = self.query(frame)
        with torch.inference_mode():
            return query.network_output().scene, query.full_estimate()

    def query(
        self,
        frame: Frame,
        guess: np.ndarray | None = None,
        cache: FrameCache | None = None,
        screening: int = 0,
    ) -> Query:
        """Begin a query of a frame, of which nothing is computed yet.

        Args:
            frame: to localize.
            guess: world_from_camera (4, 4), one more hypothesis.
            cache: shared with the queries of this frame in other maps.
            screening: minimal sets of the reduced budget; 0: as the settings say.
        """
        return Query(
            frame,
            self.resamplers(frame.camera),
            self.regressor,
            self.features,
            self.budgets.screened_by(screening) if screening else self.budgets,
            Stopwatch(self.device),
            None if guess is None else self.in_map(guess),
            cache,
        )

    def _aligned(self, query: Query, quick: bool) -> Alignment | None:
        """Return the best alignment with the landmarks; None where nothing could be aligned."""
        if self.aligner is None or self.database is None:
            return None
        with query.clock.stage('align'):
            best = self.aligner.search(
                query.pyramid,
                query.intrinsics,
                candidate_poses(
                    query,
                    self.acceptance,
                    None if quick else self.database,
                    self.max_latency_ms,
                ),
                query.alignments,
            )
            if best is None:
                return None
            if not self._accepted_by_landmarks(query, best):
                query.feature_pose()
            if self._accepted_by_features(query) or not self._verified(query, best):
                return best
            return replace(
                best,
                repetitive=self.aligner.is_repetitive(
                    query.pyramid, query.intrinsics, best.world_from_camera
                ),
            )

    def align_features(self, query: Query) -> None:
        """Align the pose by features of a query, if no pose of it has been aligned yet."""
        with torch.inference_mode():
            found = query.feature_pose().estimate
            if self.aligner is not None and not query.alignments and bool(found.found[0]):
                with query.clock.stage('align'):
                    self.aligner.search(query.pyramid, query.intrinsics, [found], query.alignments)

    def _by_features(
        self, query: Query, alignment: Alignment | None
    ) -> tuple[Tensor, Tensor] | None:
        """Return pose and covariance by features and landmarks; None where too few agree.

        Features too few to verify a pose still make one more precise that landmarks verify.
        """
        found = query.features
        if found is None:
            return None
        if self._accepted_by_features(query):
            pose, covariance = found.estimate.world_from_camera[0], found.estimate.covariance[0]
        elif (
            alignment is not None
            and self._verified(query, alignment)
            and tell_one_view(alignment, found, self.network.scale)
        ):
            pose, covariance = alignment.world_from_camera, alignment.covariance
        else:
            return None
        if self.aligner is None:
            return pose, covariance
        with query.clock.stage('align'):
            return self.aligner.refine_jointly(query.pyramid, query.intrinsics, pose, found.guided)

    def _fitting_focal(
        self, query: Query, answer: Localization, alignment: Alignment | None
    ) -> float:
        """Return the focal length that the image fits, as a multiple of the one given."""
        assert answer.world_from_camera is not None
        pose = self.in_map(answer.world_from_camera)
        if self.aligner is None:
            return self.focal_check.by_scene_coordinates(query.correspondences()[0], pose)
        test = self.aligner.focal_test(query.pyramid, query.intrinsics, pose)
        ratio = (
            alignment.verification.inlier_ratio
            if alignment is not None and answer.statistics.visible_inlier_ratio
            else 0.0
        )
        with threads(1):
            return self.focal_check.by_landmarks(
                query.resampler, test, ratio, lambda: query.feature_pose().matches, pose
            )

    def shows_twin(self, query: Query) -> bool:
        """Return True if the image shows a place that has a twin in the map."""
        return self.twins.shows_twin(query.frame, query.resampler, query.cache)

    def _without_twin(self, query: Query, answer: Localization) -> Localization:
        """Refuse a pose that may be of the twin of its place."""
        if not (self.refuses_twins and self.twins and answer.accepted):
            return answer
        assert answer.world_from_camera is not None
        pose = self.in_map(answer.world_from_camera)
        if query.is_where_guessed(pose, self.depth) or not self.shows_twin(query):
            return answer
        return refused(answer, Result.AMBIGUOUS, AMBIGUOUS)

    def _look_for_landmarks(self, query: Query, alignment: Alignment | None) -> None:
        """Notice that an image lacks the landmarks around a pose that features alone verify.

        A mirrored image fits features of other objects, which lie in one part of it.
        """
        given = statistics_of(query, alignment, self.network.scale)
        if self.aligner is None or given.agreeing or not self._accepted_by_features(query):
            return
        if self.acceptance.decided_by_features(given):
            return
        with query.clock.stage('align'):
            pose = query.feature_pose().estimate.world_from_camera[0]
            sought = self.aligner.sought_landmarks(query.pyramid, query.intrinsics, pose, True)
            query.lacks_landmarks = sought.are_missing

    def _verified(self, query: Query, alignment: Alignment | None) -> bool:
        return self.acceptance.verified(statistics_of(query, alignment, self.network.scale))

    def _accepted_by_landmarks(self, query: Query, alignment: Alignment | None) -> bool:
        return self.acceptance.accepted_by_landmarks(
            statistics_of(query, alignment, self.network.scale)
        )

    def _accepted_by_features(self, query: Query) -> bool:
        return self.acceptance.accepted_by_features(statistics_of(query, None, self.network.scale))

    def in_map(self, world_from_camera: np.ndarray) -> Tensor:
        """Move a pose (4, 4) from the world to the frame of the map."""
        near = np.array(world_from_camera, dtype=float)
        near[:3, 3] -= self.map.origin
        return torch.from_numpy(near)
