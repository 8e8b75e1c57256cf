# SPDX-License-Identifier: Apache-2.0
"""Thresholds on poses that nothing but scene coordinates verifies."""

from __future__ import annotations

from typing import Any

import numpy as np

from dsac_ros.mapping.acceptance.observations import Observations

#: Inlier ratios below this are all the same: nothing.
LEAST_RATIO = 1e-3
#: Right frames that a threshold must accept to mean anything.
FEWEST_RIGHT = 3
#: Of what shows no place of the map: other such frames have more.
MARGIN = 1.5
#: Of the held-out frames above the threshold at most this share may be wrong; above the last of
#: those that are, by so much.
MOST_WRONG, ABOVE_WRONG = 0.05, 1.2


def coordinate_thresholds(
    seen: Observations, correct: np.ndarray, nothing: float
) -> dict[str, Any]:
    """Return fields of an AcceptanceModel: thresholds between right frames and `nothing`.

    nothing: inlier ratio of frames that show no place of the map.
    correct (F,): whose pose by scene coordinates alone is right, since these are what is judged.
    Nearer to the negatives than to the right frames: queries come from further away than a
    held-out block does. Where the two overlap, a refusal is the smaller harm, and a map that
    accepts fewer than FEWEST_RIGHT of the right frames accepts nothing by scene coordinates.
    """
    ratios = seen.column('inlier_ratio')
    counts = {'checked': len(seen), 'right_alone': int(correct.sum())}
    if not correct.any():
        ratio = above_the_wrong(nothing, ratios, correct)
        return {**counts, 'accepts_alone': False, 'min_inlier_ratio': ratio}
    lowest = float(np.quantile(ratios[correct], 0.01))
    if nothing < lowest:
        ratio = nothing ** (2 / 3) * lowest ** (1 / 3)
    else:
        ratio = min(1.05 * nothing, float(np.median(ratios[correct])))
    ratio = above_the_wrong(max(ratio, MARGIN * nothing), ratios, correct)
    cells = np.median(
        seen.column('inlier_count')[correct] / np.maximum(ratios[correct], LEAST_RATIO)
    )
    halves = {
        name: float(np.quantile(values[correct], 0.01) / 2)
        for name, values in (
            ('spread', seen.column('inlier_spread')),
            ('agreement', seen.column('hypothesis_agreement')),
        )
    }
    return {
        **counts,
        'accepts_alone': int(correct[ratios >= ratio].sum()) >= FEWEST_RIGHT,
        'min_inlier_ratio': float(ratio),
        'min_inliers': int(max(20, 0.5 * ratio * cells)),
        'min_spread': min(0.25, halves['spread']),
        'min_agreement': min(0.5, halves['agreement']),
    }


def above_the_wrong(threshold: float, ratio: np.ndarray, correct: np.ndarray) -> float:
    """The threshold, raised until hardly any frame (F,) that passes it is wrong."""
    for limit in (threshold, *np.sort(ABOVE_WRONG * ratio[~correct])):
        passing = ratio >= limit
        if limit >= threshold and (1.0 - correct[passing]).sum() <= MOST_WRONG * passing.sum():
            return float(min(limit, 1.0))
    return 1.0
