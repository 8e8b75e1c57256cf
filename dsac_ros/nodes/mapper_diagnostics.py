# SPDX-License-Identifier: Apache-2.0
"""Diagnostic statuses of the mapper; pure functions of a snapshot of its state."""

from __future__ import annotations

from dataclasses import dataclass

from diagnostic_msgs.msg import DiagnosticStatus

from dsac_ros.msg import MappingStatus
from dsac_ros.nodes.diagnostics import (
    ERROR,
    NOT_ACTIVE,
    OK,
    STALE,
    WARN,
    InputHealth,
    Judged,
    judge_input,
    status_of,
)


@dataclass(frozen=True)
class MapperSnapshot:
    """State of the mapper at one moment: its inputs and its last ~/status, None if inactive."""

    node: str
    inputs: InputHealth
    status: MappingStatus | None


def mapper_statuses(now: MapperSnapshot) -> list[DiagnosticStatus]:
    """Return the statuses input, recording and training."""
    return [
        status_of(now.node, name, '', *judged)
        for name, judged in (
            ('input', judge_input(now.inputs, now.status is not None)),
            ('recording', _recording(now.status)),
            ('training', _training(now.status)),
        )
    ]


def _recording(status: MappingStatus | None) -> Judged:
    if status is None:
        return STALE, NOT_ACTIVE, {}
    values = {
        'images': status.images,
        'keyframes': status.keyframes,
        'refused for blur': status.rejected_blur,
        'refused for motion': status.rejected_motion,
        'refused for their pose': status.rejected_pose,
        'refused as duplicates': status.rejected_duplicate,
        'unusable images': status.rejected_image,
        'ground covered [m^2]': float(status.coverage_area),
        'distance [m]': float(status.distance),
        'dataset': status.dataset,
        'dataset [MB]': status.disk_bytes / 1e6,
    }
    if status.state != MappingStatus.RECORDING:
        return OK, 'not recording', values
    if 2 * (status.rejected_pose + status.rejected_image) > status.images:
        return WARN, f'most images are refused: {status.last_reason}', values
    return OK, f'{status.keyframes} keyframes of {status.images} images', values


def _training(status: MappingStatus | None) -> Judged:
    if status is None:
        return STALE, NOT_ACTIVE, {}
    values = {
        'map': status.map_url,
        'stage': status.stage,
        'progress': float(status.progress),
        'loss': float(status.loss),
        'time left [s]': float(status.eta),
    }
    if status.state == MappingStatus.FAILED:
        return ERROR, status.last_reason or 'the training failed', values
    if status.state == MappingStatus.TRAINING:
        return OK, f'{status.stage}, {status.progress:.0%}', values
    done = status.state == MappingStatus.DONE
    return OK, f'learned {status.map_url}' if done else 'not training', values
