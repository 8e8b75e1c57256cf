# SPDX-License-Identifier: Apache-2.0
"""Perspective-three-point in closed form: all real solutions of every minimal set at once.

The distances d_i along the unit rays f_i satisfy the three laws of cosines
d_i^2 + d_j^2 - 2 c_ij d_i d_j = |X_i - X_j|^2 with c_ij = f_i . f_j (Grunert, 1841). Eliminating
the scale leaves two conics in (d_1 : d_2 : d_3); a real root of one cubic gives the degenerate
member of their pencil, a pair of lines, and each line intersects the pencil in at most two points
(Persson and Nordberg, 'Lambda Twist', ECCV 2018; Ding et al., 'Revisiting the P3P Problem', CVPR
2023). There are no branches: invalid solutions are computed with the rest and masked. A last
Newton step on the laws of cosines polishes the distances and alone carries their derivative, which
is that of the implicit function: no root of the closed form is differentiated.

Inside, components come first and the S sets last, (3, S): every operation then runs over
contiguous memory. A symmetric 3x3 is six rows, in the order 11, 12, 13, 22, 23, 33.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from dsac_ros.geometry.checks import check_shapes
from dsac_ros.ransac.conics import intersect, real_root, split_into_lines, unit
from dsac_ros.ransac.selection import first

# Smallest relative area of a triangle and smallest angle between two rays [rad].
MIN_AREA = 1e-4
MIN_ANGLE = 1e-6
# Replaces degenerate sets, so that no NaN arises.
TRIANGLE = ((0.0, 0.0, 1.0), (1.0, 0.0, 1.0), (0.0, 1.0, 1.0))


def solve_p3p(points_world: Tensor, rays_camera: Tensor) -> tuple[Tensor, Tensor]:
    """Find the camera poses in which three points lie on three rays.

    Args:
        points_world: (..., 3, 3), one point per row, any unit.
        rays_camera: (..., 3, 3), one direction per row, of any positive length.

    Returns:
        camera_from_world (..., 4, 4, 4), up to four poses per set in the dtype of the points, and
        a mask (..., 4) of the valid ones; the others are finite and meaningless. First derivatives
        by points and rays exist except at double solutions.
    """
    check_shapes(points_world=(points_world, '... 3 3'), rays_camera=(rays_camera, '... 3 3'))
    batch = points_world.shape[:-2]
    sets, distances, possible = _candidates(points_world, rays_camera)
    poses, valid = _poses(sets.each(4), distances.flatten(1), possible.flatten())
    return (
        poses.unflatten(-1, (4, -1)).permute(3, 2, 0, 1).reshape(*batch, 4, 4, 4),
        valid.unflatten(0, (4, -1)).T.reshape(*batch, 4),
    )


def first_solutions(
    points_world: Tensor, rays_camera: Tensor, count: int
) -> tuple[Tensor, Tensor]:
    """Return the first `count` solutions of `solve_p3p` of each image.

    Less than half of the four roots of a random set are real; the others cost nothing from here
    on.

    Args:
        points_world: (B, H, 3, 3).
        rays_camera: (B, H, 3, 3).
        count: number of solutions per image.

    Returns:
        Poses (B, count, 4, 4) and a mask (B, count) of the valid ones.
    """
    check_shapes(points_world=(points_world, 'B H 3 3'), rays_camera=(rays_camera, 'B H 3 3'))
    images, size = points_world.shape[:2]
    sets, distances, possible = _candidates(points_world, rays_camera)
    chosen, filled = first(possible.reshape(4, images, size).permute(1, 2, 0).flatten(1), count)
    offset = size * torch.arange(images, device=chosen.device)[:, None]
    own = (chosen // 4 + offset).flatten()
    root = own + images * size * (chosen % 4).flatten()
    poses, valid = _poses(
        sets.take(own), distances.flatten(1).index_select(1, root), filled.flatten()
    )
    return poses.movedim(-1, 0).reshape(images, count, 4, 4), valid.reshape(images, count)


@dataclass(frozen=True)
class _Sets:
    """Minimal sets: points and unit rays (3, 3, S), cosines and squared sides (3, S).

    Squared sides are relative to the longest of each set, whose square is `size` (S,).
    """

    points: Tensor
    rays: Tensor
    cosines: Tensor
    sides: Tensor
    size: Tensor

    def each(self, times: int) -> _Sets:
        """Repeat all sets, one copy after the other."""
        return _Sets(*(x.repeat(*(1,) * (x.dim() - 1), times) for x in self.fields()))

    def take(self, chosen: Tensor) -> _Sets:
        """Select the sets `chosen` (J,)."""
        return _Sets(*(x.index_select(-1, chosen) for x in self.fields()))

    def to(self, dtype: torch.dtype) -> _Sets:
        """Convert to another precision."""
        return _Sets(*(x.to(dtype) for x in self.fields()))

    def fields(self) -> tuple[Tensor, ...]:
        """Return all five tensors."""
        return self.points, self.rays, self.cosines, self.sides, self.size


def _candidates(points_world: Tensor, rays_camera: Tensor) -> tuple[_Sets, Tensor, Tensor]:
    """Return the sets, distances (3, 4, S) of four roots each, and a mask (4, S) of candidates."""
    dtype = points_world.dtype
    points, rays = (
        x.reshape(-1, 9).T.double().contiguous().unflatten(0, (3, 3))
        for x in (points_world, rays_camera)
    )
    with torch.no_grad():
        triangle = spans_triangle(points, dtype) & _are_distinct(
            rays / rays.square().sum(1, keepdim=True).sqrt()
        )
    stand_in = torch.tensor(TRIANGLE, dtype=points.dtype, device=points.device)[..., None]
    points, rays = torch.where(triangle, points, stand_in), torch.where(triangle, rays, stand_in)
    rays = rays / rays.square().sum(1, keepdim=True).sqrt()
    # Side k joins the corners k and k + 1: cosines and squared lengths in the order 12, 23, 31.
    cosines = (rays * rays.roll(-1, 0)).sum(1)
    sides = (points - points.roll(-1, 0)).square().sum(1)
    size = sides.amax(0)
    sides = sides / size
    sets = _Sets(points, rays, cosines, sides, size).to(dtype)
    with torch.no_grad():
        lines, other, real = _intersect_conics(cosines, sides)
        # Digits cancel in the cubic and its lines; from here the dtype of the points will do.
        directions, crossing = intersect(lines.to(dtype), other.to(dtype))
        distances, positive = _scale(directions, sets.cosines[:, None], sets.sides[:, None])
    return sets, distances, triangle & real & crossing & positive


def _poses(sets: _Sets, distances: Tensor, possible: Tensor) -> tuple[Tensor, Tensor]:
    """Polish distances (3, S); return poses (4, 4, S) and a mask (S,) of the valid ones."""
    distances = _polish(distances, sets.cosines, sets.sides)
    valid = possible & _satisfies_cosine_laws(distances, sets.cosines, sets.sides)
    distances = torch.where(valid, distances * sets.size.sqrt(), 1.0)
    return _align_triangles(sets.points, distances[:, None] * sets.rays), valid


def _cross(a: Tensor, b: Tensor) -> Tensor:
    """Return the cross product of vectors (3, ...)."""
    (a1, a2, a3), (b1, b2, b3) = a, b
    return torch.stack((a2 * b3 - a3 * b2, a3 * b1 - a1 * b3, a1 * b2 - a2 * b1))


def spans_triangle(points: Tensor, dtype: torch.dtype) -> Tensor:
    """Return whether three points are farther from a line than MIN_AREA.

    By Heron's formula, which needs float64; False for a triangle whose squares overflow `dtype`.

    Args:
        points: (3, 3, S), one point per row.
        dtype: of the computations that follow.

    Returns:
        Mask (S,).
    """
    sides = (points - points.roll(-1, 0)).square().sum(1)
    longest = sides.amax(0)
    a, b, c = sides / longest
    squared_area = a * b - 0.25 * (a + b - c).square()
    proper: Tensor = (squared_area > MIN_AREA**2) & (longest < 0.1 * torch.finfo(dtype).max)
    return proper


def _are_distinct(rays: Tensor) -> Tensor:
    """Return whether three unit rays (3, 3, S) are distinct: (S,)."""
    cosines = (rays * rays.roll(-1, 0)).sum(1)
    return cosines.amax(0) < 1.0 - 0.5 * MIN_ANGLE**2


def _intersect_conics(cosines: Tensor, sides: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return two lines (3, 2, S) and a conic (6, S) with the intersections of both conics.

    Also a mask (S,) of the sets whose lines are real.
    """
    (c12, c23, c31), (s12, s23, s31) = cosines, sides
    zero = torch.zeros_like(s23)
    first = torch.stack((s23, -s23 * c12, zero, s23 - s12, s12 * c23, -s12))
    second = torch.stack((s23, zero, -s23 * c31, -s31, s31 * c23, s23 - s31))
    gamma = _degenerate_member(cosines, sides)
    lines, real = split_into_lines(torch.addcmul(first, gamma, second))
    # The member of the pencil farthest from the degenerate one keeps the crossing well posed.
    return lines, torch.addcmul(second, gamma, first, value=-1.0) / (1.0 + gamma.abs()), real


