# SPDX-License-Identifier: Apache-2.0
"""The one picture that says what the project does."""
from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from dsac_ros.evaluation.query_view import look
from dsac_ros.metrics import Report
from dsac_ros.types import Localization, PosedFrame

if TYPE_CHECKING:
    from dsac_ros.localizer import Localizer


def write_overview(path: Path, localizer: Localizer, frames: Iterable[PosedFrame],
                   localizations: Sequence[Localization], references: Sequence[np.ndarray],
                   report: Report) -> None:
    """A camera image, its scene coordinates as colours, and the drive seen from above.

    The image is the one, among some of the better half, that sees the most.
    """
    from dsac_ros.evaluation.plots.query import draw_overview
    from dsac_ros.evaluation.plots.style import save
    better = np.argsort(report.translation_m)[:max(1, len(report.names) // 2)]
    wanted = set(better[::max(1, len(better) // 8)].tolist())
    views = [(look(localizer, posed.frame), posed.frame.image)
             for row, posed in enumerate(frames) if row in wanted]
    seen = [(view, image) for view, image in views if view is not None]
    if not seen:  # black images, all of them
        return
    view, image = max(seen, key=lambda pair: len(np.unique(
        np.round(pair[0].colours.reshape(-1, 3) * 8), axis=0)))
    figure = draw_overview(image, view, np.array(references),
                           [found.world_from_camera for found in localizations], report)
    path.parent.mkdir(parents=True, exist_ok=True)
    save(figure, path)
