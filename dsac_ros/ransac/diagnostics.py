# SPDX-License-Identifier: Apache-2.0
"""Diagnostics of an estimate: distribution of its inliers, agreement of the hypotheses."""

from __future__ import annotations

import torch
from torch import Tensor

from dsac_ros.geometry import se3
from dsac_ros.ransac.correspondences import Correspondences

SPREAD_GRID = (8, 6)
# Two poses agree when they differ by less than this share of the scene's depth and this angle.
AGREE_DEPTH = 0.02
AGREE_RAD = 0.035


def spread(inliers: Tensor, correspondences: Correspondences) -> Tensor:
    """Return the share (B,) of an 8 x 6 grid over the valid cells that holds inliers (B, N)."""
    columns, rows = SPREAD_GRID
    valid = correspondences.valid[..., None]
    low = torch.where(valid, correspondences.pixels, torch.inf).amin(1, keepdim=True)
    high = torch.where(valid, correspondences.pixels, -torch.inf).amax(1, keepdim=True)
    place = (
        ((correspondences.pixels - low) / (high - low).clamp(min=1.0))
        .nan_to_num(0.0)
        .clamp(0.0, 0.999)
    )
    bins = (place[..., 0] * columns).long() + columns * (place[..., 1] * rows).long()
    held = torch.zeros(inliers.shape[0], columns * rows, device=inliers.device)
    return held.scatter_add(1, bins, inliers.to(held.dtype)).clamp(max=1.0).mean(-1)


def agreement(
    camera_from_world: Tensor,
    valid: Tensor,
    winner: Tensor,
    correspondences: Correspondences,
    inliers: Tensor,
) -> Tensor:
    """Return the share (B,) of refined hypotheses that converged to the winner.

    Distances are relative to the median depth of the winner's inliers, so that the tolerance means
    the same in a room and in a street.

    Args:
        camera_from_world: refined hypotheses (B, K, 4, 4).
        valid: which of them are poses (B, K).
        winner: best pose (B, 1, 4, 4).
        correspondences: of the images.
        inliers: of the winner (B, N).
    """
    depth = (winner[:, 0, 2:3, :3] @ correspondences.points.mT + winner[:, 0, 2:3, 3:])[:, 0]
    typical = torch.where(inliers, depth, torch.nan).nanmedian(-1, keepdim=True).values
    distance, angle = se3.pose_error(se3.inverse(camera_from_world), se3.inverse(winner))
    agree = (distance < AGREE_DEPTH * typical) & (angle < AGREE_RAD) & valid
    return agree.to(depth.dtype).mean(-1)
