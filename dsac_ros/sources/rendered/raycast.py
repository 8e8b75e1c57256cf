# SPDX-License-Identifier: Apache-2.0
"""Which patch every pixel sees, where on it, and how far away: exact, without triangles.

With M = [edge_s, edge_t, origin] in camera axes and a ray d = K^-1 (u, v, 1), a patch's plane is
met where M (s, t, 1)^T = z d, so (s/z, t/z, 1/z)^T = M^-1 K^-1 (u, v, 1)^T: three affine functions
of the pixel, from which visibility, depth, texture coordinates and their derivatives all follow
(the perspective-correct interpolation of Olano and Greer 1997).
"""
from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dsac_ros.sources.rendered.surfaces import DISC, TRIANGLE, Patches

NEAR = 0.02
NOTHING = -1


@dataclass(frozen=True)
class View:
    """One look at the patches: gradients (Q, 3, 3) rows (s/z, t/z, 1/z), columns (u, v, 1);
    seen (H, W) int32 patch index or NOTHING; inverse_depth (H, W) float32 [1/m]."""

    gradients: np.ndarray
    seen: np.ndarray
    inverse_depth: np.ndarray


def cast(patches: Patches, world_from_camera: np.ndarray, matrix: np.ndarray,
         size_wh: tuple[int, int]) -> View:
    """What a pinhole camera with this matrix sees."""
    rotation, centre = world_from_camera[:3, :3], world_from_camera[:3, 3]
    edges_s, edges_t = patches.edges_s @ rotation, patches.edges_t @ rotation
    origins = (patches.origins - centre) @ rotation
    frames = np.stack([edges_s, edges_t, origins], axis=-1)
    facing = np.linalg.det(frames)
    usable = np.where(patches.two_sided, np.abs(facing), facing) > 1e-12
    boxes, in_view = bounding_boxes(origins, edges_s, edges_t, matrix, size_wh)
    visible = usable & in_view
    frames[~visible] = np.eye(3)
    gradients = np.linalg.inv(frames) @ np.linalg.inv(matrix)
    seen = np.full(size_wh[::-1], NOTHING, np.int32)
    nearest = np.zeros(size_wh[::-1], np.float32)
    order = np.flatnonzero(visible)
    # Near patches first: later ones then fail the depth test and write little.
    order = order[np.argsort(origins[order, 2] + 0.5 * (edges_s + edges_t)[order, 2])]
    for index in order:
        draw(gradients[index], int(patches.shapes[index]), int(index), boxes[index], seen, nearest)
    return View(gradients.astype(np.float32), seen, nearest)


def draw(gradient: np.ndarray, shape: int, index: int, box: np.ndarray, seen: np.ndarray,
         nearest: np.ndarray) -> None:
    """Write one patch where it is nearer than what stands there; box is x0, y0, x1, y1."""
    x0, y0, x1, y1 = box
    u, v = np.arange(x0, x1), np.arange(y0, y1)
    s, t, w = ((row[0] * u).astype(np.float32) + (row[1] * v + row[2]).astype(np.float32)[:, None]
               for row in gradient)
    behind = nearest[y0:y1, x0:x1]
    hit = inside(s, t, w, shape)
    hit &= w > behind
    np.copyto(behind, w, where=hit)
    np.copyto(seen[y0:y1, x0:x1], np.int32(index), where=hit)


def inside(s: np.ndarray, t: np.ndarray, w: np.ndarray, shape: int) -> np.ndarray:
    """Whether (s/z, t/z, 1/z) lie on a patch of this shape, in front of the camera."""
    if shape == DISC:
        return ((2 * s - w) ** 2 + (2 * t - w) ** 2 <= w * w) & (w > 0)
    limit = s + t <= w if shape == TRIANGLE else (s <= w) & (t <= w)
    return (s >= 0) & (t >= 0) & limit & (w < 1 / NEAR)


