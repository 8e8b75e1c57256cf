# SPDX-License-Identifier: Apache-2.0
"""Poses from minimal sets: P3P from pixels, Kabsch where the depth of all three is measured.

With depth, three points have one pose instead of four, and its error is independent of the ray's
depth ambiguity (DSAC*, TPAMI 2021, section 3.2).
"""

from __future__ import annotations

import torch
from torch import Tensor

from dsac_ros.ransac.correspondences import Correspondences
from dsac_ros.ransac.kabsch import solve_kabsch
from dsac_ros.ransac.p3p import first_solutions, solve_p3p, spans_triangle
from dsac_ros.ransac.selection import first, take


def solve_minimal(correspondences: Correspondences, sets: Tensor) -> tuple[Tensor, Tensor]:
    """Solve minimal sets for up to four poses each, or one where all three cells have a depth.

    Args:
        correspondences: of B images.
        sets: cells (B, H, 3); a set with an invalid cell has no solution.

    Returns:
        camera_from_world (B, H, 4, 4, 4) and a mask (B, H, 4) of the valid solutions.
    """
    corners = correspondences.take(sets.flatten(1))
    shape = (*sets.shape, 3)
    points, rays = corners.points.reshape(shape), corners.rays.reshape(shape)
    poses, valid = solve_p3p(points, rays)
    if corners.inverse_depth is not None:
        near = corners.inverse_depth.reshape(sets.shape)
        measured = (near > 0.0).all(-1)
        camera = rays / near.where(near > 0.0, 1.0)[..., None]
        single, determined = solve_kabsch(points, camera)
        # Rounding makes a thin triangle of three collinear points, which Kabsch accepts.
        rows = points.detach().reshape(-1, 9).T.double().unflatten(0, (3, 3))
        determined = determined & spans_triangle(rows, points.dtype).view(determined.shape)
        is_first = torch.arange(4, device=sets.device) == 0
        poses = torch.where(measured[..., None, None, None], single[..., None, :, :], poses)
        valid = torch.where(measured[..., None], determined[..., None] & is_first, valid)
    return poses, valid & corners.valid.reshape(sets.shape).all(-1, keepdim=True)


def first_poses(
    correspondences: Correspondences, sets: Tensor, count: int
) -> tuple[Tensor, Tensor]:
    """Return the first `count` solutions of `solve_minimal`.

    Returns:
        Poses (B, count, 4, 4) and a mask (B, count) of the valid ones.
    """
    if correspondences.inverse_depth is not None:
        poses, valid = solve_minimal(correspondences, sets)
        chosen, filled = first(valid.flatten(1), count)
        return take(poses.flatten(1, 2), chosen), filled
    corners = correspondences.take(sets.flatten(1))
    points, rays, valid = (
        x.unflatten(1, sets.shape[1:]) for x in (corners.points, corners.rays, corners.valid)
    )
    # A ray of length zero has no solution.
    return first_solutions(points, rays * valid.all(-1)[..., None, None], count)
