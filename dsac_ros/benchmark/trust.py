# SPDX-License-Identifier: Apache-2.0
"""Calibration of the confidence on queries of many kinds: intact, damaged, of another place.

Confidences of different scenes are pooled, since they mean the same everywhere.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from dsac_ros.benchmark.damage import DAMAGES
from dsac_ros.evaluation.localizing import ImageLocalizer, localize_frame
from dsac_ros.geometry.altered_frames import mirrored, zoomed
from dsac_ros.metrics import CORRECT_DEG, CORRECT_M, Reliability, twist_error
from dsac_ros.types import Frame, Localization, PosedFrame

INTACT, DAMAGED, ABSENT = GROUPS = ('intact', 'damaged', 'of another place')
#: Damages that a query is shown with, beside a zoom.
SHOWN = ('blur 10 px', 'blur 30 px', '3 stops darker', '50 % covered', 'half resolution')


@dataclass(frozen=True)
class Judged:
    """Confidences (F,) of one group of queries, which are right and which were accepted (F,)."""

    confidence: np.ndarray
    right: np.ndarray
    accepted: np.ndarray

    @property
    def reliability(self) -> Reliability:
        """Comparison of the confidences with which poses are right."""
        return Reliability.of(self.confidence, self.right)


def judge_scene(
    system: ImageLocalizer,
    queries: Sequence[PosedFrame],
    elsewhere: Sequence[PosedFrame],
    seed: int = 0,
) -> dict[str, Judged]:
    """Localize queries of a scene as they are, altered, and those of another scene.

    Args:
        system: localizer of the scene.
        queries: frames of it.
        elsewhere: frames of another scene; no pose of theirs is right.
        seed: of the damages.

    Returns:
        Group of GROUPS -> what became of its frames.
    """
    generator = torch.Generator().manual_seed(seed)
    rows: dict[str, list[tuple[float, bool, bool]]] = {group: [] for group in GROUPS}
    for group, frame, reference in shown(queries, elsewhere, generator):
        found = localize_frame(system, frame)
        rows[group].append((found.confidence, is_right(found, reference), found.accepted))
    return {group: _judged(found) for group, found in rows.items()}


def shown(
    queries: Sequence[PosedFrame], elsewhere: Sequence[PosedFrame], generator: torch.Generator
) -> Iterator[tuple[str, Frame, np.ndarray | None]]:
    """Yield group, frame and true world_from_camera (4, 4); None of a place not in the map."""
    for posed in queries:
        yield INTACT, posed.frame, posed.world_from_camera
        yield DAMAGED, zoomed(posed.frame), posed.world_from_camera
        for name in SHOWN:
            yield DAMAGED, DAMAGES[name](posed.frame, generator), posed.world_from_camera
        yield ABSENT, mirrored(posed.frame), None
    for posed in elsewhere:
        yield ABSENT, posed.frame, None


def is_right(found: Localization, reference: np.ndarray | None) -> bool:
    """Return True if a pose, refused or not, is within CORRECT_M and CORRECT_DEG."""
    if reference is None or found.world_from_camera is None:
        return False
    twist = twist_error(found.world_from_camera, reference)
    return bool(
        np.linalg.norm(twist[:3]) < CORRECT_M
        and np.degrees(np.linalg.norm(twist[3:])) < CORRECT_DEG
    )


def pooled(scenes: Mapping[str, Mapping[str, Judged]], groups: Sequence[str]) -> Judged:
    """Join groups of all scenes."""
    parts = [judged[group] for judged in scenes.values() for group in groups]
    return Judged(
        *(
            np.concatenate([getattr(part, name) for part in parts])
            for name in ('confidence', 'right', 'accepted')
        )
    )


def _judged(rows: Sequence[tuple[float, bool, bool]]) -> Judged:
    confidence, right, accepted = zip(*rows) if rows else ((), (), ())
    return Judged(np.array(confidence, float), np.array(right, bool), np.array(accepted, bool))
