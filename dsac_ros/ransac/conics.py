# SPDX-License-Identifier: Apache-2.0
"""Batched degenerate conics of the projective plane and their intersection with lines.

Components come first and the S sets last: a point or a line is (3, S), a conic the six entries
11, 12, 13, 22, 23, 33 of its symmetric matrix. There are no branches: complex solutions are
computed with the real ones and masked.
"""

from __future__ import annotations

import torch
from torch import Tensor

ROOT_STEPS = 2
# Roundings by which the discriminant of a double solution may fall short of zero.
TANGENT = 64.0


def unit(a: Tensor) -> Tensor:
    """Normalize vectors (3, ...); a zero vector stays zero."""
    square = a.square().sum(0)
    return a * square.clamp(min=torch.finfo(a.dtype).tiny).rsqrt()


def real_root(b: Tensor, c: Tensor, d: Tensor) -> Tensor:
    """Return the best separated real root (S,) of x^3 + b x^2 + c x + d.

    Args:
        b: coefficients (S,).
        c: coefficients (S,).
        d: coefficients (S,).
    """
    third = b / 3.0
    q = third * third - c / 3.0
    r = third * (third * third - 0.5 * c) + 0.5 * d
    # Three real roots where r^2 < q^3 (Viete), else the one of Cardano.
    q_cubed = q * q * q
    root_q = q.clamp(min=0.0).sqrt()
    cosine = (r.abs() / (root_q * q).clamp(min=torch.finfo(q.dtype).tiny)).clamp(max=1.0)
    outermost = 2.0 * root_q * torch.cos(torch.acos(cosine) / 3.0)
    u = ((r * r - q_cubed).clamp(min=0.0).sqrt() + r.abs()) ** (1.0 / 3.0)
    single = u + q / torch.where(u == 0.0, 1.0, u)
    x = -torch.where(r * r < q_cubed, outermost, single) * r.sign() - third
    for _ in range(ROOT_STEPS):
        slope = (3.0 * x + 2.0 * b) * x + c
        value = ((x + b) * x + c) * x + d
        x = x - value / torch.where(slope == 0.0, torch.inf, slope)
    return x


def split_into_lines(conic: Tensor) -> tuple[Tensor, Tensor]:
    """Split a degenerate conic into its two lines.

    C = l m^T + m l^T has adj(C) = -p p^T with p = l x m, and C + [p]_x has rank one: its longest
    row and column are the lines.

    Args:
        conic: (6, S).

    Returns:
        The lines (3, 2, S) and a mask (S,) of those that are real.
    """
    a, b, c, d, e, f = conic
    aa, ab, ac = d * f - e * e, c * e - b * f, b * e - c * d
    bb, bc, cc = a * f - c * c, b * c - a * e, a * d - b * b
    trace = aa + bb + cc
    crossing = longest(torch.stack((aa, ab, ac, ab, bb, bc, ac, bc, cc)).unflatten(0, (3, 3)))
    x, y, z = unit(crossing) * trace.abs().sqrt()
    rows = torch.stack((a, b - z, c + y, b + z, d, e - x, c - y, e + x, f)).unflatten(0, (3, 3))
    return longest(torch.stack((rows, rows.transpose(0, 1)), 2)), trace < 0.0


def longest(vectors: Tensor) -> Tensor:
    """Return the longest of three vectors (3, 3, ...) of each set."""
    a, b, c = vectors
    a2, b2, c2 = vectors.square().sum(1)
    return torch.where(torch.maximum(a2, b2) >= c2, torch.where(a2 >= b2, a, b), c)


def intersect(line: Tensor, conic: Tensor) -> tuple[Tensor, Tensor]:
    """Intersect lines with conics.

    Args:
        line: (3, 2, S).
        conic: (6, S).

    Returns:
        Points (3, 4, S) and a mask (4, S) of the real ones. Of a tangent line, one of the two
        points may be zero in all components; the other is the point of contact.
    """
    # A basis of the plane normal to the line without a branch (Duff et al., JCGT 2017).
    x, y, z = unit(line)
    sign = torch.copysign(torch.ones_like(z), z)
    h = -1.0 / (sign + z)
    p = torch.stack((1.0 + sign * x * x * h, sign * x * y * h, -sign * x))
    q = torch.stack((x * y * h, sign + y * y * h, -y))
    c1, c2, c3, c4, c5, c6 = conic

    def image(x: Tensor) -> Tensor:
        return torch.stack(
            (
                c1 * x[0] + c2 * x[1] + c3 * x[2],
                c2 * x[0] + c4 * x[1] + c5 * x[2],
                c3 * x[0] + c5 * x[1] + c6 * x[2],
            )
        )

    image_q = image(q)
    a, b, c = (p * image(p)).sum(0), (p * image_q).sum(0), (q * image_q).sum(0)
    discriminant = b * b - a * c
    # Where the line touches the conic two solutions meet, and rounding must not lose them both. It
    # is that of the largest of the three: touched in the direction of p, a and b are nothing else.
    largest = torch.maximum(torch.maximum(a.abs(), b.abs()), c.abs())
    rounding = TANGENT * torch.finfo(a.dtype).eps * largest * largest
    # a s^2 + 2 b s t + c t^2 = 0: (s : t) = (k : a) and (c : k) lose no digits and no infinity.
    k = -(b + torch.copysign(discriminant.clamp(min=0.0).sqrt(), b))
    points = torch.cat((k * p + a * q, c * p + k * q), 1)
    return points, (discriminant >= -rounding).repeat(2, 1)
