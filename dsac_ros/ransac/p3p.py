# SPDX-License-Identifier: Apache-2.0
"""Perspective-three-point in closed form: all real solutions of every minimal set at once.

The distances d_i along the unit rays f_i obey the three laws of cosines
d_i^2 + d_j^2 - 2 c_ij d_i d_j = |X_i - X_j|^2 with c_ij = f_i . f_j (Grunert, 1841). Eliminating
the scale leaves two conics in (d_1 : d_2 : d_3); a real root of one cubic gives the member of
their pencil that falls apart into two lines, and each line meets the pencil in at most two points
(Persson and Nordberg, 'Lambda Twist', ECCV 2018; Ding et al., 'Revisiting the P3P Problem', CVPR
2023). Nothing branches: what is not a solution is computed with the rest and masked.
"""
from __future__ import annotations

import torch
from torch import Tensor

from dsac_ros.geometry.checks import check_shapes

# Where the triangle's sine or a ray's angle [rad] is below this, three points are a line.
DEGENERATE = 1e-6
POLISH_STEPS = 2


def solve_p3p(points_world: Tensor, rays_camera: Tensor) -> tuple[Tensor, Tensor]:
    """The poses that see three points along three rays.

    Args:
        points_world: (..., 3, 3), one point per row, any unit.
        rays_camera: (..., 3, 3), one direction per row, of any positive length.

    Returns:
        camera_from_world (..., 4, 4, 4), up to four poses per set in the dtype of the points, and
        which of them are solutions (..., 4) bool; the rest are the identity.
    """
    check_shapes(points_world=(points_world, '... 3 3'), rays_camera=(rays_camera, '... 3 3'))
    points, rays = points_world.double(), rays_camera.double()
    rays = rays / torch.linalg.vector_norm(rays, dim=-1, keepdim=True)
    next_points, next_rays = points.roll(-1, -2), rays.roll(-1, -2)
    # Side k joins the corners k and k + 1: cosines and squared lengths in the order 12, 23, 31.
    cosines = (rays * next_rays).sum(-1)
    sides = (points - next_points).square().sum(-1)
    size = sides.amax(-1, keepdim=True)
    sides = sides / size

    directions, real = _intersect_conics(cosines, sides)
    distances, solved = _scale_and_polish(directions, cosines, sides)
    distances = distances * size.sqrt()[..., None]
    poses = _align_triangles(points, distances[..., None] * rays[..., None, :, :])
    valid = (real & solved & _is_triangle(points, rays)[..., None]
             & poses.isfinite().flatten(-2).all(-1))
    identity = torch.eye(4, dtype=poses.dtype, device=poses.device)
    poses = torch.where(valid[..., None, None], poses, identity)
    return poses.to(points_world.dtype), valid


def _is_triangle(points: Tensor, rays: Tensor) -> Tensor:
    """Whether three points (..., 3, 3) and their unit rays span a triangle each: (...)."""
    a, b = points[..., 1, :] - points[..., 0, :], points[..., 2, :] - points[..., 0, :]
    area = torch.linalg.vector_norm(torch.linalg.cross(a, b), dim=-1)
    longest = (points - points.roll(-1, -2)).square().sum(-1).amax(-1)
    apart = torch.linalg.vector_norm(rays - rays.roll(-1, -2), dim=-1).amin(-1)
    return (area > DEGENERATE * longest) & (apart > DEGENERATE)


def _cofactors(matrix: Tensor) -> Tensor:
    """Cofactor matrix of (..., 3, 3): for a symmetric one, the adjugate."""
    return torch.linalg.cross(matrix.roll(-1, -2), matrix.roll(-2, -2))


def _laws_of_cosines(cosines: Tensor) -> Tensor:
    """Quadratic forms (..., 3, 3, 3) of the sides 12, 23, 31: d^T M_k d = |side k|^2."""
    form = torch.zeros(*cosines.shape, 3, 3, dtype=cosines.dtype, device=cosines.device)
    corner = torch.arange(3, device=cosines.device)
    after = (corner + 1) % 3
    form[..., corner, corner, corner] = 1.0
    form[..., corner, after, after] = 1.0
    form[..., corner, corner, after] = -cosines
    form[..., corner, after, corner] = -cosines
    return form


