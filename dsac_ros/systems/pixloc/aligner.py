# SPDX-License-Identifier: Apache-2.0
"""Alignment of an image from several starts: all coarsely, the best of them finely."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from dsac_ros.geometry import se3
from dsac_ros.systems.pixloc.config import PixLocConfig
from dsac_ros.systems.pixloc.featuremetric import Field, Residuals, contrast, residuals
from dsac_ros.systems.pixloc.network import STRIDES
from dsac_ros.systems.pixloc.optimizer import LEAST_POINTS, optimize
from dsac_ros.systems.pixloc.pyramid import SHRINKS, Step
from dsac_ros.systems.pixloc.references import ReferenceFeatures
from dsac_ros.systems.pixloc.search import costs, rotations

CONVERGED = 1e-4  # change of the view that ends the optimisation of a step [rad]
LEAST_CONTRAST = 1e-3
#: Reference images whose points are aligned, and points, on the coarse and on the fine steps: the
#: more there are, the less do errors of single points and poses matter.
COARSE, FINE = (4, 384), (10, 1024)
SAME_VIEW = 0.05  # two coarse poses nearer than this are one start [rad]


@dataclass(frozen=True)
class Aligned:
    """An aligned pose and its evidence.

    camera_from_map (4, 4); contrast: geometric mean of `featuremetric.contrast` over the fine
    steps; points: number in view; covariance (6, 6) of the camera's perturbation in world axes
    [m, rad].
    """

    camera_from_map: Tensor
    contrast: float
    points: int
    covariance: Tensor


class FeatureAligner:
    """Aligns images with the reference images of one map."""

    def __init__(self, features: ReferenceFeatures, config: PixLocConfig) -> None:
        self.features, self.config = features, config
        expansion = features.network.expansion
        self._damping = [expansion.damping_factors(i).detach() for i in range(len(STRIDES))]
        self._scale = expansion.log_scale.detach().exp()
        self._rotations = rotations(features.device)

    def align(
        self,
        steps: Sequence[Step],
        starts: Sequence[Tensor],
        size_wh: tuple[int, int],
        mask: Tensor | None,
        searched: bool,
        enough: float = math.inf,
    ) -> list[Aligned]:
        """Align from camera_from_map (4, 4) of each start; return the best first.

        Args:
            steps: of the query, coarse to fine.
            starts: poses.
            size_wh: size of the whole image.
            mask: (H, W) bool of its pixels where points are looked for; None for all.
            searched: compare rotations of the starts first.
            enough: contrast with which no further candidate is refined.
        """
        whole = steps[-1].matrix
        fields = [Field.of(step.level) for step in steps]
        coarse = len(STRIDES) * (len(SHRINKS) - 1)
        chosen = [self.features.in_view(one, whole, size_wh, mask, COARSE) for one in starts]
        usable = [i for i, one in enumerate(chosen) if len(one) >= LEAST_POINTS]
        if not usable:
            return []
        starts, chosen = [starts[i] for i in usable], [chosen[i] for i in usable]
        poses = torch.stack(list(starts))
        if searched:
            poses, chosen = self._searched(steps[0], fields[0], poses, chosen)
        for number in range(coarse):
            poses = self._refined(number, steps[number], fields[number], poses, chosen)
        finished: list[Aligned] = []
        for pose in self._ranked(coarse - 1, steps, fields, poses, chosen):
            found = self._finished(steps, fields, pose[None], coarse, size_wh, mask)
            finished += [] if found is None else [found]
            if found is not None and found.contrast >= enough:
                break
        return sorted(finished, key=lambda one: -one.contrast)

    def _ranked(
        self,
        number: int,
        steps: Sequence[Step],
        fields: Sequence[Field],
        poses: Tensor,
        chosen: Sequence[Tensor],
    ) -> list[Tensor]:
        """Return the best of coarsely refined poses (4, 4), each view once."""
        cost = self._evaluated(number, steps[number], fields[number], poses, chosen).cost
        best: list[Tensor] = []
        for row in cost.argsort().tolist():
            depth = self._depth(poses[row], chosen[row])
            if not any(is_same(one, poses[row], depth) for one in best):
                best.append(poses[row])
        return best[: self.config.candidates]

    def _searched(
        self, step: Step, field: Field, poses: Tensor, chosen: Sequence[Tensor]
    ) -> tuple[Tensor, list[Tensor]]:
        """Return the most promising rotations of the starts, and their points."""
        turned, cost = [], []
        for pose, rows in zip(poses, chosen):
            turned.append(self._rotations @ pose)
            points = self.features.points(0, [rows[:: self.config.thinned]])
            cost.append(costs(points, field, turned[-1], step.matrix, self._scale[0]))
        every, start = torch.cat(cost), torch.arange(len(poses)).repeat_interleave(len(cost[0]))
        best = every.argsort()[: self.config.starts]
        return torch.cat(turned)[best], [chosen[i] for i in start[best.cpu()].tolist()]

    def _refined(
        self, number: int, step: Step, field: Field, poses: Tensor, chosen: Sequence[Tensor]
    ) -> Tensor:
        return optimize(
            self.features.points(number, chosen),
            field,
            poses,
            step.matrix,
            self._damping[step.index],
            self._scale[step.index],
            self.config.iterations,
            CONVERGED,
        )

    def _evaluated(
        self, number: int, step: Step, field: Field, poses: Tensor, chosen: Sequence[Tensor]
    ) -> Residuals:
        points = self.features.points(number, chosen)
        return residuals(points, field, poses, step.matrix, self._scale[step.index])

    def _finished(
        self,
        steps: Sequence[Step],
        fields: Sequence[Field],
        pose: Tensor,
        coarse: int,
        size_wh: tuple[int, int],
        mask: Tensor | None,
    ) -> Aligned | None:
        """Refine a pose (1, 4, 4) on the fine steps; None where it sees too few points."""
        for number in range(coarse, len(steps)):
            rows = self.features.in_view(pose[0], steps[-1].matrix, size_wh, mask, FINE)
            if len(rows) < LEAST_POINTS:
                return None
            pose = self._refined(number, steps[number], fields[number], pose, [rows])
        rows = self.features.in_view(pose[0], steps[-1].matrix, size_wh, mask, FINE)
        if len(rows) < LEAST_POINTS:
            return None
        return self._measured(steps, fields, coarse, pose, rows)

    def _measured(
        self,
        steps: Sequence[Step],
        fields: Sequence[Field],
        coarse: int,
        pose: Tensor,
        rows: Tensor,
    ) -> Aligned:
        last = len(steps) - 1
        found = self._evaluated(last, steps[last], fields[last], pose, [rows])
        logarithms = [
            math.log(
                max(
                    contrast(
                        self.features.points(number, [rows]),
                        fields[number],
                        pose,
                        steps[number].matrix,
                    ),
                    LEAST_CONTRAST,
                )
            )
            for number in range(coarse, len(steps))
        ]
        return Aligned(
            pose[0],
            math.exp(sum(logarithms) / len(logarithms)),
            int(found.in_view.sum()),
            covariance(found, pose)[0],
        )

    def _depth(self, pose: Tensor, rows: Tensor) -> float:
        points = self.features.landmarks.points[rows]
        return float((points @ pose[2, :3] + pose[2, 3]).median())


def is_same(a: Tensor, b: Tensor, depth: float) -> bool:
    """Return whether poses camera_from_map (4, 4) are one start."""
    return se3.same_view(se3.inverse(a), se3.inverse(b), SAME_VIEW, max(depth, 1e-6))


def covariance(found: Residuals, camera_from_map: Tensor) -> Tensor:
    """Return the covariances (B, 6, 6) of the camera's perturbation in world axes [m, rad].

    sigma^2 H^-1, with sigma^2 the weighted mean of the squared residuals; the perturbation of
    camera_from_map on the left moves the camera by its inverse rotation.
    """
    variance = (found.weight * found.squared).sum(1) / found.weight.sum(1).clamp(min=1e-9)
    hessian = found.hessian.double()
    size = hessian.diagonal(dim1=-2, dim2=-1).clamp(min=1e-12).rsqrt()
    scaled = hessian * size[:, :, None] * size[:, None, :]
    identity = torch.eye(6, dtype=scaled.dtype, device=scaled.device)
    inverse = torch.linalg.inv(scaled + 1e-9 * identity) * size[:, :, None] * size[:, None, :]
    axes = camera_from_map[:, :3, :3].mT.double()
    mapping = torch.zeros_like(inverse)
    mapping[:, :3, :3] = mapping[:, 3:, 3:] = axes
    result: Tensor = variance[:, None, None].double() * mapping @ inverse @ mapping.mT
    return result
