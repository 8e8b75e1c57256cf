# SPDX-License-Identifier: Apache-2.0
"""Bounded influence: no correspondence determines a pose against all others.

A robust loss bounds what a large residual does to a pose. It does not bound what a near point
does, whose pixel moves so much with the camera that the fit leaves it no residual (Huber 1981;
Hampel et al., Robust Statistics, 1986, section 6.3). The leverage of a correspondence is its own
share of the information about its pixel: 0 where others determine that pixel, 1 where it alone
does. Weights are lowered until no leverage is high (an estimator of Mallows' type).
"""

from __future__ import annotations

import torch
from torch import Tensor

from dsac_ros.ransac.refine import EPSILON, Linearised, normal_equations

# High leverage is three times the mean of p / n, for p parameters and n residuals (Velleman and
# Welsch, The American Statistician 1981): of six parameters and two residuals a correspondence.
HIGH = 3.0 * 6 / 2
# A correspondence of more has more information than all others together.
MOST = 0.5
# Lowering one weight raises the leverage of the others.
ROUNDS = 4


def leverage(at: Linearised, weight: Tensor) -> Tensor:
    """Return the leverage (B, K, N) of correspondences: w tr(J H^-1 J^T) / 2, in [0, 1].

    Args:
        at: the linearised residuals; of measured depth nothing is known here.
        weight: (B, K, N) of their squares.
    """
    hessian, _ = normal_equations(at, weight)
    scale = hessian.diagonal(dim1=-2, dim2=-1).clamp(min=EPSILON).rsqrt()
    scaled = hessian * scale[..., None] * scale[..., None, :]
    identity = torch.eye(6, dtype=scaled.dtype, device=scaled.device)
    inverse, _ = torch.linalg.inv_ex(scaled + EPSILON * identity)
    inverse = inverse * scale[..., None] * scale[..., None, :]
    shares = [
        (rows * (inverse @ rows)).sum(-2) * focal_squared[:, None, None]
        for rows, focal_squared in (
            (at.rows_u[..., :6, :].double(), at.focal_squared[:, 0]),
            (at.rows_v[..., :6, :].double(), at.focal_squared[:, 1]),
        )
    ]
    share: Tensor = (weight * (shares[0] + shares[1]) / 2).nan_to_num(0.0).clamp(0.0, 1.0)
    return share


def bounded_influence(at: Linearised, weight: Tensor) -> Tensor:
    """Return factors (B, K, N) in (0, 1] on the weights, for which no leverage is high.

    With s times its weight, the leverage h of a correspondence becomes s h / (1 - h + s h).
    """
    count = (weight > 0).sum(-1, keepdim=True).clamp(min=1)
    most = (HIGH / count).clamp(max=MOST).double()
    factor = torch.ones_like(weight, dtype=torch.float64)
    for _ in range(ROUNDS):
        held = leverage(at, (factor * weight).to(weight.dtype))
        if not bool((held > most).any()):
            break
        lower = most / (1 - most) * (1 - held) / held.clamp(min=EPSILON)
        factor = (factor * lower).clamp(min=EPSILON, max=1.0)
    return factor.to(weight.dtype)