def _intersect_conics(cosines: Tensor, sides: Tensor) -> tuple[Tensor, Tensor]:
    """Directions of (d_1, d_2, d_3) that meet both conics: (..., 4, 3), and which are real."""
    form = _laws_of_cosines(cosines)
    scaled = sides[..., None, None]
    first = scaled[..., 1, :, :] * form[..., 0, :, :] - scaled[..., 0, :, :] * form[..., 1, :, :]
    second = scaled[..., 1, :, :] * form[..., 2, :, :] - scaled[..., 2, :, :] * form[..., 1, :, :]
    gamma = _degenerate_member(first, second)[..., None, None]
    lines, real_lines = _split_into_lines(first + gamma * second)
    # The member of the pencil farthest from the degenerate one keeps the crossing well posed.
    other = (second - gamma * first) / (1.0 + gamma.abs())
    directions, real_points = _meet(lines, other[..., None, :, :])
    real = real_lines[..., None] & real_points.flatten(-2)
    return directions.flatten(-3, -2), real


def _degenerate_member(first: Tensor, second: Tensor) -> Tensor:
    """A real gamma (...) with det(first + gamma second) = 0, for symmetric (..., 3, 3)."""
    cof_first, cof_second = _cofactors(first), _cofactors(second)
    c0 = (first[..., 0, :] * cof_first[..., 0, :]).sum(-1)
    c1 = (cof_first * second).flatten(-2).sum(-1)
    c2 = (cof_second * first).flatten(-2).sum(-1)
    c3 = (second[..., 0, :] * cof_second[..., 0, :]).sum(-1)
    tiny = torch.finfo(c3.dtype).tiny
    c3 = torch.where(c3.abs() < tiny, torch.full_like(c3, tiny), c3)
    return _real_root(c2 / c3, c1 / c3, c0 / c3)


def _real_root(b: Tensor, c: Tensor, d: Tensor) -> Tensor:
    """The best separated real root of x^3 + b x^2 + c x + d."""
    q, r = (b * b - 3.0 * c) / 9.0, (b * (2.0 * b * b - 9.0 * c) + 27.0 * d) / 54.0
    # Numerical Recipes 5.6: three real roots where r^2 < q^3, else the one of Cardano.
    root_q = q.clamp(min=0.0).sqrt()
    cosine = (r / (root_q ** 3).clamp(min=torch.finfo(q.dtype).tiny)).clamp(-1.0, 1.0)
    outermost = -2.0 * cosine.sign() * root_q * torch.cos(torch.acos(cosine.abs()) / 3.0)
    inside = (r * r - q ** 3).clamp(min=0.0).sqrt() + r.abs()
    u = -r.sign() * inside ** (1.0 / 3.0)
    single = u + torch.where(u == 0.0, u, q / torch.where(u == 0.0, torch.ones_like(u), u))
    x = torch.where(r * r < q ** 3, outermost, single) - b / 3.0
    for _ in range(POLISH_STEPS):
        slope = (3.0 * x + 2.0 * b) * x + c
        step = (((x + b) * x + c) * x + d) / torch.where(slope == 0.0, torch.ones_like(slope), slope)
        x = x - torch.where(slope == 0.0, torch.zeros_like(step), step)
    return x


