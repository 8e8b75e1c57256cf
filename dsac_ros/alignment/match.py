# SPDX-License-Identifier: Apache-2.0
"""Where in an image the landmarks are, given a pose that says about where: template matching.

Each template is compared with the image as the pose warps it, so that a step is a step of the
template; normalised cross-correlation does not see exposure and gain (Lewis, 1995).
"""
from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import conv2d

from dsac_ros.alignment.landmarks import LEVELS, PATCH, Landmarks, Pyramid, spread_out

PICTURES = 4          # that a query is compared with
MOST = 384            # landmarks that are looked for
MARGIN_PX = 8         # of the image's border in which none is looked for
WIDEST_ANGLE = math.radians(50.0)  # between the views of a point in picture and image
WIDEST_SCALE = 2.5    # between its sizes there
NOISE = 2.0           # of an image [gray levels]: what is flatter looks like nothing


@dataclass(frozen=True)
class Prediction:
    """How a pose shows N landmarks.

    pixels (N, 2), and warp (N, 2, 2) from steps in a template's picture to steps in the image.
    """

    pixels: Tensor
    warp: Tensor


def visible(landmarks: Landmarks, camera_from_map: Tensor, matrix: Tensor,
            size_wh: tuple[int, int]) -> Tensor:
    """Indices (N,) of landmarks that a camera there sees much as one of a few pictures does."""
    x, y, depth = camera_from_map[:3, :3] @ landmarks.points.T + camera_from_map[:3, 3:]
    u, v = x / depth * matrix[0, 0] + matrix[0, 2], y / depth * matrix[0, 0] + matrix[1, 2]
    right, bottom = size_wh[0] - 1 - MARGIN_PX, size_wh[1] - 1 - MARGIN_PX
    inside = ((depth > 0) & (u > MARGIN_PX) & (u < right) & (v > MARGIN_PX) & (v < bottom))
    inside = inside.nonzero()[:, 0]
    points, picture = landmarks.points[inside], landmarks.picture[inside]
    pixels = torch.stack([u[inside], v[inside]], 1)
    eye = -camera_from_map[:3, :3].T @ camera_from_map[:3, 3]
    cosine = torch.cosine_similarity(points - eye, points - landmarks.centre[inside])
    angle = cosine.clamp(-1, 1).acos() / WIDEST_ANGLE
    scale = (matrix[0, 0] / depth[inside] / landmarks.size[inside]).log() / math.log(WIDEST_SCALE)
    likeness = (1 - angle.square() - scale.square()).clamp(min=0)
    votes = torch.zeros(int(landmarks.picture[-1]) + 1, device=likeness.device)
    votes = votes.index_add(0, picture, likeness)
    best = votes.topk(min(PICTURES, len(votes))).indices
    chosen = ((likeness > 0) & torch.isin(picture, best)).nonzero()[:, 0]
    return inside[chosen[spread_out(pixels[chosen], likeness[chosen], size_wh, MOST)]]


def predict(seen: Landmarks, camera_from_map: Tensor, matrix: Tensor) -> Prediction:
    """Where a camera there sees the landmarks, and how their pictures lie in its image."""
    rotation = camera_from_map[:3, :3]
    camera = seen.points @ rotation.T + camera_from_map[:3, 3]
    depth = camera[:, 2:].clamp(min=1e-6)
    plane = camera[:, :2] / depth
    across = rotation @ seen.across
    warp = (across[:, :2] - plane[:, :, None] * across[:, 2:]) * matrix[0, 0] / depth[:, :, None]
    return Prediction(plane * matrix[0, 0] + matrix[:2, 2], warp)


def correlate(image: Pyramid, number: int, templates: Tensor, predicted: Prediction,
              reach: int) -> Tensor:
    """Correlation (N, 2 reach + 1, 2 reach + 1) of the templates with the image around there."""
    # a picture taken from twice as near is compared with the next finer image, and so on
    scale = predicted.warp.det().abs().clamp(min=1e-6).log2() / 2
    level = (scale.round().long() + number).clamp(0, LEVELS - 1)
    windows = image.patches(level, predicted.pixels, 2.0 ** number * predicted.warp,
                            PATCH // 2 + reach)
    return correlation(windows, templates[:, number].float())


def correlation(windows: Tensor, templates: Tensor) -> Tensor:
    """Normalised cross-correlation of windows (N, P + R - 1, ..) with templates (N, P, P)."""
    size = templates[0].numel()
    templates = templates - templates.mean((1, 2), keepdim=True)
    windows = windows - windows.mean((1, 2), keepdim=True)
    product = conv2d(windows[None], templates[:, None], groups=len(windows))[0]
    mean, square = box_mean(windows), box_mean(windows.square())
    variance = (square - mean.square()).clamp(min=0)
    energy = templates.square().mean((1, 2), keepdim=True) + NOISE ** 2
    return product / size / (energy * (variance + NOISE ** 2)).sqrt()


def box_mean(windows: Tensor) -> Tensor:
    """Means (N, R, R) over all squares of a template's size in windows (N, P + R - 1, ..)."""
    mean = means(windows.shape[1], windows.device)
    return mean @ windows @ mean.T


@functools.lru_cache(maxsize=16)
def means(side: int, device: torch.device) -> Tensor:
    """What makes the means (side - PATCH + 1, side) of PATCH neighbours in a row."""
    return torch.ones(side - PATCH + 1, side, device=device).triu().tril(PATCH - 1) / PATCH


def best_match(scores: Tensor, predicted: Prediction, number: int) -> tuple[Tensor, Tensor]:
    """Pixels (N, 2) where correlations (N, R, R) are highest, and how high (N,)."""
    best, where = scores.flatten(1).max(1)
    offset = peak(scores, where) * 2.0 ** number
    return predicted.pixels + (predicted.warp @ offset[..., None])[..., 0], best


def peak(scores: Tensor, where: Tensor) -> Tensor:
    """Steps (N, 2) from the middle to the maxima, to a fraction of a step (by parabolas)."""
    side = scores.shape[-1]
    row, column = where // side, where % side
    index = torch.arange(len(scores), device=scores.device)

    def fraction(along: Tensor, low: Tensor, high: Tensor, middle: Tensor) -> Tensor:
        bend = (low - 2 * middle + high).clamp(max=-1e-6)
        inner = (along > 0) & (along < side - 1)
        return torch.where(inner, ((low - high) / (2 * bend)).clamp(-0.5, 0.5), 0.0)

    middle = scores[index, row, column]
    before, after = (column - 1).clamp(min=0), (column + 1).clamp(max=side - 1)
    u = column + fraction(column, scores[index, row, before], scores[index, row, after], middle)
    before, after = (row - 1).clamp(min=0), (row + 1).clamp(max=side - 1)
    v = row + fraction(row, scores[index, before, column], scores[index, after, column], middle)
    return torch.stack([u, v], 1) - (side - 1) / 2
