# SPDX-License-Identifier: Apache-2.0
"""Acceptance model of a map: when to trust a pose, and its covariance.

Fitted by `mapping.acceptance.fit` on frames held out of the mapping; applied by `decision`.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

import numpy as np

from dsac_ros.config import AcceptConfig
from dsac_ros.types import PoseStatistics, Result

#: Features that landmarks contradict verify a pose if there are so many times those asked for: of
#: 15 such poses in fourteen places seven of the twelve below were wrong, and none above.
CONTRADICTION = 1.7
#: Visible inlier ratio that no image has: landmarks verify nothing in a place that is its own
#: mirror image.
NEVER = 1.0
#: In place of a threshold that asks for nothing.
TINY = 1e-9
#: Of the scene's depth: standard deviation of a position where nothing was measured.
UNMEASURED_SHARE = 0.01
#: Where a map does not tell poses of scene coordinates alone apart, whose numbers they have.
ALONE = {
    'alone_scale': 'covariance_scale',
    'alone_floor_m': 'floor_m',
    'alone_floor_rad': 'floor_rad',
}


@dataclass(frozen=True)
class AcceptanceModel:
    """Thresholds and covariance of poses; the defaults serve maps too small to fit it.

    covariance = covariance_scale * (that of the refinement) + diag(floor_m^2, floor_rad^2) where
    landmarks or features verify a pose, with alone_scale, .. where only scene coordinates do.
    is_measured: the covariance was fitted to errors; otherwise it is one that they hardly exceed.
    right_share: of the held-out frames that were accepted, how many are right, as a factor on the
    confidence (`confidence.py`).
    min_joint_evidence: of landmarks and features that tell one view (`joint_evidence`); as much as
    1 of either alone.
    clear_ratio: inlier ratio of all landmarks in view from which on features are not matched,
    though they might improve the pose; 0 where features of this place hardly ever verify one.
    features_first: poses by scene coordinates are seldom good enough to be aligned, so features
    are matched first.
    accepts_alone: False of a map that was right by scene coordinates alone in too few of the
    frames that it was checked on: they verify nothing, whatever their number. checked,
    right_alone: number of these frames, and of those that were right.
    focal_error: relative error of the focal lengths that the map was learned with, 0 where images
    fit theirs; queries with the same errors are right in this map.
    fitted: the model as the map has it, where the user has set thresholds in its place; it stands
    in no header.
    """

    covariance_scale: float = 10.0
    floor_m: float = 0.02
    floor_rad: float = 0.01
    alone_scale: float = 10.0
    alone_floor_m: float = 0.02
    alone_floor_rad: float = 0.01
    is_measured: bool = True
    right_share: float = 1.0
    min_inlier_ratio: float = 0.1
    min_inliers: int = 40
    min_spread: float = 0.1
    min_agreement: float = 0.0
    min_visible_inlier_ratio: float = 0.35
    min_feature_inliers: int = 12
    min_joint_evidence: float = 1.2
    clear_ratio: float = 0.7
    features_first: bool = False
    accepts_alone: bool = True
    checked: int = 0
    right_alone: int = 0
    focal_error: float = 0.0
    fitted: AcceptanceModel | None = field(default=None, repr=False)

    @classmethod
    def from_dict(cls, values: dict[str, Any] | None) -> AcceptanceModel:
        """Invert `as_dict`; names that this version does not know are ignored.

        Of a map that has no values for poses by scene coordinates alone, the other ones serve.
        """
        values, known = values or {}, {f.name for f in fields(cls)} - {'fitted'}
        values = {alone: values[name] for alone, name in ALONE.items() if name in values} | values
        return cls(**{name: value for name, value in values.items() if name in known})

    @classmethod
    def of_header(cls, header: dict[str, Any]) -> AcceptanceModel:
        """Return the model of a map's header; without one nothing was measured."""
        values = header.get('acceptance')
        return cls.from_dict(values) if values else cls(is_measured=False)

    @classmethod
    def unmeasured(cls, depth: float) -> AcceptanceModel:
        """Return the model of a map too small to hold frames out; depth: of its scene [m]."""
        floor_m = UNMEASURED_SHARE * depth
        return cls(floor_m=floor_m, alone_floor_m=floor_m, is_measured=False)

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for the map's header."""
        return asdict(replace(self, fitted=None), dict_factory=_without_fitted)

    def overridden(self, accept: AcceptConfig) -> AcceptanceModel:
        """Replace thresholds by those of `accept` that are not negative.

        A ratio of inliers that the user asks for stands above `accepts_alone`, too.
        """
        known = {field.name for field in fields(self)}
        given = {k: v for k, v in asdict(accept).items() if v >= 0 and k in known}
        if 'min_inlier_ratio' in given:
            given['accepts_alone'] = True
        return replace(self, **given, fitted=self.fitted or self) if given else self

    def accepted_by_landmarks(self, statistics: PoseStatistics) -> bool:
        """Return True if landmarks alone verify the pose."""
        ratio = statistics.visible_inlier_ratio
        return ratio > 0 and ratio >= self.min_visible_inlier_ratio

    def accepted_by_features(self, statistics: PoseStatistics) -> bool:
        """Return True if local features alone verify the pose."""
        count = statistics.feature_inliers
        return count > 0 and count >= self.min_feature_inliers

    def decided_by_features(self, statistics: PoseStatistics) -> bool:
        """Return True if so many features agree that landmarks change no verdict."""
        return statistics.feature_inliers >= max(CONTRADICTION * self.min_feature_inliers, 1.0)

    @property
    def matches_features_first(self) -> bool:
        """True if features are matched before anything else: nothing else verifies most poses."""
        return self.features_first or self.min_visible_inlier_ratio >= NEVER

    def joint_evidence(self, statistics: PoseStatistics) -> float:
        """Return the evidence of landmarks and features for the one view that they tell.

        The sum of both, each as a multiple of what is asked for where it decides alone; 0 where
        they tell two views, or where landmarks verify nothing in this place.
        """
        s = statistics
        if not s.agreeing or self.min_visible_inlier_ratio >= NEVER:
            return 0.0
        ratio = s.visible_inlier_ratio / max(self.min_visible_inlier_ratio, TINY)
        return ratio + s.feature_inliers / max(self.min_feature_inliers, TINY)

    def accepted_jointly(self, statistics: PoseStatistics) -> bool:
        """Return True if landmarks and features together verify the pose."""
        return self.joint_evidence(statistics) >= self.min_joint_evidence

    def verified(self, statistics: PoseStatistics) -> bool:
        """Return True if landmarks, features or both together verify the pose."""
        return (
            self.accepted_by_landmarks(statistics)
            or self.accepted_by_features(statistics)
            or self.accepted_jointly(statistics)
        )

    def nothing_alone(self) -> str:
        """Return why scene coordinates alone verify no pose in this map."""
        return (
            f'scene coordinates were right in {self.right_alone} of {self.checked} frames that '
            'this map was checked on: alone they verify nothing in it'
        )

    def covariance(self, raw: np.ndarray, statistics: PoseStatistics) -> np.ndarray:
        """Return the covariance (6, 6) [m, rad] of real errors, from that of the refinement."""
        if self.verified(statistics):
            return widened(raw, self.covariance_scale, self.floor_m, self.floor_rad)
        return widened(raw, self.alone_scale, self.alone_floor_m, self.alone_floor_rad)

    def verdict(self, statistics: PoseStatistics) -> tuple[Result, str]:
        """Return ACCEPTED, or the first condition that fails, with its numbers.

        Enough feature inliers decide alone, and so do landmarks that features do not contradict,
        and fewer of both that tell one view; features that landmarks contradict must be many.
        Otherwise, or where the map has no landmarks in view, all conditions on the scene
        coordinates must hold.
        """
        s = statistics
        if self.verified(s):
            if not s.contradicted or self.decided_by_features(s):
                return Result.ACCEPTED, ''
            return Result.AMBIGUOUS, (
                f'{s.visible_inlier_ratio:.0%} of the landmarks fit one pose and '
                f'{s.feature_inliers} features another'
                if s.visible_inlier_ratio
                else f'{s.feature_inliers} features agree, expected '
                f'{math.ceil(CONTRADICTION * self.min_feature_inliers)} where the image does not '
                'show the landmarks that it should'
            )
        if not self.accepts_alone:
            return Result.LOW_INLIERS, (
                f'{self.nothing_alone()}; {s.visible_inlier_ratio:.0%} of the landmarks agree, '
                f'expected {self.min_visible_inlier_ratio:.0%}, or {s.feature_inliers} features, '
                f'expected {self.min_feature_inliers}'
            )
        if s.inlier_ratio < self.min_inlier_ratio or s.inlier_count < self.min_inliers:
            return Result.LOW_INLIERS, (
                f'{s.inlier_count} inliers ({s.inlier_ratio:.1%} of the cells), expected at least '
                f'{self.min_inliers} and {self.min_inlier_ratio:.1%}; or '
                f'{s.visible_inlier_ratio:.0%} of the landmarks, expected '
                f'{self.min_visible_inlier_ratio:.0%}; or {s.feature_inliers} features, expected '
                f'{self.min_feature_inliers}'
            )
        if s.inlier_spread < self.min_spread:
            return Result.LOW_SPREAD, (
                f'the inliers cover {s.inlier_spread:.0%} of the image, '
                f'expected at least {self.min_spread:.0%}'
            )
        if s.hypothesis_agreement < self.min_agreement:
            return Result.AMBIGUOUS, (
                f'{s.hypothesis_agreement:.0%} of the refined hypotheses '
                'agree with the best, expected at least '
                f'{self.min_agreement:.0%}'
            )
        return Result.ACCEPTED, ''


def _without_fitted(items: list[tuple[str, Any]]) -> dict[str, Any]:
    return {name: value for name, value in items if name != 'fitted'}


def widened(raw: np.ndarray, scale: float, floor_m: float, floor_rad: float) -> np.ndarray:
    """Return covariances (..., 6, 6): scale * raw + diag(floor_m^2, floor_rad^2)."""
    symmetric = (raw + np.swapaxes(raw, -1, -2)) / 2
    wide: np.ndarray = scale * symmetric + np.diag(np.repeat([floor_m**2, floor_rad**2], 3))
    return wide
