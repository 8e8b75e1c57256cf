# SPDX-License-Identifier: Apache-2.0
"""Thresholds of errors in metres or in shares of the scene's depth, such as `0.05/5` or `2%/5`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from dsac_ros.metrics import RECALL_LIMITS, Limits, recall_key

NUMBER = r'\d+\.?\d*(?:e-?\d+)?'
THRESHOLD = re.compile(rf'({NUMBER})(m|%)?/({NUMBER})(?:deg)?')
EXPECTED = 'expected METRES/DEGREES such as 0.05/5, or a share of the depth such as 2%/5'


@dataclass(frozen=True)
class Threshold:
    """Largest errors of a position, in metres or percent of the depth, and of a rotation."""

    size: float
    is_share: bool
    degrees: float

    def metres(self, depth: float) -> float:
        """Return the size [m] in a scene of this median depth [m]; NaN for a share of NaN."""
        return self.size / 100 * depth if self.is_share else self.size

    @property
    def key(self) -> str:
        """Name of a recall in the JSON: '0.05m_5deg', '2%_5deg'."""
        if self.is_share:
            return f'{self.size:g}%_{self.degrees:g}deg'
        return recall_key(self.size, self.degrees)


def parse_threshold(text: str) -> Threshold:
    """Parse `0.05/5`, `0.05m/5deg` or `2%/5`.

    Raises:
        ValueError: it is something else.
    """
    match = THRESHOLD.fullmatch(text.strip())
    if not match:
        raise ValueError(f'{text!r} is no threshold; {EXPECTED}')
    return Threshold(float(match[1]), match[2] == '%', float(match[3]))


def parse_thresholds(text: str) -> tuple[Threshold, ...]:
    """Parse thresholds separated by commas. Raises ValueError."""
    return tuple(parse_threshold(part) for part in text.split(','))


def limits_of(
    depth: float, wanted: Sequence[Threshold] = (), false_accept: Threshold | None = None
) -> Limits:
    """Return the limits of an evaluation in metres.

    Args:
        depth: median depth of the scene [m].
        wanted: recalls beside those of RECALL_LIMITS, which every report has.
        false_accept: errors beyond which an accepted pose is wrong; None for the usual ones.
    """
    recall = {recall_key(*limit): limit for limit in RECALL_LIMITS}
    recall |= {one.key: (one.metres(depth), one.degrees) for one in wanted}
    if false_accept is None:
        return Limits(recall, depth=depth)
    return Limits(recall, (false_accept.metres(depth), false_accept.degrees), depth)
