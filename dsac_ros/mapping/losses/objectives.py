# SPDX-License-Identifier: Apache-2.0
"""Objectives of DSAC++ and DSAC* on scene coordinates, before training through RANSAC.

An objective is a mean loss of points (N, 3) in scene units for patches (N); errors are Euclidean,
where the curriculum of ACE (`losses`) takes sums of absolute values.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from dsac_ros.mapping.losses.curriculum import (
    LossConfig,
    LossTerms,
    Patches,
    residual,
    target,
    to_camera,
)

# A coordinate that nothing bounds runs away: the reprojection error falls with distance.
CONFIG = LossConfig(max_depth=10.0)
SOFT_CLAMP_PX = 100.0  # beyond it errors count with their square root (DSAC*)
NEAR_TARGET = 0.05  # of a measured point: DSAC*'s 0.1 m in a scene 2 m deep [scene units]
NEAR_PX = 10.0  # what RANSAC calls an inlier


@dataclass(frozen=True)
class CoordinateErrors:
    """Errors of N points: depth and distance to the target (N,) [scene units], error (N,) [px].

    measured (N,) bool: whose target is a measured point; the others' is the proxy at depth 1.
    """

    depth: Tensor
    away: Tensor
    reprojection: Tensor
    measured: Tensor

    @property
    def valid(self) -> Tensor:
        """Valid points (N,) bool (DSAC*, section 3.4)."""
        return (
            (self.depth > CONFIG.min_depth)
            & (self.depth < CONFIG.max_depth)
            & (self.reprojection < CONFIG.max_reprojection_px)
        )


def errors(points: Tensor, patches: Patches) -> CoordinateErrors:
    """Compute the errors of points (N, 3) in scene units for their patches (N)."""
    in_camera = to_camera(points, patches)
    return CoordinateErrors(
        depth=in_camera[:, 2].detach(),
        away=torch.linalg.vector_norm(in_camera - target(patches), dim=1),
        reprojection=torch.linalg.vector_norm(residual(in_camera, patches, CONFIG), dim=1),
        measured=patches.depth > 0,
    )


def soft_clamp(error: Tensor) -> Tensor:
    """Return the error up to SOFT_CLAMP_PX, its square root from there on, without a step."""
    beyond = (SOFT_CLAMP_PX * error.clamp_min(SOFT_CLAMP_PX)).sqrt()
    return torch.where(error < SOFT_CLAMP_PX, error, beyond)


def coordinates(found: CoordinateErrors) -> Tensor:
    """Losses (N,) of DSAC++'s first stage and of DSAC* from RGB-D: the distance to the target.

    An image with measured points asks nothing of cells without; one with none has proxies.
    """
    wanted = found.measured | ~found.measured.any()
    return CONFIG.proxy_weight * found.away * wanted * (len(wanted) / wanted.sum())


def reprojection(found: CoordinateErrors) -> Tensor:
    """Losses (N,) of DSAC++'s second stage: the reprojection error alone."""
    return soft_clamp(found.reprojection)


def guided(found: CoordinateErrors) -> Tensor:
    """Losses (N,) of DSAC*: the reprojection error of what is valid, else the distance.

    A cell with a measured point is valid near that point only (the seed's case I, else case II).
    """
    near = ~found.measured | (found.away < NEAR_TARGET)
    return torch.where(
        found.valid & near, soft_clamp(found.reprojection), CONFIG.proxy_weight * found.away
    )


def heuristic(found: CoordinateErrors) -> Tensor:
    """Losses (N,) of DSAC* without depth: the target is a guess that only starts a point off."""
    return torch.where(
        found.valid, soft_clamp(found.reprojection), CONFIG.proxy_weight * found.away
    )


OBJECTIVES: dict[str, Callable[[CoordinateErrors], Tensor]] = {
    'coordinates': coordinates,
    'reprojection': reprojection,
    'guided': guided,
    'heuristic': heuristic,
}


def objective_terms(name: str, points: Tensor, patches: Patches) -> LossTerms:
    """The mean loss of an objective, and the shares that progress is judged by."""
    found = errors(points, patches)
    return terms_of(OBJECTIVES[name](found).mean(), found)


def terms_of(loss: Tensor, found: CoordinateErrors) -> LossTerms:
    """A loss (), and the shares that progress is judged by."""
    return LossTerms(
        total=loss,
        valid=found.valid.float().mean(),
        near=(found.valid & (found.reprojection < NEAR_PX)).float().mean(),
    )
