# SPDX-License-Identifier: Apache-2.0
"""Template matching of landmarks around the pixels that a pose predicts.

The image is warped to each template as the pose says, so that a step is a step of the template.
Normalised cross-correlation is invariant to exposure and gain (Lewis, 1995).
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import conv2d

from dsac_ros.alignment.landmarks import LEVELS, PATCH, Landmarks, Pyramid, select_uniformly

REFERENCES = 4  # reference images whose landmarks are looked for
MOST = 384  # landmarks that are looked for
MARGIN_PX = 8  # of the image's border in which none is looked for
WIDEST_ANGLE = math.radians(50.0)  # between the rays to a point from reference image and query
WIDEST_SCALE = 2.5  # ratio of its sizes there
NOISE = 2.0  # of an image [gray levels]: flatter patches correlate with nothing


@dataclass(frozen=True)
class Prediction:
    """Projection of N landmarks by a pose.

    pixels (N, 2); warp (N, 2, 2) from steps in the reference image to steps in the query.
    """

    pixels: Tensor
    warp: Tensor


def visible(
    landmarks: Landmarks,
    camera_from_map: Tensor,
    matrix: Tensor,
    size_wh: tuple[int, int],
    mask: Tensor | None = None,
    references: int = REFERENCES,
    most: int = MOST,
) -> Tensor:
    """Return the indices (N,) of landmarks in view whose reference images show them similarly.

    Only those of the `references` images with the most similar views, and at most `most`, spread
    over the query. A mask (H, W) bool leaves out landmarks that project to where it is False:
    nothing is known of them.
    """
    x, y, depth = camera_from_map[:3, :3] @ landmarks.points.T + camera_from_map[:3, 3:]
    u, v = x / depth * matrix[0, 0] + matrix[0, 2], y / depth * matrix[0, 0] + matrix[1, 2]
    right, bottom = size_wh[0] - 1 - MARGIN_PX, size_wh[1] - 1 - MARGIN_PX
    inside = (depth > 0) & (u > MARGIN_PX) & (u < right) & (v > MARGIN_PX) & (v < bottom)
    inside = inside.nonzero()[:, 0]
    if mask is not None:
        inside = inside[mask[v[inside].round().long(), u[inside].round().long()]]
    points, reference = landmarks.points[inside], landmarks.reference[inside]
    pixels = torch.stack([u[inside], v[inside]], 1)
    centre = -camera_from_map[:3, :3].T @ camera_from_map[:3, 3]
    cosine = torch.cosine_similarity(points - centre, points - landmarks.centre[inside])
    angle = cosine.clamp(-1, 1).acos() / WIDEST_ANGLE
    scale = (matrix[0, 0] / depth[inside] / landmarks.scale[inside]).log() / math.log(WIDEST_SCALE)
    view_similarity = (1 - angle.square() - scale.square()).clamp(min=0)
    votes = torch.zeros(int(landmarks.reference[-1]) + 1, device=view_similarity.device)
    votes = votes.index_add(0, reference, view_similarity)
    best = votes.topk(min(references, len(votes))).indices
    chosen = ((view_similarity > 0) & torch.isin(reference, best)).nonzero()[:, 0]
    spread = select_uniformly(pixels[chosen], view_similarity[chosen], size_wh, most)
    found: Tensor = inside[chosen[spread]]
    return found


def predict(landmarks: Landmarks, camera_from_map: Tensor, matrix: Tensor) -> Prediction:
    """Project landmarks by a pose (4, 4) and intrinsics (3, 3), and linearise their warp."""
    rotation = camera_from_map[:3, :3]
    camera = landmarks.points @ rotation.T + camera_from_map[:3, 3]
    depth = camera[:, 2:].clamp(min=1e-6)
    plane = camera[:, :2] / depth
    moved = rotation @ landmarks.d_point_d_pixel
    warp = (moved[:, :2] - plane[:, :, None] * moved[:, 2:]) * matrix[0, 0] / depth[:, :, None]
    return Prediction(plane * matrix[0, 0] + matrix[:2, 2], warp)


def correlate(
    image: Pyramid, level: int, templates: Tensor, predicted: Prediction, reach: int
) -> Tensor:
    """Correlate the templates of a level with the image around their predicted pixels.

    Returns (N, 2 reach + 1, 2 reach + 1). A reference image taken from twice as near is compared
    with the next finer level of the image, and so on.
    """
    scale = predicted.warp.det().abs().clamp(min=1e-6).log2() / 2
    levels = (scale.round().long() + level).clamp(0, LEVELS - 1)
    windows = image.patches(
        levels, predicted.pixels, 2.0**level * predicted.warp, PATCH // 2 + reach
    )
    return correlation(windows, templates[:, level].float())


def correlation(windows: Tensor, templates: Tensor) -> Tensor:
    """Return the NCC (N, R, R) of windows (N, P + R - 1, ..) with templates (N, P, P)."""
    size = templates[0].numel()
    templates = templates - templates.mean((1, 2), keepdim=True)
    windows = windows - windows.mean((1, 2), keepdim=True)
    product = conv2d(windows[None], templates[:, None], groups=len(windows))[0]
    mean, square = box_mean(windows), box_mean(windows.square())
    variance = (square - mean.square()).clamp(min=0)
    energy = templates.square().mean((1, 2), keepdim=True) + NOISE**2
    return product / size / (energy * (variance + NOISE**2)).sqrt()


def box_mean(windows: Tensor) -> Tensor:
    """Return means (N, R, R) over squares of a template's size in windows (N, P + R - 1, ..)."""
    mean = means(windows.shape[1], windows.device)
    return mean @ windows @ mean.T


@functools.lru_cache(maxsize=16)
def means(side: int, device: torch.device) -> Tensor:
    """Return the matrix (side - PATCH + 1, side) of the means of PATCH neighbours in a row."""
    return torch.ones(side - PATCH + 1, side, device=device).triu().tril(PATCH - 1) / PATCH


def best_match(scores: Tensor, predicted: Prediction, level: int) -> tuple[Tensor, Tensor]:
    """Return the pixels (N, 2) of the highest of correlations (N, R, R), and its value (N,)."""
    best, where = scores.flatten(1).max(1)
    offset = peak(scores, where) * 2.0**level
    return predicted.pixels + (predicted.warp @ offset[..., None])[..., 0], best


def peak(scores: Tensor, where: Tensor) -> Tensor:
    """Return the steps (N, 2) from the middle to the maxima, to sub-steps (by parabolas)."""
    side = scores.shape[-1]
    row, column = where // side, where % side
    index = torch.arange(len(scores), device=scores.device)

    def fraction(along: Tensor, low: Tensor, high: Tensor, middle: Tensor) -> Tensor:
        curvature = (low - 2 * middle + high).clamp(max=-1e-6)
        inner = (along > 0) & (along < side - 1)
        return torch.where(inner, ((low - high) / (2 * curvature)).clamp(-0.5, 0.5), 0.0)

    middle = scores[index, row, column]
    before, after = (column - 1).clamp(min=0), (column + 1).clamp(max=side - 1)
    u = column + fraction(column, scores[index, row, before], scores[index, row, after], middle)
    before, after = (row - 1).clamp(min=0), (row + 1).clamp(max=side - 1)
    v = row + fraction(row, scores[index, before, column], scores[index, after, column], middle)
    return torch.stack([u, v], 1) - (side - 1) / 2
