# SPDX-License-Identifier: Apache-2.0
"""Light baked once per room: lamps and windows with soft shadows, and darker corners."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dsac_ros.synthetic.shading import Lightmaps
from dsac_ros.synthetic.surfaces import Box, SurfacePatches

SAMPLES_PER_M = 7.0
MAP_WIDTH = 512
DIRECTIONS = 40
# How far a surface darkens the corner it shares with another [m], and by how much at the corner.
REACH_M, DEPTH = 0.45, 0.75
TYPICAL_IRRADIANCE = 0.8


@dataclass(frozen=True)
class Light:
    """A rectangle that shines: centre and two half edges (3,) [m], the way it faces, colour."""

    centre: np.ndarray
    half_s: np.ndarray
    half_t: np.ndarray
    normal: np.ndarray
    colour: np.ndarray


def bake(
    patches: SurfacePatches,
    boxes: list[Box],
    lights: list[Light],
    extent: np.ndarray,
    ambient: np.ndarray,
    rng: np.random.Generator,
) -> Lightmaps:
    """Irradiance on a coarse grid over every patch, scaled to a good exposure.

    extent (3,): the room is [0, extent]; ambient (3,) the light from everywhere, as a
    share of that of the lamps on a well lit place.
    """
    places, counts, rows = layout(patches)
    points, normals, cells = samples(patches, places, counts)
    first, *others = [direct(points, normals, source, boxes, rng) for source in lights]
    light = sum(others, first)
    typical = float(np.percentile(light.mean(axis=1), 70))
    light += typical * ambient * ambient_share(points, normals, boxes, extent, rng)[:, None]
    shines = np.repeat(patches.emission, counts.prod(axis=1))
    light *= TYPICAL_IRRADIANCE / max(float(np.percentile(light.mean(axis=1), 70)), 1e-6)
    light[shines > 0] = shines[shines > 0, None]
    image = np.zeros((rows, MAP_WIDTH, 3), np.float32)
    image[cells[:, 1], cells[:, 0]] = light
    return Lightmaps(image, np.concatenate([places, counts - 1], axis=1))


def layout(patches: SurfacePatches) -> tuple[np.ndarray, np.ndarray, int]:
    """Return the places of patches in the lightmap: first (Q, 2), counts (Q, 2), rows."""
    lengths = np.stack([np.linalg.norm(e, axis=1) for e in (patches.edges_s, patches.edges_t)], 1)
    counts = np.clip(np.ceil(lengths * SAMPLES_PER_M), 1, MAP_WIDTH - 1).astype(np.int64) + 1
    counts[patches.emission > 0] = 2
    places, x, y, shelf = np.zeros_like(counts), 0, 0, 0
    for index in np.argsort(-counts[:, 1], kind='stable'):
        w, h = counts[index]
        if x + w > MAP_WIDTH:
            x, y, shelf = 0, y + shelf, 0
        shelf = max(shelf, int(h))
        places[index] = x, y
        x += int(w)
    return places, counts, y + shelf


def samples(
    patches: SurfacePatches, places: np.ndarray, counts: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Points just before the patches (N, 3), their normals, and their lightmap cells (N, 2)."""
    points, normals, cells = [], [], []
    inward = -np.cross(patches.edges_s, patches.edges_t)
    inward /= np.maximum(np.linalg.norm(inward, axis=1, keepdims=True), 1e-12)
    for k in range(len(patches)):
        w, h = counts[k]
        # A little off the borders: those lie inside the neighbouring patch.
        s, t = np.meshgrid(np.linspace(0.01, 0.99, w), np.linspace(0.01, 0.99, h))
        on = (
            patches.origins[k]
            + s.reshape(-1, 1) * patches.edges_s[k]
            + t.reshape(-1, 1) * patches.edges_t[k]
        )
        points.append(on + 0.012 * inward[k])
        normals.append(np.broadcast_to(inward[k], on.shape))
        x, y = np.meshgrid(np.arange(w), np.arange(h))
        cells.append(np.stack([x.ravel(), y.ravel()], 1) + places[k])
    return (
        np.concatenate(points).astype(np.float32),
        np.concatenate(normals).astype(np.float32),
        np.concatenate(cells),
    )


