# SPDX-License-Identifier: Apache-2.0
"""Checks of a map file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dsac_ros.errors import DsacError
from dsac_ros.nodes.doctor.finding import Finding, fail, ok, warn

#: Frames that a room needs to be seen from most places.
MIN_FRAMES = 30
MIN_RECALL = 0.8
RECALL = '0.25m_2deg'


def map_findings(path: Path, map_frame: str) -> tuple[list[Finding], dict[str, Any]]:
    """Load a map as the node does.

    Args:
        path: of the map.
        map_frame: frame in which the node will give poses.

    Returns:
        The findings, and its header; {} if it cannot be read.
    """
    from dsac_ros.systems.loading import load_localizer
    from dsac_ros.systems.refusal import refusal

    try:
        header = load_localizer(path, 'cpu').map.header
    except (DsacError, OSError) as error:
        return [fail('map', str(error))], {}
    frames = int(header.get('frames', 0))
    text = (
        f'{path}, {path.stat().st_size / 1e6:.1f} MB, {frames} frames, poses in '
        f'{header.get("map_frame", "?")!r}'
    )
    few = f'{text}; expected {MIN_FRAMES} frames or more, from all over the place'
    learned_in = str(header.get('map_frame', map_frame))
    return [
        *(
            [
                warn(
                    'map frame',
                    f'poses of the map are in {learned_in!r}, expected {map_frame!r}: set '
                    'map_frame, or map_alignment where the frames differ',
                )
            ]
            if learned_in != map_frame and not has_floors(header)
            else []
        ),
        warn('map', few) if frames < MIN_FRAMES else ok('map', text),
        fail('map accuracy', useless)
        if (useless := refusal(header))
        else accuracy_finding(header.get('held_out') or {}),
    ], header


def has_floors(header: dict[str, Any]) -> bool:
    """Return True of a map set whose maps have several frames: it names the frame of each pose."""
    return len({one['frame'] for one in header.get('maps') or []}) > 1


def accuracy_finding(held_out: dict[str, Any]) -> Finding:
    """Judge the map by the frames that were held out of it."""
    subject = 'map accuracy'
    recall = (held_out.get('recall') or {}).get(RECALL)
    if recall is None:
        return warn(
            subject,
            'not measured, as no frames were held out: `dsac evaluate` does, on another drive',
        )
    false_accepts = int(held_out.get('false_accepts') or 0)
    text = (
        f'{recall:.0%} of {held_out.get("frames")} held-out frames within 0.25 m and 2 deg, '
        f'{false_accepts} false accepts'
    )
    if false_accepts:
        return warn(subject, f'{text}: look at them with `dsac evaluate --report`')
    if recall < MIN_RECALL:
        return warn(subject, f'{text}: record more views, at more places (docs/tuning.md)')
    return ok(subject, text)
