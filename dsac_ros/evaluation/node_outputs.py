# SPDX-License-Identifier: Apache-2.0
"""Recorded outputs of a relocalizer node, joined with the frames sent to it.

The events are those of `nodes/output_recorder.py`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dsac_ros.errors import SourceError
from dsac_ros.geometry.covariance import covariance_at
from dsac_ros.metrics import twist_error
from dsac_ros.sources.poses import poses_from_rows
from dsac_ros.types import Localization, PoseStatistics, Result

NO_OUTPUT = 'the node published no output for this frame'


def read_events(path: Path) -> list[dict[str, Any]]:
    """Read what the output recorder wrote; a last line that was cut short is left out.

    Raises:
        SourceError: the file holds something else.
    """
    lines = path.read_text(encoding='utf-8', errors='replace').splitlines(keepends=True)
    events = []
    for number, line in enumerate(lines, 1):
        if number == len(lines) and not line.endswith('\n'):
            break
        try:
            event = json.loads(line)
            events.append({**event, 'event': event['event'], 'stamp_ns': event['stamp_ns']})
        except (ValueError, TypeError, KeyError, RecursionError):
            raise SourceError(
                f'{path}, line {number} is {line.strip()[:60]!r}, expected an output of a node as '
                '`dsac run output_recorder` writes it'
            ) from None
    return events


def poses_by_stamp(events: Iterable[Mapping[str, Any]], kind: str) -> dict[int, np.ndarray]:
    """Return the poses (4, 4) of the events of one kind, by the image's stamp."""
    chosen = [event for event in events if event['event'] == kind]
    if not chosen:
        return {}
    poses = poses_from_rows(np.array([event['row'] for event in chosen], dtype=float))
    return {event['stamp_ns']: pose for event, pose in zip(chosen, poses)}


def localizations_from_events(
    events: Sequence[Mapping[str, Any]],
    stamps_ns: Sequence[int],
) -> list[Localization]:
    """Return one localization of the camera per frame sent; a missing output is an error."""
    statuses = {event['stamp_ns']: event for event in events if event['event'] == 'status'}
    cameras = poses_by_stamp(events, 'camera_pose')
    bases = poses_by_stamp(events, 'pose')
    localizations = []
    for index, stamp in enumerate(stamps_ns):
        name = f'{index:06d}'
        status = statuses.get(stamp)
        if status is None:
            localizations.append(Localization(Result.ERROR, NO_OUTPUT, stamp, name))
            continue
        camera, base = cameras.get(stamp), bases.get(stamp)
        covariance = None
        if camera is not None and base is not None:
            # The status has the covariance of the base; the ground truth is that of the camera.
            covariance = covariance_at(
                np.reshape(status['covariance'], (6, 6)), camera[:3, 3] - base[:3, 3]
            )
        localizations.append(
            Localization(
                Result(status['result']),
                status['reason'],
                stamp,
                name,
                camera,
                covariance,
                PoseStatistics(
                    inlier_ratio=status['inlier_ratio'],
                    inlier_count=status['inlier_count'],
                    hypothesis_agreement=status['agreement'],
                ),
                reprojection_error_px=status['reprojection_error_px'],
                confidence=status['confidence'],
                timings_ms={'inference': status['inference_ms']},
            )
        )
    return localizations


def largest_difference(events: Sequence[Mapping[str, Any]]) -> tuple[int, float]:
    """Compare the poses of PoseStamped and TF messages.

    Returns:
        The number of poses present in both, and their largest difference [m, rad].
    """
    poses, transforms = (poses_by_stamp(events, kind) for kind in ('pose', 'tf'))
    shared = poses.keys() & transforms.keys()
    return len(shared), max(
        (float(np.abs(twist_error(poses[stamp], transforms[stamp])).max()) for stamp in shared),
        default=0.0,
    )
