# SPDX-License-Identifier: Apache-2.0
"""Online: a frame through network and RANSAC to a pose that is trusted, or a reason why not."""
from __future__ import annotations

import copy
import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from dsac_ros.alignment.align import Alignment
from dsac_ros.alignment.feature_localizer import FeatureLocalizer, FeatureQuery
from dsac_ros.alignment.feature_pose import FeaturePose
from dsac_ros.alignment.gallery import Gallery, as_input
from dsac_ros.calibration import Calibration
from dsac_ros.config import AcceptConfig, RansacConfig
from dsac_ros.device import choose_device, in_half
from dsac_ros.focal_check import FocalCheck
from dsac_ros.geometry import se3
from dsac_ros.geometry.resample import Resampler, Resamplers, network_resamplers, to_gray
from dsac_ros.map_file import Map, load_map
from dsac_ros.ransac.estimator import PoseEstimate, estimate_pose
from dsac_ros.ransac.stopwatch import Stopwatch
from dsac_ros.ransac.threads import threads
from dsac_ros.scene_coordinates import in_pinhole, with_depth
from dsac_ros.types import Camera, Frame, Localization, Result, SceneCoordinates

log = logging.getLogger(__name__)

MIN_CONTRAST = 3.0  # gray levels; below, an image is black, white or covered
# Of the pictures looked at one by one: minimal sets for each, and how many of them are aligned.
APART_HYPOTHESES, APART = 256, 3
# What landmarks in a corner of the image alone say is believed this near to what else confirms it.
CORNER = 0.1
CHANCE = 9  # matches with one picture that fit some pose, although another place is seen
FIRST_LOOK = 8  # where pictures decide, so many times fewer minimal sets are drawn