def _split_into_lines(conic: Tensor) -> tuple[Tensor, Tensor]:
    """The two lines (..., 2, 3) of a degenerate conic (..., 3, 3), and whether they are real.

    C = l m^T + m l^T has adj(C) = -p p^T with p = l x m, and C + [p]_x has rank one: its largest
    row and column are the lines.
    """
    adjugate = _cofactors(conic)
    diagonal = adjugate.diagonal(dim1=-2, dim2=-1)
    pivot = diagonal.abs().argmax(-1, keepdim=True)
    square = diagonal.gather(-1, pivot)
    column = adjugate.gather(-1, pivot[..., None].expand(*conic.shape[:-1], 1))[..., 0]
    meeting = column / square.abs().clamp(min=torch.finfo(conic.dtype).tiny).sqrt()
    zero = torch.zeros_like(square[..., 0])
    x, y, z = meeting.unbind(-1)
    skew = torch.stack((zero, -z, y, z, zero, -x, -y, x, zero), -1).unflatten(-1, (3, 3))
    rank_one = conic + skew
    largest = rank_one.abs().flatten(-2).argmax(-1)[..., None, None]
    row = rank_one.gather(-2, (largest // 3).expand(*conic.shape[:-2], 1, 3))[..., 0, :]
    col = rank_one.gather(-1, (largest % 3).expand(*conic.shape[:-2], 3, 1))[..., 0]
    return torch.stack((row, col), -2), square[..., 0] < 0.0


def _meet(line: Tensor, conic: Tensor) -> tuple[Tensor, Tensor]:
    """Where lines (..., 3) meet conics (..., 3, 3): points (..., 2, 3), and which are real."""
    smallest = line.abs().argmin(-1, keepdim=True)
    axis = torch.zeros_like(line).scatter(-1, smallest, 1.0)
    p = torch.nn.functional.normalize(torch.linalg.cross(line, axis), dim=-1)
    q = torch.nn.functional.normalize(torch.linalg.cross(line, p), dim=-1)
    conic_q = (conic @ q[..., None])[..., 0]
    a = (p * (conic @ p[..., None])[..., 0]).sum(-1)
    b, c = (p * conic_q).sum(-1), (q * conic_q).sum(-1)
    discriminant = b * b - a * c
    # a s^2 + 2 b s t + c t^2 = 0: (s : t) = (k : a) and (c : k) lose no digits and no infinity.
    k = -(b + torch.copysign(discriminant.clamp(min=0.0).sqrt(), b))
    points = torch.stack((k[..., None] * p + a[..., None] * q, c[..., None] * p + k[..., None] * q),
                         -2)
    real = (discriminant >= 0.0)[..., None].expand(*discriminant.shape, 2)
    return points, real


def _scale_and_polish(directions: Tensor, cosines: Tensor, sides: Tensor) -> tuple[Tensor, Tensor]:
    """Distances (..., 4, 3) that obey the laws of cosines, and which are positive and do so."""
    cosines, sides = cosines[..., None, :], sides[..., None, :]
    directions = directions * directions.sum(-1, keepdim=True).sign()

    def excess(d: Tensor, after: Tensor) -> Tensor:
        return d * d + after * after - 2.0 * cosines * d * after

    length = excess(directions, directions.roll(-1, -1)).sum(-1, keepdim=True)
    scale = (sides.sum(-1, keepdim=True)
             / length.clamp(min=torch.finfo(length.dtype).tiny)).sqrt()
    d = directions * scale
    positive = (d > 0.0).all(-1)
    for _ in range(POLISH_STEPS):
        after = d.roll(-1, -1)
        error = excess(d, after) - sides
        # Row k of the Jacobian holds g_k at the corner k and h_k at the corner k + 1.
        g, h = 2.0 * (d - cosines * after), 2.0 * (after - cosines * d)
        g1, g2, g3 = g.unbind(-1)
        h1, h2, h3 = h.unbind(-1)
        e1, e2, e3 = error.unbind(-1)
        det = g1 * g2 * g3 + h1 * h2 * h3
        det = torch.where(det == 0.0, torch.ones_like(det), det)
        step = torch.stack((g2 * g3 * e1 - h1 * g3 * e2 + h1 * h2 * e3,
                            h2 * h3 * e1 + g1 * g3 * e2 - g1 * h2 * e3,
                            -g2 * h3 * e1 + h1 * h3 * e2 + g1 * g2 * e3), -1) / det[..., None]
        d = torch.where((step.abs() < 0.1 * d).all(-1, keepdim=True), d - step, d)
    error = (excess(d, d.roll(-1, -1)) - sides).abs().amax(-1)
    return d, positive & (error < 1e-6)


def _align_triangles(points_world: Tensor, points_camera: Tensor) -> Tensor:
    """camera_from_world (..., 4, 4, 4) from world (..., 3, 3) and camera triangles (..., 4, 3, 3)."""
    world_axes, camera_axes = _triad(points_world)[..., None, :, :], _triad(points_camera)
    rotation = camera_axes.transpose(-1, -2) @ world_axes
    centre = points_world.mean(-2)[..., None, :, None]
    translation = points_camera.mean(-2) - (rotation @ centre)[..., 0]
    top = torch.cat((rotation, translation[..., None]), -1)
    bottom = torch.zeros_like(top[..., :1, :])
    bottom[..., 3] = 1.0
    return torch.cat((top, bottom), -2)


def _triad(triangle: Tensor) -> Tensor:
    """Orthonormal axes (..., 3, 3), one per row, that are fixed to a triangle (..., 3, 3)."""
    a, b = triangle[..., 1, :] - triangle[..., 0, :], triangle[..., 2, :] - triangle[..., 0, :]
    first = torch.nn.functional.normalize(a, dim=-1)
    third = torch.nn.functional.normalize(torch.linalg.cross(a, b), dim=-1)
    return torch.stack((first, torch.linalg.cross(third, first), third), -2)
