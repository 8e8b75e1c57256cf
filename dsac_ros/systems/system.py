# SPDX-License-Identifier: Apache-2.0
"""Protocol of everything that localizes frames in a map, and its base for other systems."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch
from torch import Tensor

from dsac_ros.compute.stopwatch import Stopwatch
from dsac_ros.config import AcceptConfig, RansacConfig
from dsac_ros.decision import image_problem
from dsac_ros.geometry.resample import Resampler, Resamplers, to_gray
from dsac_ros.map_container import StoredMap
from dsac_ros.systems.evidence import EvidenceModel, judge
from dsac_ros.trace import Trace
from dsac_ros.types import Frame, Localization, PoseStatistics, Result

if TYPE_CHECKING:
    from typing_extensions import Self

TOWARDS_RIGHT = 1 / 3


class System(Protocol):
    """A loaded map that localizes frames; `Localizer` and every class of `systems` is one.

    Not thread-safe: one worker, one system. depth is the median depth of the scene [m].
    """

    @property
    def map(self) -> StoredMap:
        """The map, of which header, id and origin are known for every system."""

    @property
    def device(self) -> torch.device:
        """Device that it computes on."""

    @property
    def depth(self) -> float:
        """Median depth of the scene [m]."""

    def with_settings(self, ransac: RansacConfig, accept: AcceptConfig) -> Self:
        """Return a system of the same map under other settings."""

    def warm_up(self) -> None:
        """Prepare what the first query would wait for."""

    def localize(self, frame: Frame, guess: np.ndarray | None = None) -> Localization:
        """Localize a frame, or say why that is not possible.

        A guess, world_from_camera (4, 4), is one more hypothesis.

        Raises:
            CameraError, ImageError: intrinsics or images that cannot be used at all.
        """

    def trace(self, frame: Frame, guess: np.ndarray | None = None) -> Trace:
        """Localize a frame like `localize`, and keep what the pose was made of."""


@dataclass(frozen=True)
class Query:
    """A frame as a system sees it: image (H, W) uint8 of an ideal pinhole, valid (H, W) bool."""

    frame: Frame
    image: np.ndarray
    valid: np.ndarray
    resampler: Resampler
    clock: Stopwatch
    guess: np.ndarray | None = None


@dataclass(frozen=True)
class Estimate:
    """A pose before anybody has judged it.

    world_from_camera (4, 4) is None where there is no estimate, and then `reason` says why; a pose
    with a reason is a guess that is refused whatever its evidence.
    evidence is the number that `EvidenceModel` judges, positive, the larger the surer. covariance
    (6, 6) [m, rad] is that of the refinement, None where a system has none. candidates are the
    poses world_from_camera (4, 4) that were compared, the best first.
    """

    world_from_camera: np.ndarray | None = None
    evidence: float = 0.0
    covariance: np.ndarray | None = None
    reason: str = ''
    result: Result = Result.LOW_INLIERS
    statistics: PoseStatistics = field(default_factory=PoseStatistics)
    candidates: tuple[np.ndarray, ...] = ()


class EvidenceSystem(ABC):
    """Base of a system whose pose is judged by one number, its evidence.

    A subclass says what the number is (`EVIDENCE`), how large the images are that it sees
    (`resamplers`), and makes the estimate.
    """

    #: The evidence in words, for reasons: '{value} of {EVIDENCE}'.
    EVIDENCE = 'evidence'
    #: Model of a map too small to hold frames out; where it accepts anything, its threshold is the
    #: least of every map. The floor of the position follows from the scene's depth.
    UNMEASURED = EvidenceModel()
    #: Place of the threshold between refused and accepted held-out frames; see `calibration`.
    TOWARDS_RIGHT = TOWARDS_RIGHT

    def __init__(
        self,
        stored: StoredMap,
        resamplers: Resamplers,
        device: torch.device | str = 'cpu',
        accept: AcceptConfig = AcceptConfig(),
    ) -> None:
        self.map, self.resamplers = stored, resamplers
        self.device = torch.device(device)
        self.acceptance = EvidenceModel.from_dict(stored.header.get('acceptance'))
        self.max_position_sigma = accept.max_position_sigma

    @classmethod
    @abstractmethod
    def of(
        cls,
        header: dict[str, Any],
        tensors: Mapping[str, Tensor],
        device: str,
        ransac: RansacConfig,
        accept: AcceptConfig,
    ) -> Self:
        """Make the system of a map's header and tensors; KeyError and the like if damaged."""

    @abstractmethod
    def estimate(self, query: Query) -> Estimate:
        """Estimate the pose of a frame."""

    @property
    def depth(self) -> float:
        """Median depth of the scene [m]."""
        return float(self.map.header['scale'])

    def with_settings(self, ransac: RansacConfig, accept: AcceptConfig) -> Self:
        """Return a system of the same map under other settings."""
        changed = copy.copy(self)
        changed.max_position_sigma = accept.max_position_sigma
        return changed

    def warm_up(self) -> None:  # noqa: B027 (most systems have nothing to prepare)
        """Nothing is prepared."""

    def localize(self, frame: Frame, guess: np.ndarray | None = None) -> Localization:
        """Localize a frame, or say why that is not possible; see `System`."""
        return self.trace(frame, guess).localization

    def trace(self, frame: Frame, guess: np.ndarray | None = None) -> Trace:
        """Localize a frame like `localize`, and keep the poses that were compared."""
        query = self.query(frame, guess)
        found = self.raw_estimate(query)
        answer = self.judged(found, frame)
        return Trace(replace(answer, timings_ms=query.clock.laps), candidates=found.candidates)

    def query(self, frame: Frame, guess: np.ndarray | None = None) -> Query:
        """Resample a frame to what this system sees."""
        clock = Stopwatch(self.device)
        resampler = self.resamplers(frame.camera)
        image, valid = resampler(to_gray(frame.image)), resampler.valid_mask(frame.mask)
        clock.lap('resample')
        return Query(frame, image, valid, resampler, clock, guess)

    def raw_estimate(self, query: Query) -> Estimate:
        """Estimate a pose that nobody has judged; an image without contrast has none."""
        if problem := image_problem(query.image, query.valid):
            return Estimate(reason=problem, result=Result.BAD_IMAGE)
        with torch.inference_mode():
            return self.estimate(query)

    def judged(self, found: Estimate, frame: Frame) -> Localization:
        """Accept an estimate by the map's evidence model, or refuse it with a reason."""
        answer = Localization(
            found.result,
            found.reason,
            frame.stamp_ns,
            frame.name,
            found.world_from_camera,
            found.covariance,
            found.statistics,
        )
        if found.world_from_camera is None or found.reason:
            return answer
        return judge(
            answer,
            found.evidence,
            self.acceptance,
            self.EVIDENCE,
            max_sigma_m=self.max_position_sigma * self.depth,
        )
