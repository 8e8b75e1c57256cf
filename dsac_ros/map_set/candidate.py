# SPDX-License-Identifier: Apache-2.0
"""Candidates: the maps of a set that one frame is searched in, each step computed when needed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch

from dsac_ros.alignment.contradiction import SoughtLandmarks, contradictions
from dsac_ros.alignment.feature_localizer import ENOUGH
from dsac_ros.compute.frame_cache import FrameCache
from dsac_ros.decision import unusable_image
from dsac_ros.localizer import Localizer
from dsac_ros.map_set.file import MapEntry
from dsac_ros.map_set.gating import MapShare
from dsac_ros.map_set.loaded_maps import MapSystem
from dsac_ros.map_set.margin import FEW_FEATURES, OTHER_PLACE, Answer, Evidence
from dsac_ros.query import Query
from dsac_ros.types import Frame

# Share of soft inliers among the cells from which on scene coordinates tell maps apart: in maps of
# other places the best hypothesis had at most 0.021, of 213 images of 14 scenes.
CLEAR_SCORE = 0.03
# A map that has not answered may show the same image if its hypotheses have this share of the
# winner's score, or, where scores are not clear, if the gate gives it this share of probability.
RIVAL_SCORE, RIVAL_PROBABILITY = 0.4, 0.25


@dataclass
class Candidate:
    """A map that a frame is searched in.

    query is None of a map of another system. score is the share of soft inliers among the cells
    of the best hypothesis, once screened.
    """

    entry: MapEntry
    share: MapShare
    system: MapSystem
    query: Query | None
    score: float = 0.0
    given: Answer | None = None

    def screen(self) -> None:
        """Score the best of this map's share of the hypotheses."""
        if self.query is None or self.score:
            return
        with torch.inference_mode():
            estimate = self.query.screening_estimate()
        cells = int(self.query.network_output().scene.valid.sum())
        self.score = float(estimate.score[0]) / max(cells, 1)

    @property
    def feature_inliers(self) -> int:
        """Distributed inliers among the features of the frame."""
        if self.query is None:
            return 0
        with torch.inference_mode():
            return self.query.feature_pose().inlier_count

    @property
    def matched_features(self) -> int | None:
        """Inliers among the local features; None if they were not matched."""
        if self.query is None or self.query.features is None:
            return None
        return int(self.query.features.estimate.inlier_count[0])

    @property
    def is_promising(self) -> bool:
        """True if scene coordinates or features tell a pose in this map that may be clear."""
        if self.query is None:
            return True
        self.screen()
        return self.score >= CLEAR_SCORE or self.feature_inliers >= ENOUGH

    @property
    def shows_nothing(self) -> bool:
        """True if the image shows nothing, in this map or any other."""
        return self.query is not None and unusable_image(self.query) is not None

    def answer(self, frame: Frame, guess: np.ndarray | None, quick: bool = False) -> Answer:
        """Localize the frame in this map; quick: `Localizer.answer`."""
        if self.query is not None and isinstance(self.system, Localizer):
            trace = self.system.answer(self.query, quick)
        else:
            trace = self.system.trace(frame, guess)
        found = replace(trace.localization, map_id=self.entry.id, map_frame=self.entry.frame)
        trace = replace(trace, localization=found)
        self.given = Answer(self.entry, trace, Evidence.of(self.query, found))
        return self.given

    def complete_evidence(self) -> None:
        """Compute what the answer did without: features, and their alignment with landmarks."""
        if self.given is None or self.query is None or not isinstance(self.system, Localizer):
            return
        self.system.align_features(self.query)
        self.given = replace(self.given, evidence=Evidence.of(self.query, self.given.localization))

    @property
    def rank(self) -> tuple[float, ...]:
        """Values by which candidates that have answered are ordered: accepted ones first."""
        if self.given is None:
            return (-1.0,)
        return float(self.given.localization.accepted), *self.given.evidence.strength

    @property
    def is_clear(self) -> bool:
        """True if the answer is verified by many features, or by landmarks beyond doubt.

        A map without landmarks has no such evidence: its own acceptance decides.
        """
        if self.given is None or not isinstance(self.system, Localizer):
            return True
        if self.system.aligner is None:
            return True
        found, model = self.given.localization.statistics, self.system.acceptance
        return (
            found.feature_inliers >= model.min_feature_inliers
            or found.visible_inlier_ratio >= model.clear_ratio
        )

    def sought(self, world_from_camera: np.ndarray, exact: bool) -> SoughtLandmarks | None:
        """Look for the landmarks that a pose (4, 4) in this map's world brings into view.

        None of a map without landmarks.
        """
        system, query = self.system, self.query
        if query is None or not isinstance(system, Localizer) or system.aligner is None:
            return None
        with torch.inference_mode(), query.clock.stage('look_alikes'):
            return system.aligner.sought_landmarks(
                query.pyramid, query.intrinsics, system.in_map(world_from_camera), exact
            )

    def shows_less_than(self, other: Candidate) -> bool:
        """Return True if few of the features that another map verifies are of this map, too."""
        if self.query is None or other.query is None:
            return False
        with torch.inference_mode():
            mine = int(self.query.feature_pose().estimate.inlier_count[0])
            others = int(other.query.feature_pose().estimate.inlier_count[0])
        return others >= FEW_FEATURES and mine < OTHER_PLACE * others

    def advantage_over(
        self, other: Candidate, own_pose: np.ndarray, other_pose: np.ndarray
    ) -> int:
        """Count landmarks of another map that the image contradicts, less those of this map.

        Both poses (4, 4) are of one view, as two maps that look alike tell it: the first is exact.
        """
        mine, others = self.sought(own_pose, True), other.sought(other_pose, False)
        if mine is None or others is None or self.query is None:
            return 0
        side = min(self.query.image.shape)
        return contradictions(mine, others, side) - contradictions(others, mine, side)

    def is_rival_of(self, winner: Candidate) -> bool:
        """Return True if this map may show the image of the winner as well.

        Where features were matched in both maps, they tell: with few of the winner's this map
        shows another place. Then scores do, where they are clear, and last the gate.
        """
        mine, others = self.matched_features, winner.matched_features
        if mine is not None and others is not None and others >= FEW_FEATURES:
            return mine >= OTHER_PLACE * others
        if winner.score >= CLEAR_SCORE:
            return self.score >= RIVAL_SCORE * winner.score
        return self.share.probability >= RIVAL_PROBABILITY * winner.share.probability


