# SPDX-License-Identifier: Apache-2.0
"""Trust in the answers of a map: queries intact, altered, and of another place.

Judged are the confidence, the covariance and the verdict. Answers of different scenes are pooled,
since confidences mean the same everywhere, and errors are shares of the scene's depth.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from dsac_ros.benchmark.damage import DAMAGES
from dsac_ros.benchmark.scene_comparison import WRONG, WRONG_DEG
from dsac_ros.evaluation.consistency import SHARES, by_difficulty, chi_square_quantile
from dsac_ros.evaluation.localizing import ImageLocalizer, localize_frame
from dsac_ros.geometry.altered_frames import mirrored, zoomed
from dsac_ros.metrics import (
    CORRECT_DEG,
    CORRECT_M,
    Reliability,
    mahalanobis_squared,
    twist_error,
)
from dsac_ros.types import Frame, Localization, PosedFrame

INTACT, DAMAGED, ABSENT = GROUPS = ('intact', 'damaged', 'of another place')
#: Damages that a query is shown with, beside a zoom and a wrong focal length.
SHOWN = ('blur 10 px', 'blur 30 px', '3 stops darker', '50 % covered', 'half resolution')
#: Ratio of the focal length that a query is given to its own: of another camera.
WRONG_FOCAL = 1.3
#: A pose within this share of the depth, and CORRECT_DEG, is one that ought to be accepted.
EXACT = 0.02
POSE_DIMENSIONS = 6


@dataclass(frozen=True)
class Judged:
    """Judgement of the answer to one query.

    Attributes:
        group, kind: what it is: one of GROUPS, and the alteration.
        confidence: probability in [0, 1] that its answer promises.
        accepted: the pose was accepted.
        right: it is within CORRECT_M and CORRECT_DEG of the truth.
        exact: it is within EXACT of the depth and CORRECT_DEG.
        wrong: it is off by more than WRONG of the depth or WRONG_DEG, or the map does not show
            the place, or there is none.
        nees: e^T P^-1 e of the pose, NaN where it is wrong or without covariance.
        sigma: predicted error of the position, as a share of the depth; NaN without covariance.
    """

    group: str
    kind: str
    confidence: float
    accepted: bool
    right: bool = False
    exact: bool = False
    wrong: bool = True
    nees: float = math.nan
    sigma: float = math.nan


def judge_scene(
    system: ImageLocalizer,
    queries: Sequence[PosedFrame],
    elsewhere: Sequence[PosedFrame],
    depth: float,
    seed: int = 0,
) -> list[Judged]:
    """Localize queries of a scene as they are, altered, and those of another scene.

    Args:
        system: localizer of the scene.
        queries: frames of it.
        elsewhere: frames of another scene; no pose of theirs is right.
        depth: median depth of the scene [m].
        seed: of the damages.
    """
    generator = torch.Generator().manual_seed(seed)
    return [
        judge(group, kind, localize_frame(system, frame), reference, depth)
        for group, kind, frame, reference in shown(queries, elsewhere, generator)
    ]


def shown(
    queries: Sequence[PosedFrame], elsewhere: Sequence[PosedFrame], generator: torch.Generator
) -> Iterator[tuple[str, str, Frame, np.ndarray | None]]:
    """Yield group, kind, frame and true world_from_camera (4, 4); None of a place not in the map.

    With a wrong focal length no pose is right: the image fits its own place badly or another.
    """
    for posed in queries:
        pose = posed.world_from_camera
        yield INTACT, INTACT, posed.frame, pose
        yield DAMAGED, 'zoomed', zoomed(posed.frame), pose
        for name in SHOWN:
            yield DAMAGED, name, DAMAGES[name](posed.frame, generator), pose
        yield DAMAGED, 'upside down', *upside_down(posed)
        yield DAMAGED, 'wrong focal length', with_wrong_focal(posed.frame), pose
        for kind, alter in NOTHING.items():
            yield ABSENT, kind, alter(posed.frame, generator), None
    for posed in elsewhere:
        yield ABSENT, 'another scene', posed.frame, None


def upside_down(posed: PosedFrame) -> tuple[Frame, np.ndarray]:
    """Return the frame of a camera that was turned by 180 deg about its axis, and its pose."""
    frame, camera = posed.frame, posed.frame.camera
    matrix = camera.matrix.copy()
    matrix[:2, 2] = np.array(camera.size_wh) - 1 - matrix[:2, 2]
    turned = replace(
        frame,
        image=np.ascontiguousarray(frame.image[::-1, ::-1]),
        mask=None if frame.mask is None else frame.mask[::-1, ::-1],
        depth=None,
        camera=replace(camera, matrix=matrix),
    )
    return turned, posed.world_from_camera @ np.diag([-1.0, -1.0, 1.0, 1.0])


def with_wrong_focal(frame: Frame) -> Frame:
    """Return the frame with a focal length that is WRONG_FOCAL times its own."""
    matrix = frame.camera.matrix.copy()
    matrix[[0, 1], [0, 1]] *= WRONG_FOCAL
    return replace(frame, camera=replace(frame.camera, matrix=matrix))


def noise(frame: Frame, generator: torch.Generator) -> Frame:
    """Return the frame with nothing but noise in it."""
    values = torch.randint(0, 256, frame.image.shape, generator=generator)
    return replace(frame, image=values.numpy().astype(np.uint8), depth=None)


#: Images that show no place of the map, made of its queries.
NOTHING: dict[str, Callable[[Frame, torch.Generator], Frame]] = {
    'mirrored': lambda frame, generator: mirrored(frame),
    'noise': noise,
    'black': lambda frame, generator: replace(frame, image=np.zeros_like(frame.image)),
}


def judge(
    group: str, kind: str, found: Localization, reference: np.ndarray | None, depth: float
) -> Judged:
    """Judge a localization, refused or not, by the true pose (4, 4), None if there is none."""
    judged = Judged(group, kind, found.confidence, found.accepted)
    if reference is None or found.world_from_camera is None:
        return judged
    twist = twist_error(found.world_from_camera, reference)
    metres, degrees = np.linalg.norm(twist[:3]), np.degrees(np.linalg.norm(twist[3:]))
    wrong = bool(metres > WRONG * depth or degrees > WRONG_DEG)
    covariance = found.covariance
    return replace(
        judged,
        right=bool(metres < CORRECT_M and degrees < CORRECT_DEG),
        exact=bool(metres < EXACT * depth and degrees < CORRECT_DEG),
        wrong=wrong,
        nees=math.nan if covariance is None or wrong else mahalanobis_squared(twist, covariance),
        sigma=math.nan if covariance is None else math.sqrt(covariance[:3, :3].trace()) / depth,
    )


def reliability(judged: Sequence[Judged]) -> Reliability:
    """Compare the confidences with which poses are right."""
    return Reliability.of(
        np.array([one.confidence for one in judged]), np.array([one.right for one in judged], bool)
    )


def coverage(judged: Sequence[Judged]) -> dict[str, float]:
    """Return the shares of the accepted poses that are not wrong inside 1, 2, 3 sigma."""
    nees = np.array([one.nees for one in consistent(judged)])
    return {
        name: float((nees <= chi_square_quantile(share, POSE_DIMENSIONS)).mean())
        if len(nees)
        else math.nan
        for name, share in SHARES.items()
    }


def quartiles(judged: Sequence[Judged]) -> list[list[Judged]]:
    """Split accepted poses that are not wrong by their predicted error, the smallest first."""
    some = consistent(judged)
    rows = by_difficulty(
        np.array([one.sigma for one in some]), np.array([one.confidence for one in some])
    )
    return [[some[row] for row in quartile] for quartile in rows]


def consistent(judged: Sequence[Judged]) -> list[Judged]:
    """Return accepted poses with a covariance that are not wrong."""
    return [one for one in judged if one.accepted and not math.isnan(one.nees)]