def slabs(points: np.ndarray, ways: np.ndarray, box: Box) -> np.ndarray:
    """Intersect rays with a box: distances in lengths of `ways` (..., 3), inf where they miss."""
    c, s = np.float32(np.cos(box.yaw)), np.float32(np.sin(box.yaw))
    enter, leave = np.float32(0), np.float32(np.inf)
    p, d = points - box.centre.astype(np.float32), ways
    local = (
        (c * p[..., 0] + s * p[..., 1], c * d[..., 0] + s * d[..., 1]),
        (c * p[..., 1] - s * p[..., 0], c * d[..., 1] - s * d[..., 0]),
        (p[..., 2], d[..., 2]),
    )
    for (position, way), half in zip(local, box.size.astype(np.float32) / 2):
        inverse = 1 / np.where(np.abs(way) < 1e-6, np.float32(1e-6), way)
        middle, reach = -position * inverse, np.abs(half * inverse)
        enter = np.maximum(enter, middle - reach)
        leave = np.minimum(leave, middle + reach)
    return np.where(leave > enter, enter, np.float32(np.inf))


def direct(
    points: np.ndarray,
    normals: np.ndarray,
    light: Light,
    boxes: list[Box],
    rng: np.random.Generator,
) -> np.ndarray:
    """Irradiance (N, 3) of one lamp, from five places on it."""
    places = np.array([(0, 0), (-0.7, -0.7), (0.7, -0.7), (0.7, 0.7), (-0.7, 0.7)])
    places += rng.uniform(-0.2, 0.2, size=places.shape)
    targets = light.centre + places[:, :1] * light.half_s + places[:, 1:] * light.half_t
    way = (light.centre - points).astype(np.float32)
    square = np.maximum((way * way).sum(axis=1), 0.25)
    facing = np.maximum((normals * way).sum(axis=1), 0)
    leaving = np.maximum(-(way @ light.normal.astype(np.float32)), 0)
    lit = np.flatnonzero(facing * leaving > 0)
    free = np.ones((len(lit), len(targets)), bool)
    width = np.linalg.norm(light.half_s) + np.linalg.norm(light.half_t)
    for box, close in zip(boxes, passing(points[lit], way[lit], boxes, width)):
        near = np.flatnonzero(close)
        start = points[lit[near], None]
        free[near] &= slabs(start, targets.astype(np.float32) - start, box) >= 0.97
    total = np.zeros(len(points), np.float32)
    total[lit] = free.mean(axis=1) * (facing * leaving / (square * square))[lit]
    area = 4 * np.linalg.norm(np.cross(light.half_s, light.half_t))
    return total[:, None] * area * light.colour.astype(np.float32)


def passing(points: np.ndarray, ways: np.ndarray, boxes: list[Box], widen_m: float) -> np.ndarray:
    """Return which rays (N, 3) pass the sphere around each box, widened to their end (B, N) bool.

    Only those can hit the box.
    """
    centres = np.array([box.centre for box in boxes], np.float32)
    radii = np.array([np.linalg.norm(box.size) / 2 for box in boxes], np.float32)[:, None]
    square = (ways * ways).sum(axis=1)
    along = centres @ ways.T - (points * ways).sum(axis=1)
    apart = (
        (centres * centres).sum(axis=1)[:, None]
        - 2 * centres @ points.T
        + (points * points).sum(axis=1)
    )
    part = np.clip(along / square, 0, 1)
    miss = apart - part * (2 * along - part * square)
    return miss < (radii + np.float32(widen_m) * part) ** 2


def ambient_share(
    points: np.ndarray,
    normals: np.ndarray,
    boxes: list[Box],
    extent: np.ndarray,
    rng: np.random.Generator,
) -> np.ndarray:
    """Return the ambient openness (N,) of points, 1 in the middle of a free wall."""
    ways = rng.standard_normal((DIRECTIONS, 3)).astype(np.float32)
    ways /= np.linalg.norm(ways, axis=1, keepdims=True)
    walls = np.where(ways > 0, extent.astype(np.float32) - points[:, None], -points[:, None])
    distance = np.maximum(walls / ways, 0).min(axis=2)
    for box in boxes:
        away = points - box.centre.astype(np.float32)
        near = np.flatnonzero(
            (away * away).sum(axis=1) < (np.linalg.norm(box.size) / 2 + 3 * REACH_M) ** 2
        )
        distance[near] = np.minimum(distance[near], slabs(points[near, None], ways, box))
    weights = np.maximum(normals @ ways.T, 0)
    open_share = (weights * (1 - DEPTH * np.exp(-distance / REACH_M))).sum(axis=1)
    return open_share / np.maximum(weights.sum(axis=1), 1e-6)
