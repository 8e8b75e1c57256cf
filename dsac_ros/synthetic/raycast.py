# SPDX-License-Identifier: Apache-2.0
"""Ray casting: the patch that every pixel sees, the place on it and its depth, exactly.

With M = [edge_s, edge_t, origin] in camera axes and a ray d = K^-1 (u, v, 1), a patch's plane is
met where M (s, t, 1)^T = z d, so (s/z, t/z, 1/z)^T = M^-1 K^-1 (u, v, 1)^T: three affine functions
of the pixel, from which visibility, depth, texture coordinates and their derivatives all follow
(the perspective-correct interpolation of Olano and Greer 1997).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dsac_ros.synthetic.surfaces import DISC, TRIANGLE, SurfacePatches

NEAR = 0.02
NOTHING = -1


@dataclass(frozen=True)
class RayHits:
    """One look at the patches.

    gradients (Q, 3, 3): rows (s/z, t/z, 1/z), columns (u, v, 1); seen (H, W) int32: patch index or
    NOTHING; inverse_depth (H, W) float32 [1/m].
    """

    gradients: np.ndarray
    seen: np.ndarray
    inverse_depth: np.ndarray


def cast(
    patches: SurfacePatches,
    world_from_camera: np.ndarray,
    matrix: np.ndarray,
    size_wh: tuple[int, int],
) -> RayHits:
    """Cast the rays of a pinhole camera with this matrix."""
    rotation, centre = world_from_camera[:3, :3], world_from_camera[:3, 3]
    edges_s, edges_t = patches.edges_s @ rotation, patches.edges_t @ rotation
    origins = (patches.origins - centre) @ rotation
    frames = np.stack([edges_s, edges_t, origins], axis=-1)
    facing = np.linalg.det(frames)
    # A leaf seen by its edge would leave stray pixels only.
    edge_on = 0.06 * np.linalg.norm(origins, axis=1) * patches.areas * patches.two_sided
    usable = np.where(patches.two_sided, np.abs(facing), facing) > np.maximum(edge_on, 1e-12)
    boxes, in_view = bounding_boxes(origins, edges_s, edges_t, matrix, size_wh)
    visible = usable & in_view
    frames[~visible] = np.eye(3)
    gradients = np.linalg.inv(frames) @ np.linalg.inv(matrix)
    seen = np.full(size_wh[::-1], NOTHING, np.int32)
    nearest = np.zeros(size_wh[::-1], np.float32)
    order = np.flatnonzero(visible)
    # Near patches first: later ones then fail the depth test and write little.
    order = order[np.argsort(origins[order, 2] + 0.5 * (edges_s + edges_t)[order, 2])]
    gradients = gradients.astype(np.float32)
    # 1/z is affine, so its largest value over a box is at one of the corners.
    w, (x0, y0, x1, y1) = gradients[:, 2], boxes.T
    closest = (
        np.maximum(w[:, 0] * x0, w[:, 0] * (x1 - 1))
        + np.maximum(w[:, 1] * y0, w[:, 1] * (y1 - 1))
        + w[:, 2]
    )
    u = np.arange(size_wh[0], dtype=np.float32)
    v = np.arange(size_wh[1], dtype=np.float32)[:, None]
    for index in order.tolist():
        x0, y0, x1, y1 = boxes[index].tolist()
        behind = nearest[y0:y1, x0:x1]
        if closest[index] > behind.min():
            draw(
                gradients[index],
                int(patches.shapes[index]),
                index,
                u[x0:x1],
                v[y0:y1],
                seen[y0:y1, x0:x1],
                behind,
            )
    return RayHits(gradients, seen, nearest)


def draw(
    gradient: np.ndarray,
    shape: int,
    index: int,
    u: np.ndarray,
    v: np.ndarray,
    seen: np.ndarray,
    nearest: np.ndarray,
) -> None:
    """Write one patch where it is nearer than what stands there; u, v span its pixel box."""
    s, t, w = (row[0] * u + (row[1] * v + row[2]) for row in gradient)
    hit = inside(s, t, w, shape)
    hit &= w > nearest
    np.copyto(nearest, w, where=hit)
    np.copyto(seen, np.int32(index), where=hit)


def inside(s: np.ndarray, t: np.ndarray, w: np.ndarray, shape: int) -> np.ndarray:
    """Return True where (s/z, t/z, 1/z) lie on a patch of this shape, in front of the camera."""
    if shape == DISC:
        return ((2 * s - w) ** 2 + (2 * t - w) ** 2 <= w * w) & (w > 0)
    limit = w - s - t if shape == TRIANGLE else w - np.maximum(s, t)
    return (np.minimum(np.minimum(s, t), limit) >= 0) & (w < 1 / NEAR)


def bounding_boxes(
    origins: np.ndarray,
    edges_s: np.ndarray,
    edges_t: np.ndarray,
    matrix: np.ndarray,
    size_wh: tuple[int, int],
) -> tuple[np.ndarray, np.ndarray]:
    """Pixel boxes (Q, 4) of the patches, cut at the near plane, and which are in view (Q,)."""
    corners = np.stack(
        [origins, origins + edges_s, origins + edges_s + edges_t, origins + edges_t], axis=1
    )
    after = np.roll(corners, -1, axis=1)
    z0, z1 = corners[..., 2], after[..., 2]
    crossing = (z0 > NEAR) != (z1 > NEAR)
    part = np.where(crossing, (NEAR - z0) / np.where(crossing, z1 - z0, 1.0), 0.0)
    cut = corners + part[..., None] * (after - corners)
    points = np.concatenate([corners, cut], axis=1)
    valid = np.concatenate([z0 > NEAR, crossing], axis=1)
    projected = points @ matrix.T
    pixels = projected[..., :2] / np.where(valid, projected[..., 2], 1.0)[..., None]
    low = np.where(valid[..., None], pixels, np.inf).min(axis=1)
    high = np.where(valid[..., None], pixels, -np.inf).max(axis=1)
    limit = np.asarray(size_wh, float)
    x0y0 = np.clip(np.floor(low), 0, limit)
    x1y1 = np.clip(np.ceil(high) + 1, 0, limit)
    in_view = valid.any(axis=1) & (x1y1 > x0y0).all(axis=1)
    boxes = np.where(in_view[:, None], np.concatenate([x0y0, x1y1], axis=1), 0).astype(np.int64)
    return boxes, in_view


def soften_edges(image: np.ndarray, view: RayHits, shapes: np.ndarray) -> None:
    """Blend two neighbouring pixels by where between them the nearer patch ends. In place.

    As in geometry buffer anti-aliasing (Persson 2011): the border of the nearer patch is where the
    first of its affine bounds gets negative on the way to the neighbour.
    """
    before = image.reshape(-1, 3).copy()
    after = image.reshape(-1, 3)
    table = np.ascontiguousarray(view.gradients.reshape(-1, 9).T)
    seen, width = view.seen, view.seen.shape[1]
    for axis, step in ((0, 1), (1, width)):
        first = seen[:, :-1] != seen[:, 1:] if axis == 0 else seen[:-1] != seen[1:]
        rows, columns = np.nonzero(first)
        here = rows * width + columns
        depths = view.inverse_depth.reshape(-1)
        ahead = depths[here] >= depths[here + step]
        for pixels, way in ((here[ahead], step), (here[~ahead] + step, -step)):
            end, clear = border(pixels, 1 if way > 0 else -1, axis, table, view, shapes)
            near, far = pixels[clear], (pixels + way)[clear]
            share = end[clear, None] - np.float32(0.5)
            change = (before[near] - before[far]) * np.abs(share)
            inner = share[:, 0] < 0
            after[near[inner]] -= change[inner]
            after[far[~inner]] += change[~inner]
    # What is thinner than a pixel is blended from both sides, which may take more than there is.
    np.maximum(after, 0, out=after)


def border(
    pixels: np.ndarray, sign: int, axis: int, table: np.ndarray, view: RayHits, shapes: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the coverage (N,) in [0, 1] of each pixel's patch towards the next, and its validity.

    It does where the border runs rather across that way than along it, (N,) bool; the other axis
    takes care of the rest.
    """
    index = view.seen.reshape(-1)[pixels].astype(np.intp)
    g = [row.take(index, mode='clip') for row in table]
    v, u = np.divmod(pixels, view.seen.shape[1])
    value = [
        g[k] * u.astype(np.float32) + g[k + 1] * v.astype(np.float32) + g[k + 2] for k in (0, 3, 6)
    ]
    s, t, w = (np.stack([value[k], sign * g[3 * k + axis], g[3 * k + 1 - axis]]) for k in range(3))
    bounds = np.stack([s, t, w - s, w - t])
    kind = shapes[np.maximum(index, 0)]
    triangle, disc = kind == TRIANGLE, kind == DISC
    bounds[2, :, triangle] = bounds[3, :, triangle] = (w - s - t)[:, triangle].T
    if disc.any():
        bounds[:, :, disc] = rim(s[:, disc], t[:, disc], w[:, disc])
    slope = -bounds[:, 1]
    reach = np.where(slope > 1e-9, bounds[:, 0] / np.maximum(slope, 1e-9), np.float32(9))
    first = reach.argmin(axis=0)[None]
    end = np.take_along_axis(reach, first, axis=0)[0]
    along, across = (np.abs(np.take_along_axis(bounds[:, k], first, axis=0)[0]) for k in (1, 2))
    return np.clip(end, 0, 1), (along >= across) & (end <= 1) & (index != NOTHING)


def rim(s: np.ndarray, t: np.ndarray, w: np.ndarray) -> np.ndarray:
    """The bound w^2 - (2s - w)^2 - (2t - w)^2 of a disc, and its slopes; inputs are (3, N)."""
    a, b = 2 * s - w, 2 * t - w
    value = w[0] ** 2 - a[0] ** 2 - b[0] ** 2
    slopes = 2 * (w[0] * w[1:] - a[0] * a[1:] - b[0] * b[1:])
    return np.concatenate([value[None], slopes])[None]