def _degenerate_member(cosines: Tensor, sides: Tensor) -> Tensor:
    """Return a real gamma (S,) with det(first + gamma second) = 0, of the three laws' conics.

    The determinant is divided by s23 (Persson and Nordberg, 2018, eq. 13 to 16, in our order).
    """
    (c12, c23, c31), (s12, s23, s31) = cosines, sides
    sine12, sine23, sine31 = 1.0 - cosines * cosines
    twisted = s23 * (c12 * c23 * c31 - 1.0)
    area23 = s31 * sine23
    c3 = s31 * (area23 - s23 * sine31)
    c2 = 2.0 * s31 * twisted + (2.0 * s12 + s31) * area23 + s23 * (s23 - s12) * sine31
    c1 = s12 * (s12 * sine23 + 2.0 * (twisted + area23)) + s23 * (s23 - s31) * sine12
    c0 = s12 * (s12 * sine23 - s23 * sine12)
    scale = torch.where(c3 == 0.0, torch.finfo(c3.dtype).tiny, c3).reciprocal()
    return real_root(c2 * scale, c1 * scale, c0 * scale)


def _squared_sides(d: Tensor, cosines: Tensor) -> Tensor:
    """Return the squared sides (3, ...) between points at distances d along the rays."""
    after = d.roll(-1, 0)
    return d * (d - 2.0 * cosines * after) + after * after


