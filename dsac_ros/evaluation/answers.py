# SPDX-License-Identifier: Apache-2.0
"""What was heard from a relocalizer node, joined with the frames it was asked about.

The events are those of `nodes/answer_recorder.py`.
"""
from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from dsac_ros.geometry.covariance import covariance_at
from dsac_ros.metrics import twist_error
from dsac_ros.sources.poses import poses_from_rows
from dsac_ros.types import Localization, PoseStatistics, Result

UNANSWERED = 'the node gave no answer to this frame'


def poses_by_stamp(events: Iterable[Mapping[str, Any]], kind: str) -> dict[int, np.ndarray]:
    """The poses (4, 4) of the events of one kind, by the image's stamp."""
    chosen = [event for event in events if event['event'] == kind]
    if not chosen:
        return {}
    poses = poses_from_rows(np.array([event['row'] for event in chosen], dtype=float))
    return {event['stamp_ns']: pose for event, pose in zip(chosen, poses)}


def localizations_heard(events: Sequence[Mapping[str, Any]], stamps_ns: Sequence[int],
                        ) -> list[Localization]:
    """One localization of the camera per frame sent; a frame without an answer is an error."""
    statuses = {event['stamp_ns']: event for event in events if event['event'] == 'status'}
    cameras = poses_by_stamp(events, 'camera_pose')
    bases = poses_by_stamp(events, 'pose')
    heard = []
    for index, stamp in enumerate(stamps_ns):
        name = f'{index:06d}'
        status = statuses.get(stamp)
        if status is None:
            heard.append(Localization(Result.ERROR, UNANSWERED, stamp, name))
            continue
        camera, base = cameras.get(stamp), bases.get(stamp)
        covariance = None
        if camera is not None and base is not None:
            # The status speaks of the base; the truth is known of the camera.
            covariance = covariance_at(np.reshape(status['covariance'], (6, 6)),
                                       camera[:3, 3] - base[:3, 3])
        heard.append(Localization(
            Result(status['result']), status['reason'], stamp, name, camera, covariance,
            PoseStatistics(inlier_ratio=status['inlier_ratio'],
                           inlier_count=status['inlier_count'],
                           hypothesis_agreement=status['agreement']),
            reprojection_error_px=status['reprojection_error_px'],
            confidence=status['confidence'],
            timings_ms={'inference': status['inference_ms']}))
    return heard


def largest_difference(events: Sequence[Mapping[str, Any]]) -> tuple[int, float]:
    """How many poses came both as PoseStamped and in TF, and by how much [m, rad] they differ."""
    poses, transforms = (poses_by_stamp(events, kind) for kind in ('pose', 'tf'))
    shared = poses.keys() & transforms.keys()
    return len(shared), max((float(np.abs(twist_error(poses[stamp], transforms[stamp])).max())
                             for stamp in shared), default=0.0)
