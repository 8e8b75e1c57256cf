# SPDX-License-Identifier: Apache-2.0
"""What a map knows of its own errors: when to trust a pose, how sure it is, how far off it is.

Fitted by `mapping.calibration` on frames held out of the mapping; applied by the localizer.
"""
from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace
from typing import Any

import numpy as np

from dsac_ros.config import AcceptConfig
from dsac_ros.types import Result

#: Inlier ratios below this are all the same: nothing.
LEAST_RATIO = 1e-3
#: Of the scene's depth: standard deviation of a position where nothing was measured.
UNMEASURED_SHARE = 0.01
#: Where a map does not tell poses of scene coordinates alone apart, whose numbers they have.
ALONE = {'alone_scale': 'covariance_scale', 'alone_floor_m': 'floor_m',
         'alone_floor_rad': 'floor_rad'}


@dataclass(frozen=True)
class Calibration:
    """The defaults serve maps too small to hold frames out.

    covariance = covariance_scale * (the refinement's) + diag(floor_m^2, floor_rad^2) where
    landmarks or features confirm a pose, with alone_scale, .. where it is of scene coordinates
    alone; confidence = sigmoid(bias + weights . (log inlier ratio, spread, agreement, landmark
    share)), where as many features as are asked count as the share of landmarks that is asked.
    clear_ratio: share of all landmarks in view from which on features are not asked, though they
    might give a better pose; 0 where features of this place hardly ever tell one.
    features_first: poses by scene coordinates are seldom right enough to be refined, so that
    features are asked before them.
    focal_error: relative error of the focal lengths that the map was learned with, 0 where images
    fit theirs; queries with the same errors are right in this map.
    """

    covariance_scale: float = 10.0
    floor_m: float = 0.02
    floor_rad: float = 0.01
    alone_scale: float = 10.0
    alone_floor_m: float = 0.02
    alone_floor_rad: float = 0.01
    confidence_bias: float = 4.0
    weight_log_ratio: float = 3.0
    weight_spread: float = 2.0
    weight_agreement: float = 1.0
    weight_share: float = 4.0
    min_inlier_ratio: float = 0.1
    min_inliers: int = 40
    min_spread: float = 0.1
    min_agreement: float = 0.0
    min_landmark_share: float = 0.35
    min_matches: int = 12
    clear_ratio: float = 0.7
    features_first: bool = False
    focal_error: float = 0.0

    @classmethod
    def from_dict(cls, values: dict[str, Any] | None) -> Calibration:
        """What `as_dict` gave; names that this version does not know are left out.

        Of a map that does not tell poses of scene coordinates alone apart, they are like others.
        """
        values, known = values or {}, {f.name for f in fields(cls)}
        values = {alone: values[name] for alone, name in ALONE.items() if name in values} | values
        return cls(**{name: value for name, value in values.items() if name in known})

    @classmethod
    def unmeasured(cls, depth: float) -> Calibration:
        """Of a map too small to hold frames out, of a scene seen from about `depth` [m]."""
        return cls(floor_m=UNMEASURED_SHARE * depth, alone_floor_m=UNMEASURED_SHARE * depth)

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for the map's header."""
        return asdict(self)

    def overridden(self, accept: AcceptConfig) -> Calibration:
        """With the thresholds of `accept` that are not negative in place of the map's."""
        known = {field.name for field in fields(self)}
        return replace(self, **{k: v for k, v in asdict(accept).items() if v >= 0 and k in known})

    def covariance(self, raw: np.ndarray, share: float, matches: int = 0) -> np.ndarray:
        """Covariance (6, 6) [m, rad] of real errors, from the refinement's.

        Of a pose at which this share of the landmarks looks as it should, or with which so many
        features agree.
        """
        if self.convincing(share) or self.agreeing(matches):
            return widened(raw, self.covariance_scale, self.floor_m, self.floor_rad)
        return widened(raw, self.alone_scale, self.alone_floor_m, self.alone_floor_rad)

    def confidence(self, inlier_ratio: Any, spread: Any, agreement: Any, share: Any = 0.0,
                   matches: Any = 0) -> Any:
        """How surely a pose with this evidence is right, in [0, 1]."""
        confirmed = self.min_landmark_share * np.asarray(matches) / max(1, self.min_matches)
        exponent = (self.confidence_bias
                    + self.weight_log_ratio * np.log(np.maximum(inlier_ratio, LEAST_RATIO))
                    + self.weight_spread * np.asarray(spread)
                    + self.weight_agreement * np.asarray(agreement)
                    + self.weight_share * np.maximum(share, confirmed.clip(max=1.0)))
        return 1 / (1 + np.exp(-np.clip(exponent, -50, 50)))

    def convincing(self, share: float) -> bool:
        """Whether landmarks alone confirm a pose: this share of them looks as it should."""
        return share > 0 and share >= self.min_landmark_share

    def agreeing(self, matches: int) -> bool:
        """Whether features alone confirm a pose: so many of the image's agree with it."""
        return matches > 0 and matches >= self.min_matches

    def verdict(self, inlier_ratio: float, inlier_count: int, spread: float, agreement: float,
                share: float = 0.0, matches: int = 0) -> tuple[Result, str]:
        """ACCEPTED, or the first condition that fails, with its numbers.

        Where enough landmarks look as they should, or enough features agree, that alone decides;
        where they do not, or the map has none in view, the scene coordinates must speak for
        themselves.
        """
        if self.convincing(share) or self.agreeing(matches):
            return Result.ACCEPTED, ''
        if inlier_ratio < self.min_inlier_ratio or inlier_count < self.min_inliers:
            return Result.LOW_INLIERS, (
                f'{inlier_count} inliers ({inlier_ratio:.1%} of the cells), expected at least '
                f'{self.min_inliers} and {self.min_inlier_ratio:.1%}; or {share:.0%} of the '
                f'landmarks, expected {self.min_landmark_share:.0%}; or {matches} features, '
                f'expected {self.min_matches}')
        if spread < self.min_spread:
            return Result.LOW_SPREAD, (f'the inliers cover {spread:.0%} of the image, expected at '
                                       f'least {self.min_spread:.0%}')
        if agreement < self.min_agreement:
            return Result.AMBIGUOUS, (f'{agreement:.0%} of the refined hypotheses agree with the '
                                      f'best, expected at least {self.min_agreement:.0%}')
        return Result.ACCEPTED, ''


def widened(raw: np.ndarray, scale: float, floor_m: float, floor_rad: float) -> np.ndarray:
    """Covariances (..., 6, 6): scale * raw + diag(floor_m^2, floor_rad^2)."""
    symmetric = (raw + np.swapaxes(raw, -1, -2)) / 2
    wide: np.ndarray = scale * symmetric + np.diag(np.repeat([floor_m ** 2, floor_rad ** 2], 3))
    return wide
