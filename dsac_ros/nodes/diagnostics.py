# SPDX-License-Identifier: Apache-2.0
"""Diagnostic statuses of the relocalizer, and their parts that both nodes share; pure functions.

Levels: OK; WARN while degraded; ERROR when lost, in conflict or without a necessary input; STALE
when nothing arrives or the node is not active.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from diagnostic_msgs.msg import DiagnosticStatus, KeyValue

from dsac_ros.msg import RelocalizationStatus
from dsac_ros.types import Result

OK, WARN = DiagnosticStatus.OK, DiagnosticStatus.WARN
ERROR, STALE = DiagnosticStatus.ERROR, DiagnosticStatus.STALE
#: Images refused in a row after which a robot that is localized counts as degraded.
DEGRADED_AFTER = 3
#: Results that are the fault of the input.
INPUT_FAULTS = (Result.NO_CAMERA_INFO, Result.BAD_IMAGE, Result.STALE, Result.BAD_INTRINSICS)
#: State of the relocalizer -> name and level.
STATES = {
    RelocalizationStatus.UNCONFIGURED: ('unconfigured', STALE),
    RelocalizationStatus.LOST: ('lost', ERROR),
    RelocalizationStatus.COLLECTING: ('collecting evidence', WARN),
    RelocalizationStatus.LOCALIZED: ('localized', OK),
    RelocalizationStatus.DEGRADED: ('degraded', WARN),
    RelocalizationStatus.KIDNAPPED: ('kidnapped', ERROR),
    RelocalizationStatus.GAVE_UP: ('gave up', ERROR),
}
#: Characters of a value: a message may hold anything as its encoding.
MAX_TEXT = 200
NOT_ACTIVE = 'the node is not active'


@dataclass(frozen=True)
class CameraHealth:
    """Images of one camera as they arrive.

    Attributes:
        frame: frame_id of the images.
        rate_hz: of the last seconds.
        age_s: time since the last image.
        delay_s: from the stamp of the last image to its arrival; NaN without a clock.
        encoding: of the last image.
        intrinsics: of its camera_info, one line; '' if there is none.
    """

    frame: str
    rate_hz: float
    age_s: float
    delay_s: float
    encoding: str
    intrinsics: str


@dataclass(frozen=True)
class InputHealth:
    """Inputs of a node: its cameras, and the reason of what is missing ('' for nothing).

    silent_after_s: time without images after which they count as gone.
    """

    cameras: tuple[CameraHealth, ...] = ()
    missing: str = ''
    silent_after_s: float = 5.0

    @property
    def is_silent(self) -> bool:
        """True if no camera sends images."""
        return all(camera.age_s > self.silent_after_s for camera in self.cameras)


@dataclass(frozen=True)
class MapHealth:
    """The map in use; `problem` says why there is none."""

    id: str = ''
    name: str = ''
    path: str = ''
    problem: str = ''


@dataclass(frozen=True)
class RelocalizerSnapshot:
    """State of the relocalizer at one moment.

    Attributes:
        node: full name of the node, without the first slash.
        is_active: images are processed.
        inputs: what arrives.
        map: the map in use.
        device: cpu or cuda; '' without a map.
        inference_ms: durations of the last images.
        status: of the last image; None before the first.
        is_localized: an image was accepted within localization_timeout.
        fix_age_s: time since the last accepted image; NaN if there is none.
        tf_mode: parameter of that name.
        tf_problem: why TF is not published as tf_mode says; '' if it is.
    """

    node: str
    is_active: bool
    inputs: InputHealth = InputHealth()
    map: MapHealth = MapHealth()
    device: str = ''
    inference_ms: tuple[float, ...] = ()
    status: RelocalizationStatus | None = None
    is_localized: bool = False
    fix_age_s: float = math.nan
    tf_mode: str = 'none'
    tf_problem: str = ''


def relocalizer_statuses(now: RelocalizerSnapshot) -> list[DiagnosticStatus]:
    """Return the statuses input, inference, localization, tf and map."""
    return [
        status_of(now.node, name, now.map.id, *judge(now))
        for name, judge in (
            ('input', _relocalizer_input),
            ('inference', _inference),
            ('localization', _localization),
            ('tf', _tf),
            ('map', _map),
        )
    ]


Judged = tuple[bytes, str, dict[str, Any]]


def status_of(
    node: str, name: str, hardware: str, level: bytes, message: str, values: dict[str, Any]
) -> DiagnosticStatus:
    """Make a DiagnosticStatus named `<node>: <name>`."""
    return DiagnosticStatus(
        level=level,
        name=f'{node}: {name}',
        message=message,
        hardware_id=hardware,
        values=[KeyValue(key=key, value=_text(value)) for key, value in values.items()],
    )


def _text(value: Any) -> str:
    if isinstance(value, float):
        return f'{value:.4g}' if math.isfinite(value) else 'unknown'
    return str(value)[:MAX_TEXT]


def _relocalizer_input(now: RelocalizerSnapshot) -> Judged:
    level, message, values = judge_input(now.inputs, now.is_active)
    if level == OK and now.status is not None and now.status.result in INPUT_FAULTS:
        return ERROR, now.status.reason, values
    return level, message, values


def judge_input(inputs: InputHealth, is_active: bool) -> Judged:
    """Return level, message and values of the inputs of a node."""
    values: dict[str, Any] = {}
    for camera in inputs.cameras:
        prefix = f'{camera.frame} ' if len(inputs.cameras) > 1 else ''
        values |= {
            f'{prefix}image rate [Hz]': camera.rate_hz,
            f'{prefix}last image [s ago]': camera.age_s,
            f'{prefix}delay of images [s]': camera.delay_s,
            f'{prefix}encoding': camera.encoding,
            f'{prefix}intrinsics': camera.intrinsics or 'none yet',
        }
    values['missing'] = inputs.missing or 'nothing'
    if not is_active:
        return STALE, NOT_ACTIVE, values
    if inputs.is_silent:
        return STALE, inputs.missing or 'no images', values
    if inputs.missing:
        return ERROR, inputs.missing, values
    rates = ', '.join(f'{camera.rate_hz:.1f} Hz' for camera in inputs.cameras)
    return OK, f'images at {rates}', values


def _inference(now: RelocalizerSnapshot) -> Judged:
    values: dict[str, Any] = {'device': now.device or 'none'}
    if now.inference_ms:
        p50, p95 = (float(value) for value in np.percentile(now.inference_ms, (50, 95)))
        values |= {'p50 [ms]': p50, 'p95 [ms]': p95}
    if now.status is not None:
        values |= {
            'images dropped for newer ones': now.status.frames_dropped,
            'images that could not be used': now.status.frames_bad,
        }
    if not now.is_active:
        return STALE, NOT_ACTIVE, values
    if now.status is None or not now.inference_ms:
        return STALE, 'no image processed yet', values
    if now.status.result == Result.ERROR:
        return ERROR, now.status.reason, values
    return OK, f'{p50:.0f} ms an image on {now.device}', values


def _localization(now: RelocalizerSnapshot) -> Judged:
    status = now.status
    values: dict[str, Any] = {'last fix [s ago]': now.fix_age_s}
    if status is not None:
        values |= {
            'state': STATES[status.state][0],
            'last result': Result(status.result).name,
            'confidence': float(status.confidence),
            'inliers': status.inlier_count,
            'inlier ratio': float(status.inlier_ratio),
            'accepted in a row': status.consecutive_accepted,
            'refused in a row': status.consecutive_rejected,
            'recovery attempts': status.attempts,
            'off from TF [m]': float(status.divergence_translation),
            'off from TF [deg]': math.degrees(status.divergence_rotation),
        }
    if not now.is_active:
        return STALE, NOT_ACTIVE, values
    if status is None:
        return STALE, 'no image processed yet', values
    if now.inputs.is_silent:
        return STALE, 'no images', values
    state, level = STATES[status.state]
    if level == OK and not now.is_localized:
        return ERROR, f'lost: {status.reason or "no image was accepted lately"}', values
    if level == OK and status.consecutive_rejected >= DEGRADED_AFTER:
        return WARN, f'degraded: {status.reason}', values
    return level, state if level == OK else f'{state}: {status.reason}'.rstrip(': '), values


def _tf(now: RelocalizerSnapshot) -> Judged:
    values = {'tf_mode': now.tf_mode}
    if not now.is_active:
        return STALE, NOT_ACTIVE, values
    if now.status is not None and now.status.result == Result.TF_UNAVAILABLE:
        return ERROR, now.status.reason, values
    if now.tf_problem:
        # auto gives way to others on purpose: the robot is not worse off
        return WARN if now.tf_mode == 'auto' else ERROR, now.tf_problem, values
    return OK, f'tf_mode {now.tf_mode}', values


def _map(now: RelocalizerSnapshot) -> Judged:
    values = {'map_id': now.map.id, 'name': now.map.name, 'file': now.map.path}
    if not now.map.id:
        return ERROR, now.map.problem or 'no map is loaded', values
    return OK, f'{now.map.name or now.map.path}', values
