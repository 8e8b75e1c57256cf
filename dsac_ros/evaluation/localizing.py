# SPDX-License-Identifier: Apache-2.0
"""Localization of many frames; failures are kept as results."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Protocol

import numpy as np

from dsac_ros.errors import CameraError, ImageError
from dsac_ros.types import Frame, Localization, PosedFrame, Result


class ImageLocalizer(Protocol):
    """Interface of a system that localizes single frames."""

    def localize(self, frame: Frame) -> Localization:
        """Return the pose of this frame, or the reason why it is unknown."""


def localize_frame(localizer: ImageLocalizer, frame: Frame) -> Localization:
    """Localize one frame; an unusable image or camera is a result with its reason."""
    try:
        return localizer.localize(frame)
    except (ImageError, CameraError) as error:
        return Localization(Result.BAD_IMAGE, str(error), frame.stamp_ns, frame.name)


def localize_posed_frames(
    localizer: ImageLocalizer,
    frames: Iterable[PosedFrame],
) -> tuple[list[Localization], list[np.ndarray]]:
    """Localize every frame; return localizations and reference poses (4, 4), in order.

    The first frame is localized twice, the first time as a warm-up whose latency does not count.
    """
    localizations: list[Localization] = []
    references: list[np.ndarray] = []
    for posed in frames:
        if not localizations:
            localize_frame(localizer, posed.frame)
        found = localize_frame(localizer, posed.frame)
        if not found.name:
            found = replace(found, name=posed.frame.name)
        localizations.append(found)
        references.append(np.asarray(posed.world_from_camera, dtype=float))
    return localizations, references
