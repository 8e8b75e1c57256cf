# SPDX-License-Identifier: Apache-2.0
"""Health of a node: a running record of its images and answers, published on /diagnostics."""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from dsac_ros.msg import RelocalizationStatus
from dsac_ros.nodes.diagnostics import (
    CameraHealth,
    InputHealth,
    MapHealth,
    RelocalizerSnapshot,
    relocalizer_statuses,
)
from dsac_ros.nodes.diagnostics_publisher import DiagnosticsPublisher, node_name
from dsac_ros.nodes.lifecycle import ParameterNode
from dsac_ros.nodes.relocalizer_parameters import RelocalizerParameters
from dsac_ros.sources.image_messages import stamp_ns
from dsac_ros.systems.system import System

#: Time without images that counts as none where parameter input_timeout is 0 [s].
SILENT_AFTER_S = 5.0
#: Time over which the rate of images is counted [s].
WINDOW_S = 5.0
MAX_IMAGES, MAX_DURATIONS = 1000, 100
#: More frames than a robot has cameras are a fault of the messages: those seen first are kept.
MAX_CAMERAS = 16


class ImageRecord:
    """Arrivals of the images of all cameras; thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._arrivals: dict[str, deque[float]] = {}
        self._last: dict[str, tuple[Any, Any, float]] = {}

    def received(self, image: Any, info: Any, now_ns: int) -> None:
        """Record an Image or CompressedImage and its CameraInfo (None if there is none).

        now_ns is the time of the node's clock.
        """
        frame = image.header.frame_id
        stamp = stamp_ns(image.header.stamp)
        delay = (now_ns - stamp) / 1e9 if now_ns and stamp else math.nan
        encoding = image.encoding if hasattr(image, 'encoding') else image.format
        with self._lock:
            if frame not in self._last and len(self._last) >= MAX_CAMERAS:
                return
            self._arrivals.setdefault(frame, deque(maxlen=MAX_IMAGES)).append(time.monotonic())
            self._last[frame] = (encoding, info, delay)

    def cameras(self) -> tuple[CameraHealth, ...]:
        """Return the present health of each camera."""
        now = time.monotonic()
        with self._lock:
            last = dict(self._last)
            arrivals = {frame: list(times) for frame, times in self._arrivals.items()}
        return tuple(
            CameraHealth(
                frame,
                sum(now - arrival < WINDOW_S for arrival in arrivals[frame])
                / max(0.2, min(WINDOW_S, now - arrivals[frame][0])),
                now - arrivals[frame][-1],
                delay,
                encoding,
                '' if info is None else intrinsics(info),
            )
            for frame, (encoding, info, delay) in last.items()
        )


class AnswerRecord:
    """Last status and durations of a relocalizer; thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._durations: deque[float] = deque(maxlen=MAX_DURATIONS)
        self._status: RelocalizationStatus | None = None
        self._last_fix = math.nan

    def answered(self, status: RelocalizationStatus) -> None:
        """Record the status of an image."""
        with self._lock:
            self._status = status
            if status.inference_ms > 0:
                self._durations.append(float(status.inference_ms))
            if status.result == RelocalizationStatus.ACCEPTED:
                self._last_fix = time.monotonic()

    def state(self) -> dict[str, Any]:
        """Return `status`, `inference_ms` and `fix_age_s` of a RelocalizerSnapshot."""
        with self._lock:
            return {
                'status': self._status,
                'inference_ms': tuple(self._durations),
                'fix_age_s': time.monotonic() - self._last_fix,
            }


def intrinsics(info: Any) -> str:
    """Return a line about a CameraInfo: size, focal lengths, principal point, lens model."""
    fx, _, cx, _, fy, cy = (float(value) for value in list(info.k)[:6])
    return (
        f'{info.width}x{info.height}, f {fx:.1f} {fy:.1f} px, centre {cx:.1f} {cy:.1f} px, '
        f'{info.distortion_model or "no lens model"}'
    )


class RelocalizerHealth:
    """Diagnostics of a relocalizer, in every state of its lifecycle."""

    def __init__(self, node: ParameterNode[RelocalizerParameters]) -> None:
        self.images, self.answers = ImageRecord(), AnswerRecord()
        self._node = node
        self._map, self._device = MapHealth(), ''
        self._missing: Callable[[], str] | None = None
        DiagnosticsPublisher(node, lambda: relocalizer_statuses(self.snapshot()))

    def use(self, localizer: System | None, path: str = '') -> None:
        """Take the localizer that answers from now on, and its file; None if it was released."""
        self._map, self._device = MapHealth(), ''
        if localizer is not None:
            about = localizer.map.header
            self._map = MapHealth(about['id'], str(about.get('name', '')), path)
            self._device = str(localizer.device)

    def activate(
        self,
        missing: Callable[[], str],
        is_localized: Callable[[], bool],
        tf_problem: Callable[[], str],
    ) -> None:
        """Begin anew.

        Args:
            missing: returns the reason of missing inputs; '' if none is missing.
            is_localized: returns True if an image was accepted lately.
            tf_problem: returns why TF is not published as tf_mode says; '' if it is.
        """
        self.images, self.answers = ImageRecord(), AnswerRecord()
        self._is_localized, self._tf_problem, self._missing = is_localized, tf_problem, missing

    def deactivate(self) -> None:
        """Images are not processed any more."""
        self._missing = None

    def snapshot(self) -> RelocalizerSnapshot:
        """Return the state of the present moment."""
        values = self._node.values
        problem = f'{values.map} is not loaded' if values.map else 'parameter map is empty'
        common = {
            'map': self._map if self._map.id else MapHealth(problem=problem),
            'device': self._device,
            'tf_mode': values.tf_mode,
        }
        missing = self._missing
        if missing is None:
            return RelocalizerSnapshot(node_name(self._node), False, **common)
        return RelocalizerSnapshot(
            node_name(self._node),
            True,
            InputHealth(self.images.cameras(), missing(), values.input_timeout or SILENT_AFTER_S),
            is_localized=self._is_localized(),
            tf_problem=self._tf_problem(),
            **common,
            **self.answers.state(),
        )
