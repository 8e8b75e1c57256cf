# SPDX-License-Identifier: Apache-2.0
"""Template alignment and feature alignment, from the same starts, on the same reference images."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dsac_ros.alignment.align import Alignment, align
from dsac_ros.alignment.landmarks import Landmarks, Pyramid, landmarks_of
from dsac_ros.alignment.search import refine_with_restarts
from dsac_ros.benchmark.damage import DAMAGES, Damage
from dsac_ros.errors import ConfigError
from dsac_ros.geometry.rotation import matrix_from_axis_angle
from dsac_ros.map_container import StoredMap
from dsac_ros.metrics import twist_error
from dsac_ros.systems.pixloc.system import PixLoc
from dsac_ros.systems.system import System
from dsac_ros.types import Frame, PosedFrame

#: Shift of a start, as a share of the scene's depth, and its turn [deg].
STARTS = {
    '1 %, 1 deg': (0.01, 1.0),
    '4 %, 4 deg': (0.04, 4.0),
    '10 %, 10 deg': (0.1, 10.0),
}
CONDITIONS: dict[str, Damage] = {
    'intact': DAMAGES['none'],
    'dark': DAMAGES['3 stops darker'],
    'blurred': DAMAGES['blur 20 px'],
    'other viewpoint': DAMAGES['none'],
}
#: Of the reference images one of so many is left: queries look from elsewhere.
SPARSE = 4
LIMITS = ((0.02, 2.0), (0.05, 5.0))  # [m, deg]
SHARES = ((0.01, 2.0), (0.025, 5.0))  # of the depth, for scenes in other units, and [deg]

Refine = Callable[[Frame, np.ndarray], np.ndarray | None]


@dataclass(frozen=True)
class Row:
    """Errors of one method under one condition from one kind of start; failures are infinite.

    depth: median depth of the scene [m].
    """

    condition: str
    start: str
    method: str
    metres: np.ndarray
    degrees: np.ndarray
    depth: float

    def within(self, metres: float, degrees: float) -> float:
        """Return the share of queries that end nearer than so much."""
        return float(((self.metres < metres) & (self.degrees < degrees)).mean())

    def as_dict(self) -> dict[str, Any]:
        """Return shares and medians over all queries."""
        return {
            'condition': self.condition,
            'start': self.start,
            'method': self.method,
            **{
                f'{metres:.2f}m_{degrees:g}deg': self.within(metres, degrees)
                for metres, degrees in LIMITS
            },
            **{
                f'{100 * share:g}%_{degrees:g}deg': self.within(share * self.depth, degrees)
                for share, degrees in SHARES
            },
            'median_translation_m': float(np.median(self.metres)),
            'median_rotation_deg': float(np.median(self.degrees)),
        }


def compare_alignments(
    system: System, queries: Sequence[PosedFrame], seed: int = 0
) -> Iterator[Row]:
    """Yield a row for each condition, start and method.

    Args:
        system: a map of PixLoc, whose reference images serve both methods.
        queries: frames with true poses.
        seed: of the starts and of what is done to the images.

    Raises:
        ConfigError: the map is of another system.
    """
    if not isinstance(system, PixLoc):
        raise ConfigError(
            f'a map of the recipe {system.map.header["recipe"]} has no features to align, '
            'expected one of pixloc'
        )
    for condition, change in CONDITIONS.items():
        used = sparse(system) if condition == 'other viewpoint' else system
        methods = {
            'templates': template_refinement(used),
            'features': feature_refinement(used),
        }
        generator = torch.Generator().manual_seed(seed)
        frames = [change(posed.frame, generator) for posed in queries]
        for name, (share, degrees) in STARTS.items():
            generator = torch.Generator().manual_seed(seed)
            starts = [
                displaced(one.world_from_camera, share * system.depth, degrees, generator)
                for one in queries
            ]
            for method, refine in methods.items():
                found = [refine(*pair) for pair in zip(frames, starts)]
                errors = np.array(
                    [
                        (np.inf, np.inf) if pose is None else error(pose, posed.world_from_camera)
                        for pose, posed in zip(found, queries)
                    ]
                )
                yield Row(condition, name, method, errors[:, 0], errors[:, 1], system.depth)


def error(pose: np.ndarray, truth: np.ndarray) -> tuple[float, float]:
    """Return the errors [m] and [deg] of a pose (4, 4)."""
    twist = twist_error(pose, truth)
    return float(np.linalg.norm(twist[:3])), float(np.degrees(np.linalg.norm(twist[3:])))


def displaced(
    pose: np.ndarray, metres: float, degrees: float, generator: torch.Generator
) -> np.ndarray:
    """Move and turn a camera (4, 4) by so much in random directions."""
    shift, axis = torch.nn.functional.normalize(
        torch.randn(2, 3, generator=generator, dtype=torch.float64), dim=1
    )
    start = np.array(pose, dtype=float)
    start[:3, 3] += metres * shift.numpy()
    turn = matrix_from_axis_angle(np.radians(degrees) * axis)
    start[:3, :3] = start[:3, :3] @ turn.numpy()
    return start


def sparse(system: PixLoc) -> PixLoc:
    """Return the same system with one of SPARSE reference images."""
    stored = StoredMap(system.map.header, reference_images=system.references[::SPARSE])
    return PixLoc(stored, system.network, system.config, str(system.device), system.accept)


def feature_refinement(system: PixLoc) -> Refine:
    """Return the refinement of a pose by PixLoc."""
    refining = system.starting_from_guesses()

    def refine(frame: Frame, start: np.ndarray) -> np.ndarray | None:
        return refining.raw_estimate(refining.query(frame, start)).world_from_camera

    return refine


def template_refinement(system: PixLoc) -> Refine:
    """Return the refinement of a pose by templates, as the default recipe does it."""
    landmarks: Landmarks = landmarks_of(system.references, system.device)
    depth = float(np.median(np.concatenate([one.depth for one in system.references])))

    def refine(frame: Frame, start: np.ndarray) -> np.ndarray | None:
        query = system.query(frame)
        pyramid = Pyramid.of(query.image, system.device, query.valid)
        matrix = torch.from_numpy(query.resampler.matrix).to(system.device).float()
        pose = np.array(start, dtype=float)
        pose[:3, 3] -= system.map.origin

        def from_pose(pose: Tensor, coarsest: int) -> Alignment | None:
            return align(pyramid, matrix, pose, landmarks, coarsest)

        with torch.inference_mode():
            found = refine_with_restarts(torch.from_numpy(pose), from_pose, depth)
        if found is None:
            return None
        aligned: np.ndarray = found.world_from_camera.cpu().numpy().copy()
        aligned[:3, 3] += system.map.origin
        return aligned

    return refine
