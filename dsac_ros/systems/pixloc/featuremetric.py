# SPDX-License-Identifier: Apache-2.0
"""The featuremetric cost of a pose and its derivatives (Sarlin et al., CVPR 2021, eq. 1 to 3).

    E(T) = sum_i w_i rho(|F_query(pi(T p_i)) - f_i|^2),  w_i = u_query(pi(T p_i)) u_i

for points p_i with features f_i and confidences u_i in reference images. rho is the logarithm of
Cauchy's distribution (Barron, CVPR 2019, alpha = 0). Poses are camera_from_map and perturbed on
the left, T <- exp(d) T.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import grid_sample

from dsac_ros.geometry.rotation import skew
from dsac_ros.systems.pixloc.network import Level

MARGIN_PX = 1.0  # of an image's border, in cells, within which nothing is compared
NEAREST = 1e-3  # depth of points that count, of the median depth


@dataclass(frozen=True)
class ReferencePoints:
    """B sets of N points with what reference images show of them at one level.

    points (B, N, 3) in the map's frame, features (B, N, C), weight (B, N): confidences, 0 for
    points that fill a set up.
    """

    points: Tensor
    features: Tensor
    weight: Tensor


@dataclass(frozen=True)
class Field:
    """A level of the query, ready to be sampled: (B or 1, 3 C + 1, h, w).

    Its channels are the features, their derivatives by u and by v [per px], and the confidence.
    """

    channels: Tensor
    stride: int

    @classmethod
    def of(cls, level: Level) -> Field:
        """Differentiate a level by central differences."""
        features = level.features
        du, dv = torch.zeros_like(features), torch.zeros_like(features)
        step = 2.0 * level.stride
        du[..., 1:-1] = (features[..., 2:] - features[..., :-2]) / step
        dv[..., 1:-1, :] = (features[..., 2:, :] - features[..., :-2, :]) / step
        return cls(torch.cat([features, du, dv, level.confidence], 1), level.stride)

    def sample(self, pixels: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Sample at pixels (B, N, 2).

        Returns:
            Features (B, N, C), their derivatives (B, N, C, 2), confidence (B, N), and whether a
            pixel lies inside (B, N) bool.
        """
        height, width = self.channels.shape[2:]
        sides = pixels.new_tensor([width, height])
        cells = (pixels + 0.5) / self.stride - 0.5
        inside = ((cells >= MARGIN_PX) & (cells <= sides - 1 - MARGIN_PX)).all(-1)
        grid = (2 * cells + 1) / sides - 1
        # outside anything would do, but not infinite coordinates
        grid = torch.where(inside[..., None], grid, torch.zeros_like(grid))
        if len(self.channels) == len(pixels):
            found = grid_sample(self.channels, grid[:, None], align_corners=False)[:, :, 0].mT
        else:
            found = grid_sample(self.channels, grid[None], align_corners=False)[0].permute(1, 2, 0)
        count = (found.shape[-1] - 1) // 3
        features, du, dv, confidence = found.split([count, count, count, 1], -1)
        return features, torch.stack([du, dv], -1), confidence[..., 0], inside


@dataclass(frozen=True)
class Residuals:
    """Cost and normal equations of B poses.

    gradient (B, 6) and hessian (B, 6, 6) of half the sum by the twist of a left perturbation;
    squared (B, N): norms of the residuals; weight (B, N): robust weights times confidences, 0
    where a point is not in view; cost (B,): mean of rho over the points in view, weighted by their
    confidence; in_view (B, N) bool.
    """

    gradient: Tensor
    hessian: Tensor
    squared: Tensor
    weight: Tensor
    cost: Tensor
    in_view: Tensor