def bounding_boxes(origins: np.ndarray, edges_s: np.ndarray, edges_t: np.ndarray,
                   matrix: np.ndarray, size_wh: tuple[int, int]
                   ) -> tuple[np.ndarray, np.ndarray]:
    """Pixel boxes (Q, 4) of the patches, cut at the near plane, and which are in view (Q,)."""
    corners = np.stack([origins, origins + edges_s, origins + edges_s + edges_t,
                        origins + edges_t], axis=1)
    after = np.roll(corners, -1, axis=1)
    z0, z1 = corners[..., 2], after[..., 2]
    crossing = (z0 > NEAR) != (z1 > NEAR)
    part = np.where(crossing, (NEAR - z0) / np.where(crossing, z1 - z0, 1.0), 0.0)
    cut = corners + part[..., None] * (after - corners)
    points = np.concatenate([corners, cut], axis=1)
    valid = np.concatenate([z0 > NEAR, crossing], axis=1)
    projected = points @ matrix.T
    pixels = projected[..., :2] / np.where(valid, np.maximum(projected[..., 2], NEAR), 1.0)[..., None]
    low = np.where(valid[..., None], pixels, np.inf).min(axis=1)
    high = np.where(valid[..., None], pixels, -np.inf).max(axis=1)
    limit = np.asarray(size_wh, float)
    x0y0 = np.clip(np.floor(low), 0, limit)
    x1y1 = np.clip(np.ceil(high) + 1, 0, limit)
    in_view = valid.any(axis=1) & (x1y1 > x0y0).all(axis=1)
    boxes = np.where(in_view[:, None], np.concatenate([x0y0, x1y1], axis=1), 0).astype(np.int64)
    return boxes, in_view


def soften_edges(image: np.ndarray, view: View, shapes: np.ndarray) -> None:
    """Blend the colours of neighbouring patches where they meet, by their share of the pixel.

    Four sub-pixels ask which of the patches seen by the pixel and its four neighbours is nearest
    there; the pixel becomes the mean of those neighbours' colours. In place.
    """
    seen = view.seen
    edge = np.zeros(seen.shape, bool)
    across, along = seen[:, 1:] != seen[:, :-1], seen[1:] != seen[:-1]
    edge[:, 1:] |= across
    edge[:, :-1] |= across
    edge[1:] |= along
    edge[:-1] |= along
    rows, columns = np.nonzero(edge)
    if not len(rows):
        return
    height, width = seen.shape
    places = np.stack([np.clip(rows + dy, 0, height - 1) * width + np.clip(columns + dx, 0,
                                                                           width - 1)
                       for dx, dy in ((0, 0), (1, 0), (-1, 0), (0, 1), (0, -1))])
    index = seen.reshape(-1)[places]
    g = view.gradients[index].reshape(*index.shape, 9)
    kind = np.where(index == NOTHING, NOTHING, shapes[index])
    u, v = columns.astype(np.float32), rows.astype(np.float32)
    base = [g[..., 3 * k] * u + g[..., 3 * k + 1] * v + g[..., 3 * k + 2] for k in range(3)]
    flat = image.reshape(-1, 3)
    colours = flat[places]
    total = np.zeros((len(rows), 3), np.float32)
    for dx, dy in ((-0.375, -0.125), (0.125, -0.375), (0.375, 0.125), (-0.125, 0.375)):
        s, t, w = (base[k] + (g[..., 3 * k] * dx + g[..., 3 * k + 1] * dy) for k in range(3))
        winner = np.argmax(np.where(covers(s, t, w, kind), w, 0.0), axis=0)
        total += np.take_along_axis(colours, winner[None, :, None], axis=0)[0]
    flat[places[0]] = total / 4


def covers(s: np.ndarray, t: np.ndarray, w: np.ndarray, kind: np.ndarray) -> np.ndarray:
    """`inside` with a shape per element."""
    result = (s >= 0) & (t >= 0) & (s <= w) & (t <= w) & (kind != NOTHING)
    for shape in (DISC, TRIANGLE):
        chosen = kind == shape
        if chosen.any():
            result[chosen] = inside(s[chosen], t[chosen], w[chosen], shape)
    return result
