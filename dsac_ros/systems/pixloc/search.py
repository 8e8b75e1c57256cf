# SPDX-License-Identifier: Apache-2.0
"""Rotations of a start, compared by the featuremetric cost at the coarsest step.

The paper starts at the pose of a retrieved image alone; the alignment reaches as far as a few
cells of the coarsest features do. A camera that stands there but looks elsewhere is beyond that,
and comparing some hundred rotations costs as much as one step of the optimiser.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from dsac_ros.geometry.rotation import matrix_from_axis_angle
from dsac_ros.systems.pixloc.featuremetric import Field, ReferencePoints, nearest, project

#: Angles between the compared rotations and the widest one, about the camera's axes: up and down,
#: sideways, about the optical axis [rad].
ANGLE = math.radians(6.0)
COUNTS = (3, 4, 1)  # rotations to either side
ROLL = math.radians(12.0)


def rotations(device: torch.device | str = 'cpu') -> Tensor:
    """Return the compared rotations (R, 4, 4) of a camera; the first one is none."""
    angles = [
        torch.arange(-count, count + 1) * angle
        for count, angle in zip(COUNTS, (ANGLE, ANGLE, ROLL))
    ]
    turns = torch.cartesian_prod(*angles).to(device)
    turns = turns[turns.norm(dim=1).argsort(stable=True)]
    motions = torch.eye(4, device=device).repeat(len(turns), 1, 1)
    motions[:, :3, :3] = matrix_from_axis_angle(turns)
    return motions


def costs(
    reference: ReferencePoints,
    field: Field,
    camera_from_map: Tensor,
    matrix: Tensor,
    scale: Tensor,
) -> Tensor:
    """Return the robust costs (B,) of poses (B, 4, 4) that see the same points (1, N, 3).

    A point out of view costs as much as one does on average over all poses: neither to see little
    nor to see much is an advantage.
    """
    camera, pixels = project(reference.points, camera_from_map, matrix)
    features, _, _, inside = field.sample(pixels)
    squared = (features - reference.features).square().sum(-1)
    cost = (squared / (2 * scale**2)).log1p()
    in_view = inside & (camera[..., 2] > nearest(camera))
    typical = (cost * in_view).sum() / in_view.sum().clamp(min=1)
    weight = reference.weight
    total = (weight * torch.where(in_view, cost, typical)).sum(1)
    result: Tensor = total / weight.sum().clamp(min=1e-6)
    return result
