# SPDX-License-Identifier: Apache-2.0
"""Overview figure of the project for the README."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from dsac_ros.evaluation.query_view import query_view_of
from dsac_ros.metrics import Report
from dsac_ros.types import Localization, PosedFrame

if TYPE_CHECKING:
    from dsac_ros.systems.system import System


def write_overview(
    path: Path,
    localizer: System,
    frames: Iterable[PosedFrame],
    localizations: Sequence[Localization],
    references: Sequence[np.ndarray],
    report: Report,
) -> None:
    """Draw a camera image, its scene coordinates as colours, and the drive from above.

    The image is the one with the largest variety of scene coordinates among frames of below-median
    error.
    """
    from dsac_ros.evaluation.plots.query import draw_overview
    from dsac_ros.evaluation.plots.style import save

    better = np.argsort(report.translation_m)[: max(1, len(report.names) // 2)]
    wanted = set(better[:: max(1, len(better) // 8)].tolist())
    views = [
        (query_view_of(localizer, posed.frame), posed.frame.image)
        for row, posed in enumerate(frames)
        if row in wanted
    ]
    visible = [(view, image) for view, image in views if view is not None]
    if not visible:  # all images are black
        return
    view, image = max(
        visible,
        key=lambda pair: len(np.unique(np.round(pair[0].colours.reshape(-1, 3) * 8), axis=0)),
    )
    figure = draw_overview(
        image,
        view,
        np.array(references),
        [found.world_from_camera for found in localizations],
        report,
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    save(figure, path)