def _scale(directions: Tensor, cosines: Tensor, sides: Tensor) -> tuple[Tensor, Tensor]:
    """Return distances (3, 4, S) along (d_1 : d_2 : d_3) and a mask (4, S) of positive ones."""
    total = _squared_sides(directions, cosines).sum(0)
    scale = (sides.sum(0) / total.clamp(min=torch.finfo(total.dtype).tiny)).sqrt()
    d = directions * torch.copysign(scale, directions.sum(0))
    # A side, at most 1, is at least d times the sine of the angle at which it is seen.
    positive = (d.amin(0) > 0.0) & (d.amax(0) < 2.0 / MIN_ANGLE)
    return torch.where(positive, d, 1.0), positive


def _polish(d: Tensor, cosines: Tensor, sides: Tensor) -> Tensor:
    """Take one Newton step towards distances (3, S) that satisfy the laws of cosines.

    Its derivative by cosines and sides is that of the solution if d is a solution already. Large
    steps, as at a double solution, are not taken.
    """
    e1, e2, e3 = _squared_sides(d, cosines) - sides
    # Row k of the Jacobian holds g_k at the corner k and h_k at the corner k + 1.
    after, twice = d.roll(-1, 0), 2.0 * cosines.detach()
    (g1, g2, g3), (h1, h2, h3) = 2.0 * d - twice * after, 2.0 * after - twice * d
    det = g1 * g2 * g3 + h1 * h2 * h3
    step = torch.stack(
        (
            g2 * g3 * e1 - h1 * g3 * e2 + h1 * h2 * e3,
            h2 * h3 * e1 + g1 * g3 * e2 - g1 * h2 * e3,
            h1 * h3 * e2 - g2 * h3 * e1 + g1 * g2 * e3,
        )
    )
    small = (step.detach().abs() - 0.1 * d * det.abs()).amax(0) < 0.0
    return d - step * torch.where(small, 1.0 / det, 0.0)


def _satisfies_cosine_laws(d: Tensor, cosines: Tensor, sides: Tensor) -> Tensor:
    """Return whether distances (3, S) are a solution, to half of the digits: (S,)."""
    excess = (_squared_sides(d, cosines) - sides).abs().amax(0)
    obeys: Tensor = excess < torch.finfo(d.dtype).eps ** 0.5
    return obeys


def _align_triangles(points_world: Tensor, points_camera: Tensor) -> Tensor:
    """Return camera_from_world (4, 4, S) of triangles (3, 3, S) in the world and in the camera."""
    world, camera = _triad(points_world), _triad(points_camera)
    rotation = (camera[:, :, None] * world[:, None]).sum(0)
    shift = points_camera[0] - (rotation * points_world[0]).sum(1)
    top = torch.cat((rotation, shift[:, None]), 1)
    bottom = torch.zeros_like(top[:1])
    bottom[:, 3] = 1.0
    return torch.cat((top, bottom))


def _triad(triangle: Tensor) -> Tensor:
    """Return orthonormal axes (3, 3, ...), one per row, attached to a triangle (3, 3, ...)."""
    first = unit(triangle[1] - triangle[0])
    third = unit(_cross(first, triangle[2] - triangle[0]))
    return torch.stack((first, _cross(third, first), third))
