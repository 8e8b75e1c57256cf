# SPDX-License-Identifier: Apache-2.0
"""The worst frames of an evaluation, and what went wrong with them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from dsac_ros.metrics import Report
from dsac_ros.types import Localization

WORST = 5


def worst_rows(report: Report, count: int = WORST) -> list[int]:
    """Return the indices of the worst frames, the worst first.

    False accepts come before all others, since a robot would have used them; then the largest
    error of a position, where a frame without an estimate has an infinite one.
    """
    order = np.lexsort((-report.rotation_deg, -report.translation_m, ~report.false_accepts()))
    return [int(row) for row in order[:count]]


def frame_values(
    row: int,
    localizations: Sequence[Localization],
    report: Report,
    distance: np.ndarray | None = None,
) -> dict[str, Any]:
    """Return all that is known about a frame.

    Args:
        row: index of the frame.
        localizations: of all frames.
        report: their errors.
        distance: (F,) of each frame to the nearest mapping frame [m]; None if unknown.
    """
    found = localizations[row]
    return {
        'name': report.names[row],
        'stamp_ns': found.stamp_ns,
        'result': found.result.name,
        'reason': found.reason,
        'false_accept': bool(report.false_accepts()[row]),
        'translation_m': float(report.translation_m[row]),
        'rotation_deg': float(report.rotation_deg[row]),
        'confidence': float(report.confidence[row]),
        'sigma_m': float(report.sigma_m[row]),
        'position_nees': float(report.position_mahalanobis[row]),
        'pose_nees': float(report.mahalanobis[row]),
        'mapping_distance_m': math.nan if distance is None else float(distance[row]),
        **asdict(found.statistics),
    }


def what_went_wrong(values: dict[str, Any], median_distance_m: float = math.nan) -> str:
    """Say in words what `frame_values` tells about a frame.

    median_distance_m: of all frames to the nearest mapping frame.
    """
    if values['false_accept']:
        parts = ['accepted, though wrong']
    elif values['result'] == 'ACCEPTED':
        parts = ['accepted']
    else:
        parts = [f'refused, {values["result"]}: {values["reason"]}']
    if not math.isfinite(values['translation_m']):
        parts.append('no estimate at all')
    elif math.isfinite(values['position_nees']):
        parts.append(
            f'its position is {math.sqrt(values["position_nees"]):.1f} standard deviations off'
        )
    parts.append(evidence(values))
    if values['contradicted']:
        parts.append('landmarks and features tell different views')
    if math.isfinite(values['mapping_distance_m']):
        parts.append(
            f'{values["mapping_distance_m"]:.2f} m from the nearest mapping frame '
            f'(median of all frames: {median_distance_m:.2f} m)'
        )
    return '; '.join(parts)


def evidence(values: dict[str, Any]) -> str:
    """Say which evidence there is for a pose; what is 0 was not found or not looked for."""
    parts = []
    if values['feature_inliers']:
        parts.append(f'{values["feature_inliers"]} features')
    if values['visible_inlier_ratio']:
        parts.append(f'{values["visible_inlier_ratio"]:.0%} of the visible landmarks')
    if values['inlier_count']:
        spread = values['inlier_spread']
        where = f' over {spread:.0%} of the image' if spread else ''
        parts.append(f'{values["inlier_count"]} cells ({values["inlier_ratio"]:.0%}){where}')
    return f'evidence: {", ".join(parts) or "none"}'


def worst_frames(
    localizations: Sequence[Localization], report: Report, distance: np.ndarray | None = None
) -> list[dict[str, Any]]:
    """Return `frame_values` of the worst frames with `what` went wrong in words."""
    middle = math.nan if distance is None or not len(distance) else float(np.median(distance))
    found = (frame_values(row, localizations, report, distance) for row in worst_rows(report))
    return [{**values, 'what': what_went_wrong(values, middle)} for values in found]