@dataclass
class Search:
    """Search of one frame in a set: its cache, and the maps that were looked at so far."""

    frame: Frame
    guess: np.ndarray | None
    cache: FrameCache
    candidates: list[Candidate] = field(default_factory=list)

    def find(self, index: int) -> Candidate | None:
        """Return the candidate of a map by its index in the set; None if it has none yet."""
        return next((one for one in self.candidates if one.share.index == index), None)

    @property
    def answered(self) -> list[Candidate]:
        """Candidates that have answered."""
        return [one for one in self.candidates if one.given is not None]

    @property
    def answers(self) -> list[Answer]:
        """Answers so far."""
        return [one.given for one in self.candidates if one.given is not None]

    @property
    def shows_nothing(self) -> bool:
        """True if the image shows nothing, in any map."""
        return any(one.given is not None and one.shows_nothing for one in self.candidates)


def ordered(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Return candidates, given with the most similar first, with the most likely first.

    By the soft inliers of their hypotheses, as in ESAC; by features where these are too few. Once
    a map has a clear score, only those are screened that are hardly less similar: places that look
    alike are alike to the gate as well.
    """
    if len(candidates) < 2:
        return list(candidates)
    best = 0.0
    for one in candidates:
        if best and one.share.probability < RIVAL_PROBABILITY * best:
            break
        one.screen()
        if one.score >= CLEAR_SCORE:
            best = max(best, one.share.probability)
    if best:
        return sorted(candidates, key=lambda one: one.score, reverse=True)
    return sorted(candidates, key=lambda one: (one.feature_inliers, one.score), reverse=True)


def decided_by_features(answer: Answer) -> bool:
    """Return True if enough features decided: then a rival's features tell as much."""
    return answer.localization.statistics.feature_inliers >= ENOUGH
