# SPDX-License-Identifier: Apache-2.0
"""Orthogonal Procrustes: the rotation nearest to a matrix, differentiable wherever it is unique.

For M = U diag(s1, s2, s3) V^T with s1 >= s2 >= s3 >= 0 the proper rotation that maximises
tr(R^T M) is R = U diag(1, 1, d) V^T with d = det(U V^T) (Kabsch 1978, Umeyama 1991). It is unique
as long as s2 + d s3 > 0, also where singular values coincide, which the derivative of an SVD
does not survive.
"""

from __future__ import annotations

import torch
from torch import Tensor

from dsac_ros.geometry.checks import check_shapes
from dsac_ros.geometry.rotation import skew

# Smallest s2 + d s3 relative to the largest singular value of a unique rotation: points that are
# farther from a line than 1e-4 of its length.
MIN_GAP = 1e-8


def nearest_rotation(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Return the rotation (..., 3, 3) nearest to a matrix (..., 3, 3).

    Computed in float64; first derivatives only.

    Returns:
        The rotation, and a mask (...) of unique ones. Otherwise (rank below two, a reflection
        without a preferred axis, NaN) it is the identity and has no gradient.
    """
    check_shapes(matrix=(matrix, '... 3 3'))
    identity = torch.eye(3, dtype=torch.float64, device=matrix.device)
    finite = matrix.isfinite().all(-1).all(-1)
    source = torch.where(finite[..., None, None], matrix.double(), identity)
    with torch.no_grad():
        left, values, right = torch.linalg.svd(source)
        proper = torch.ones_like(values)
        proper[..., 2] = torch.linalg.det(left @ right).sign()
        values = values * proper
        sums = values.sum(-1, keepdim=True) - values
        valid = finite & (sums[..., 0] > MIN_GAP * values[..., 0])
        rotation = (left * proper[..., None, :]) @ right
        rotation = torch.where(valid[..., None, None], rotation, identity)
        sums = torch.where(valid[..., None], sums, torch.inf)
    # R^T M is symmetric at the optimum. One Newton step on that condition,
    # (tr(S) I - S) w = vee(R^T M - M^T R) with S = R^T M = V diag(values) V^T, moves R by no more
    # than rounding and carries the derivative.
    turn = rotation.mT @ source
    skewed = torch.stack(
        (
            turn[..., 2, 1] - turn[..., 1, 2],
            turn[..., 0, 2] - turn[..., 2, 0],
            turn[..., 1, 0] - turn[..., 0, 1],
        ),
        -1,
    )
    step = (right.mT @ ((right @ skewed[..., None]) / sums[..., None])).squeeze(-1)
    return (rotation + rotation @ skew(step)).to(matrix.dtype), valid