def residuals(
    reference: ReferencePoints,
    field: Field,
    camera_from_map: Tensor,
    matrix: Tensor,
    scale: Tensor,
) -> Residuals:
    """Evaluate B poses.

    Args:
        reference: points and their features.
        field: of the query; one for all poses, or one for each.
        camera_from_map: poses (B, 4, 4).
        matrix: intrinsics (3, 3) with fx = fy.
        scale: of the robust loss.
    """
    camera, pixels = project(reference.points, camera_from_map, matrix)
    features, d_pixels, confidence, inside = field.sample(pixels)
    difference = features - reference.features
    squared = difference.square().sum(-1)
    ratio = squared / (2 * scale**2)
    in_view = inside & (camera[..., 2] > nearest(camera)) & (reference.weight > 0)
    trust = torch.where(in_view, reference.weight * confidence, torch.zeros_like(ratio))
    weight = trust / (1 + ratio)
    projection = d_pixel_d_twist(camera, matrix)
    # of the features only these sums over the channels matter: (B, N, 2) and (B, N, 2, 2)
    right = (d_pixels.mT @ difference[..., None]).squeeze(-1)
    square = d_pixels.mT @ d_pixels
    weighted = weight[..., None, None] * projection.mT
    gradient = (weighted @ right[..., None]).squeeze(-1).sum(1)
    hessian = (weighted @ square @ projection).sum(1)
    cost = (trust * ratio.log1p()).sum(1) / trust.sum(1).clamp(min=1e-6)
    return Residuals(gradient, hessian, squared, weight, cost, in_view)


def contrast(
    reference: ReferencePoints, field: Field, camera_from_map: Tensor, matrix: Tensor
) -> float:
    """Return how many times nearer the query's features are to their own points than to others.

    The ratio of mean squared distances, weighted by confidence, of features at the projections of
    the points from those of other points in view and from their own. About 1 for a wrong pose, and
    for an image that looks alike everywhere; 0 with too few points in view.

    Args:
        reference: one set of points (1, N, 3).
        field: of the query.
        camera_from_map: pose (1, 4, 4).
        matrix: intrinsics (3, 3).
    """
    camera, pixels = project(reference.points, camera_from_map, matrix)
    features, _, confidence, inside = field.sample(pixels)
    in_view = (inside & (camera[..., 2] > nearest(camera)) & (reference.weight > 0))[0]
    if int(in_view.sum()) < 2:
        return 0.0
    weight = (reference.weight * confidence)[0, in_view]
    seen, own = features[0, in_view], reference.features[0, in_view]
    # points are ordered by where they lie: half of them on is another part of the image
    other = own.roll(len(own) // 2, 0)
    apart, near = (
        ((seen - one).square().sum(1) * weight).sum().clamp(min=1e-9) for one in (other, own)
    )
    return float(apart / near)


def project(points: Tensor, camera_from_map: Tensor, matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Project points (B, N, 3); return them in the camera (B, N, 3), and pixels (B, N, 2).

    Points behind the camera have pixels far outside of the image.
    """
    camera = points @ camera_from_map[:, :3, :3].mT + camera_from_map[:, None, :3, 3]
    depth = camera[..., 2:]
    plane = camera[..., :2] / depth.clamp(min=1e-6)
    return camera, plane * matrix[0, 0] + matrix[:2, 2]


def nearest(camera: Tensor) -> Tensor:
    """Return the depth (B, 1) nearer than which points (B, N, 3) do not count."""
    depth: Tensor = camera[..., 2].detach().abs().median(-1, keepdim=True).values
    return NEAREST * depth


def d_pixel_d_twist(camera: Tensor, matrix: Tensor) -> Tensor:
    """Derivative (B, N, 2, 6) of a pixel by the twist of points (B, N, 3) in the camera."""
    depth = camera[..., 2:].clamp(min=1e-6)
    plane = camera[..., :2] / depth
    upright = torch.eye(2, dtype=camera.dtype, device=camera.device).expand(*plane.shape[:2], 2, 2)
    by_point = torch.cat([upright, -plane[..., None]], -1) * (matrix[0, 0] / depth[..., None])
    return torch.cat([by_point, -by_point @ skew(camera)], -1)
