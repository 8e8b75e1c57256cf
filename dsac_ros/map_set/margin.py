# SPDX-License-Identifier: Apache-2.0
"""Margin between the poses of an image in several maps: rooms that look alike are told apart.

A pose that is right and one in a room that looks the same are both verified by their own maps, so
no threshold of one map can tell them apart. What can is the difference of what agrees with them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from dsac_ros.decision import SAME_VIEW, refused
from dsac_ros.geometry.se3 import same_view
from dsac_ros.map_set.file import MapEntry
from dsac_ros.query import Query
from dsac_ros.trace import Trace
from dsac_ros.types import Localization, Result

FEW_FEATURES = 20  # inliers of both poses below which features do not tell them apart
# A pose with less than this share of the other one's features is of another place: no difference
# in how densely two maps of look-alike rooms were learned explains it.
OTHER_PLACE = 0.25
# Landmarks of a look-alike that an image must contradict, less those of the winner: in identical
# rooms it contradicted none (26 images of 3 pairs of rendered rooms), where one print of seven
# differed 5 to 9 in 5 of 16 images.
LEAST_CONTRADICTIONS = 5


@dataclass(frozen=True)
class Evidence:
    """Agreement of an image with its best pose in one map, comparable between maps.

    features: inliers among the local features. landmarks: inlier ratio of all landmarks in view;
    occluded ones count, since a print that hangs elsewhere looks like an occlusion. scene: inlier
    ratio of the scene coordinates. confidence: for a map of another system.
    """

    features: int = 0
    landmarks: float = 0.0
    scene: float = 0.0
    confidence: float = 0.0

    @classmethod
    def of(cls, query: Query | None, found: Localization) -> Evidence:
        """Collect the evidence of a frame in a map; without a query that of its answer."""
        if query is None:
            return cls(confidence=found.confidence)
        features = query.features
        return cls(
            int(features.estimate.inlier_count[0]) if features is not None else 0,
            max((one.verification.inlier_ratio for one in query.alignments), default=0.0),
            float(query.estimate.inlier_ratio[0]) if query.estimate is not None else 0.0,
            found.confidence,
        )

    @property
    def strength(self) -> tuple[int, float, float, float]:
        """Values by which answers are ordered that no margin tells apart."""
        return self.features, self.landmarks, self.scene, self.confidence

    def margin_over(self, other: Evidence) -> float:
        """Return the margin by which this exceeds another one: 1 at most, 0 or less for none.

        Numbers of features depend on how densely a map was learned; which share of its landmarks
        an image contradicts does not. So where both maps have features that agree, landmarks tell:
        the margin is the difference of their ratios.
        """
        if max(self.features, other.features) >= FEW_FEATURES:
            if other.features < OTHER_PLACE * self.features:
                return 1.0
            if self.features <= other.features:
                return min(0.0, self.landmarks - other.landmarks)
        if self.landmarks or other.landmarks:
            return self.landmarks - other.landmarks
        return (self.scene - other.scene) or (self.confidence - other.confidence)


@dataclass(frozen=True)
class Answer:
    """Answer of one map of a set for a frame, and the evidence for its pose."""

    entry: MapEntry
    trace: Trace
    evidence: Evidence

    @property
    def localization(self) -> Localization:
        """The pose in this map, accepted or not."""
        return self.trace.localization


def with_margin(winner: Answer, others: Sequence[Answer], margin: float) -> Answer:
    """Refuse an accepted answer as AMBIGUOUS where a pose in another map fits nearly as well.

    Maps of one frame that tell one view agree: they overlap. The candidates of a refused answer
    begin with the two poses.
    """
    rivals = [
        one
        for one in others
        if one.localization.world_from_camera is not None and not tell_one_view(winner, one)
    ]
    if not rivals:
        return winner
    rival = min(rivals, key=lambda one: winner.evidence.margin_over(one.evidence))
    found = winner.evidence.margin_over(rival.evidence)
    if found >= margin:
        return winner
    reason = (
        f'the image fits map {winner.entry.id!r} and map {rival.entry.id!r} by a margin of '
        f'{found:.0%}, expected {margin:.0%}: places that look alike, and nothing else tells which'
    )
    return ambiguous(winner, rival.localization.world_from_camera, reason)


def ambiguous(winner: Answer, rival_pose: np.ndarray | None, reason: str) -> Answer:
    """Refuse an answer as AMBIGUOUS; its candidates begin with both poses (4, 4)."""
    poses = [one for one in (winner.localization.world_from_camera, rival_pose) if one is not None]
    trace = replace(
        winner.trace,
        localization=refused(winner.localization, Result.AMBIGUOUS, reason),
        candidates=(*poses, *winner.trace.candidates[1:]),
    )
    return replace(winner, trace=trace)


def doubtful(answer: Answer) -> Answer:
    """Refuse an accepted answer that is not clear, of a map of which the gate is not sure."""
    found = answer.localization
    reason = (
        f'map {answer.entry.id!r} is one of several that the image may show, and '
        f'{found.statistics.visible_inlier_ratio:.0%} of its landmarks and '
        f'{found.statistics.feature_inliers} features are too few to tell it from the others'
    )
    refusal = refused(found, Result.LOW_INLIERS, reason)
    return replace(answer, trace=replace(answer.trace, localization=refusal))


def tell_one_view(one: Answer, other: Answer) -> bool:
    """Return True if the poses of two maps of one frame are the same view."""
    first, second = one.localization.world_from_camera, other.localization.world_from_camera
    if one.entry.frame != other.entry.frame or first is None or second is None:
        return False
    depth = min(one.entry.depth, other.entry.depth)
    return same_view(torch.from_numpy(first), torch.from_numpy(second), SAME_VIEW, depth)