class Localizer:
    """Answers where a frame was taken, in the frame of one map.

    Not thread-safe: one worker, one localizer.
    """

    def __init__(self, loaded: Map, device: str = 'cpu', ransac: RansacConfig = RansacConfig(),
                 accept: AcceptConfig = AcceptConfig()) -> None:
        self.map = loaded
        self.device = torch.device(device)
        self.network = loaded.network.to(self.device).eval()
        self._network_resamplers = network_resamplers(loaded.header['network_focal_px'],
                                                       loaded.header['short_side'])
        self.gallery = (Gallery(loaded.pictures, self._encode, self._network_resamplers,
                                self.device)
                        if any(len(p.pixels) for p in loaded.pictures) else None)
        self.features = FeatureLocalizer(loaded.points, self.device)
        self._resamplers = Resamplers.to_short_side(loaded.header['short_side'])
        self._settle(ransac, accept)

    @classmethod
    def load(cls, path: Path | str, device: str = 'auto', ransac: RansacConfig = RansacConfig(),
             accept: AcceptConfig = AcceptConfig()) -> Localizer:
        """Load a map file; device is auto, cpu or cuda. Raises MapError, ConfigError."""
        device = choose_device(device)
        return cls(load_map(Path(path), device), device, ransac, accept)

    def with_settings(self, ransac: RansacConfig, accept: AcceptConfig) -> Localizer:
        """The same map under other settings; what was made of its pictures is not made again."""
        changed = copy.copy(self)
        changed._settle(ransac, accept)
        return changed

    def _settle(self, ransac: RansacConfig, accept: AcceptConfig) -> None:
        self.ransac = ransac
        self.first_look = ransac if self.gallery is None else fewer(ransac)
        # What is seldom done, or of another shape every time, is not worth minutes of compiling.
        self.further_look = replace(self.first_look, compiled=False)
        self.last_look = replace(self.ransac, compiled=False)
        self.calibration = Calibration.from_dict(
            self.map.header.get('calibration')).overridden(accept)
        self.focal_check = FocalCheck(accept.max_focal_error)

    def prepare(self) -> None:
        """Do now what is done once anyway, such as describing the map's pictures: seconds."""
        if self.gallery is not None:
            self.gallery.describe()

    def localize(self, frame: Frame, guess: np.ndarray | None = None) -> Localization:
        """Where this frame was taken, or why that is not known.

        Measured depth takes part where the frame has it. A guess, world_from_camera (4, 4), is one
        more hypothesis among those drawn, and no more trusted than they are.

        Raises CameraError and ImageError for intrinsics and images that cannot be used at all.
        """
        return self.localize_detailed(frame, guess)[0]

    def localize_detailed(self, frame: Frame, guess: np.ndarray | None = None) -> tuple[
            Localization, SceneCoordinates | None, PoseEstimate | None]:
        """`localize`, with what the network saw and what RANSAC made of it, for reports."""
        clock = Stopwatch(self.device)
        resampler = self._resamplers(frame.camera)
        image = resampler(to_gray(frame.image))
        clock.lap('resample')
        if image.std() < MIN_CONTRAST:
            return Localization(
                Result.BAD_IMAGE, f'the image has no contrast (standard deviation '
                f'{image.std():.1f} of 255); is the lens covered or the exposure off?',
                frame.stamp_ns, frame.name, timings_ms=clock.laps), None, None
        with torch.inference_mode():  # thousands of small operations: no book is kept
            seen, descriptors, scene = self._scene_coordinates(frame, resampler.matrix)
            if frame.depth is not None:
                scene = with_depth(scene, resampler.depth(frame.depth))
            clock.lap('network')
            estimate = self._estimate(scene, self.first_look, guess)
            clock.lap('ransac')
            if self.gallery is None:
                answer = self._judge(frame, estimate, None, clock.laps)
                if answer.accepted:
                    ratio = self.focal_check.by_scene_coordinates(scene,
                                                                  estimate.world_from_camera[0])
                    answer = with_focal_verdict(answer, ratio, frame.camera)
                return answer, scene, estimate
            features = FeatureQuery(self.features, frame, resampler.matrix, self.last_look, clock)
            alignment = self.gallery.search(image, resampler.matrix, self._candidates(
                seen, descriptors, scene, estimate, features))
            clock.lap('align')
            convincing = self.calibration.convincing(confirmed(alignment))
            if not convincing or alignment.overall < self.calibration.clear_ratio:
                features.pose()
            if not convincing:
                estimate = self._estimate(scene, self.last_look, guess)
                clock.lap('ransac')
            answer = self._judge(frame, estimate, alignment, clock.laps, features.found)
            if answer.accepted:
                ratio = self._fitting_focal(image, resampler, answer, alignment, features)
                answer = with_focal_verdict(answer, ratio, frame.camera)
                clock.lap('focal')
        return answer, scene, estimate

    def _fitting_focal(self, image: np.ndarray, resampler: Resampler, answer: Localization,
                       alignment: Alignment | None, features: FeatureQuery) -> float:
        """Return the focal length that the image fits, as a multiple of the one given."""
        pose = self._in_map(answer.world_from_camera)
        test = self.gallery.focal_test(image, resampler.matrix, pose)
        with threads(1):
            return self.focal_check.by_landmarks(
                resampler, test, alignment.overall if alignment else 0.0,
                lambda: features.pose().scene, pose)

    def _scene_coordinates(self, frame: Frame, matrix: np.ndarray,
                           ) -> tuple[torch.Tensor, torch.Tensor, SceneCoordinates]:
        """Return a frame as the network sees it, its descriptors, and the scene coordinates.

        Image (1, 1, H, W) and descriptors (1, C, H/8, W/8); the cells are in the pixels of the
        frame's ideal pinhole with the intrinsics `matrix` (3, 3).
        """
        resampler = self._network_resamplers(frame.camera)
        seen = as_input(resampler(to_gray(frame.image)), self.device)
        descriptors = self._encode(seen)
        scene = self.network.correspondences(
            descriptors, torch.from_numpy(resampler.matrix).float().to(self.device)[None],
            torch.from_numpy(resampler.shown(frame.mask)).to(self.device)[None])
        return seen, descriptors, in_pinhole(scene, torch.from_numpy(matrix))

    def _encode(self, images: torch.Tensor) -> torch.Tensor:
        # The encoder alone: the head's points need all digits, and of every image its experts get
        # other numbers of cells, for each of which a CPU would make a program anew.
        with in_half(self.device):
            return self.network.encoder(images).float()

    def _estimate(self, scene: SceneCoordinates, config: RansacConfig,
                  guess: np.ndarray | None = None) -> PoseEstimate:
        if guess is None:
            return estimate_pose(scene, config)
        return estimate_pose(scene, config, guess=self._in_map(guess)[None])

    def _in_map(self, world_from_camera: np.ndarray) -> torch.Tensor:
        """Return the pose (4, 4) of the world in the frame of the map, whose origin is near."""
        near = np.array(world_from_camera, dtype=float)
        near[:3, 3] -= self.map.origin
        return torch.from_numpy(near)

    def _candidates(self, seen: torch.Tensor, descriptors: torch.Tensor, scene: SceneCoordinates,
                    estimate: PoseEstimate, features: FeatureQuery) -> Iterator[PoseEstimate]:
        """Yield poses worth an alignment, the likeliest first; each is made when asked for.

        Features say surely where they agree. Where an image is blurred or dark they do not, and
        descriptors of the network are matched with reference images.
        """
        yield estimate
        if features.pose().count:
            yield features.pose().estimate
        if self.calibration.agreeing(features.pose().count):
            return
        apart, together = self.gallery.recall(seen, descriptors, scene.pixels[0],
                                              scene.matrices[0])
        each = self._estimate(apart, replace(self.further_look, hypotheses=APART_HYPOTHESES))
        counts = each.inlier_count
        first, *others = [index for index in counts.argsort(descending=True)[:APART].tolist()
                          if counts[index] >= CHANCE] or [0]
        yield each.only(first)
        every = self._estimate(together, self.further_look)
        if every.inlier_count[0] > counts[first]:  # what fits one picture fits all of them
            yield every
        for index in others:
            yield each.only(index)

    def _judge(self, frame: Frame, estimate: PoseEstimate, alignment: Alignment | None,
               timings: dict[str, float], features: FeaturePose | None = None) -> Localization:
        """Trust a pose or say why not, by what the map learned on its held-out frames.

        Of the estimate by scene coordinates, which alone the thresholds of the cells are for; of
        the best alignment; and of features, which decide between the two where they agree.
        """
        ratio, count = float(estimate.inlier_ratio[0]), int(estimate.inlier_count[0])
        spread, agreement = float(estimate.spread[0]), float(estimate.agreement[0])
        share = confirmed(alignment)
        matches = features.count if features else 0
        if self.calibration.agreeing(matches):
            pose, raw = features.better(alignment)
        elif self.calibration.convincing(share):
            pose, raw = alignment.world_from_camera, alignment.covariance
        elif bool(estimate.found[0]):
            pose, raw = estimate.world_from_camera[0], estimate.covariance[0]
        else:
            return Localization(Result.LOW_INLIERS, 'no pose agrees with the scene coordinates; '
                                'the image may show another place', frame.stamp_ns, frame.name,
                                timings_ms=timings)
        result, reason = self.calibration.verdict(ratio, count, spread, agreement, share, matches)
        if (result is Result.ACCEPTED and not self.calibration.agreeing(matches)
                and self._refined(pose, alignment)):
            pose = alignment.world_from_camera
        pose, raw = in_world(pose, raw, self.map.origin)
        return Localization(
            result, reason, frame.stamp_ns, frame.name, world_from_camera=pose,
            covariance=self.calibration.covariance(raw, share) if np.isfinite(raw).all() else None,
            inlier_ratio=ratio, inlier_count=count,
            reprojection_error_px=float(estimate.reprojection_error_px[0]),
            inlier_spread=spread, hypothesis_agreement=agreement, landmark_share=share,
            feature_matches=matches, confidence=float(self.calibration.confidence(
                ratio, spread, agreement, share, matches)), timings_ms=timings)

    def _refined(self, pose: torch.Tensor, alignment: Alignment | None) -> bool:
        """Whether landmarks in a corner tell better where a pose (4, 4) is that is trusted."""
        return (alignment is not None and alignment.corner
                and self.calibration.convincing(alignment.share)
                and se3.same_view(alignment.world_from_camera,
                                  pose.to(alignment.world_from_camera), CORNER,
                                  self.gallery.depth))


