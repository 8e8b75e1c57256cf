# SPDX-License-Identifier: Apache-2.0
"""Poses from minimal sets: P3P from pixels, Kabsch where a sensor measured the depth of all three.

With depth three points have one pose and not four, and its error does not grow with that of a
viewing ray (DSAC*, TPAMI 2021, section 3.2).
"""
from __future__ import annotations

import torch
from torch import Tensor

from dsac_ros.ransac.correspondences import Correspondences
from dsac_ros.ransac.kabsch import solve_kabsch
from dsac_ros.ransac.p3p import first_solutions, solve_p3p, spans_triangle
from dsac_ros.ransac.selection import first, take


def solve_minimal(seen: Correspondences, sets: Tensor) -> tuple[Tensor, Tensor]:
    """camera_from_world (B, H, 4, 4, 4) of sets (B, H, 3) of cells, and which are solutions.

    Up to four poses a set (B, H, 4); one where all three cells have a depth. A cell that is not
    valid has no part in any.
    """
    corners = seen.take(sets.flatten(1))
    shape = (*sets.shape, 3)
    points, rays = corners.points.reshape(shape), corners.rays.reshape(shape)
    poses, solved = solve_p3p(points, rays)
    if corners.nearness is not None:
        near = corners.nearness.reshape(sets.shape)
        measured = (near > 0.0).all(-1)
        camera = rays / near.where(near > 0.0, 1.0)[..., None]
        single, determined = solve_kabsch(points, camera)
        # Kabsch takes the rounding of three points on a line for a triangle.
        rows = points.detach().reshape(-1, 9).T.double().unflatten(0, (3, 3))
        determined = determined & spans_triangle(rows, points.dtype).view(determined.shape)
        only = torch.arange(4, device=sets.device) == 0
        poses = torch.where(measured[..., None, None, None], single[..., None, :, :], poses)
        solved = torch.where(measured[..., None], determined[..., None] & only, solved)
    return poses, solved & corners.valid.reshape(sets.shape).all(-1, keepdim=True)


def first_poses(seen: Correspondences, sets: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The first `count` solutions of `solve_minimal`: poses (B, count, 4, 4), and which are."""
    if seen.nearness is not None:
        poses, solved = solve_minimal(seen, sets)
        chosen, filled = first(solved.flatten(1), count)
        return take(poses.flatten(1, 2), chosen), filled
    corners = seen.take(sets.flatten(1))
    points, rays, valid = (x.unflatten(1, sets.shape[1:]) for x in (
        corners.points, corners.rays, corners.valid))
    # Without a direction there is no solution.
    return first_solutions(points, rays * valid.all(-1)[..., None, None], count)
