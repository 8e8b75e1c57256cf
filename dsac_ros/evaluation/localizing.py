# SPDX-License-Identifier: Apache-2.0
"""Run a localizer over frames; what fails stays in the list as a failure."""
from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Protocol

import numpy as np

from dsac_ros.errors import CameraError, ImageError
from dsac_ros.types import Frame, Localization, PosedFrame, Result


class Localizes(Protocol):
    """Anything that answers where a frame was taken."""

    def localize(self, frame: Frame) -> Localization:
        """Where this frame was taken, or why that is not known."""


def localize_frame(localizer: Localizes, frame: Frame) -> Localization:
    """Localize one frame; an image or camera that cannot be used is a refusal with its reason."""
    try:
        return localizer.localize(frame)
    except (ImageError, CameraError) as error:
        return Localization(Result.BAD_IMAGE, str(error), frame.stamp_ns, frame.name)


def localize_posed_frames(localizer: Localizes, frames: Iterable[PosedFrame],
                          ) -> tuple[list[Localization], list[np.ndarray]]:
    """Localize every frame; the answers and the reference poses (4, 4), in order.

    The first frame is localized twice and the first time thrown away: what a library sets up on
    its first use is not the latency of a frame.
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