def confirmed(alignment: Alignment | None) -> float:
    """The share of the landmarks that confirm an alignment; none, where they lie in a corner."""
    return 0.0 if alignment is None or alignment.corner else alignment.share


def in_world(pose: torch.Tensor, covariance: torch.Tensor,
             origin: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A pose (4, 4) of the map's frame in that of the world, and its covariance, as arrays."""
    placed = pose.cpu().double().numpy().copy()
    placed[:3, 3] += origin
    return placed, covariance.cpu().double().numpy()


def with_focal_verdict(found: Localization, ratio: float, camera: Camera) -> Localization:
    """Refuse an accepted localization where its image fits `ratio` times the focal length."""
    if ratio == 1.0:
        return found
    given = float(np.sqrt(camera.matrix[0, 0] * camera.matrix[1, 1]))
    return replace(found, result=Result.BAD_INTRINSICS, reason=(
        f'the image fits f = {ratio * given:.0f} px, the calibration says {given:.0f} px: use the '
        'camera_info of this camera and image size (binning applied once), or the right --focal'))


def fewer(ransac: RansacConfig) -> RansacConfig:
    """As good as the whole budget where it need not find the one hypothesis among thousands."""
    return replace(ransac, hypotheses=-(-ransac.hypotheses // FIRST_LOOK),
                   screened=-(-ransac.screened // FIRST_LOOK), rescored=-(-ransac.rescored // 2))
