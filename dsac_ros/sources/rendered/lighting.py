# SPDX-License-Identifier: Apache-2.0
"""Light baked once per room: lamps and windows with soft shadows, and darker corners."""
from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dsac_ros.sources.rendered.shading import Lightmaps
from dsac_ros.sources.rendered.surfaces import Box, Patches

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


def bake(patches: Patches, boxes: list[Box], lights: list[Light], extent: np.ndarray,
         ambient: np.ndarray, rng: np.random.Generator) -> Lightmaps:
    """Irradiance on a coarse grid over every patch, scaled to a good exposure.

    extent (3,): the room is [0, extent]; ambient (3,) the light that comes from everywhere.
    """
    places, counts, rows = layout(patches)
    points, normals, cells = samples(patches, places, counts)
    light = ambient * ambient_share(points, normals, boxes, extent, rng)[:, None]
    for source in lights:
        light += direct(points, normals, source, boxes, rng)
    shines = np.repeat(patches.emission, counts.prod(axis=1))
    light *= TYPICAL_IRRADIANCE / max(float(np.percentile(light.mean(axis=1), 70)), 1e-6)
    light[shines > 0] = shines[shines > 0, None]
    image = np.zeros((rows, MAP_WIDTH, 3), np.float32)
    image[cells[:, 1], cells[:, 0]] = light
    return Lightmaps(image, np.concatenate([places, counts - 1], axis=1))


def layout(patches: Patches) -> tuple[np.ndarray, np.ndarray, int]:
    """Where each patch's samples stand in the lightmap: first (Q, 2), counts (Q, 2), rows."""
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


def samples(patches: Patches, places: np.ndarray, counts: np.ndarray
            ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Points just before the patches (N, 3), their normals, and their lightmap cells (N, 2)."""
    points, normals, cells = [], [], []
    inward = -np.cross(patches.edges_s, patches.edges_t)
    inward /= np.maximum(np.linalg.norm(inward, axis=1, keepdims=True), 1e-12)
    for k in range(len(patches)):
        w, h = counts[k]
        # A little off the borders: those lie inside the neighbouring patch.
        s, t = np.meshgrid(np.linspace(0.01, 0.99, w), np.linspace(0.01, 0.99, h))
        on = (patches.origins[k] + s.reshape(-1, 1) * patches.edges_s[k]
              + t.reshape(-1, 1) * patches.edges_t[k])
        points.append(on + 0.012 * inward[k])
        normals.append(np.broadcast_to(inward[k], on.shape))
        x, y = np.meshgrid(np.arange(w), np.arange(h))
        cells.append(np.stack([x.ravel(), y.ravel()], 1) + places[k])
    return (np.concatenate(points).astype(np.float32),
            np.concatenate(normals).astype(np.float32), np.concatenate(cells))


def first_hit(points: np.ndarray, directions: np.ndarray, boxes: list[Box]) -> np.ndarray:
    """Distance (N,) along each direction to the nearest box, in its lengths; inf where none."""
    nearest = np.full(len(points), np.inf, np.float32)
    for box in boxes:
        c, s = np.float32(np.cos(box.yaw)), np.float32(np.sin(box.yaw))
        enter = np.full(len(points), -np.inf, np.float32)
        leave = np.full(len(points), np.inf, np.float32)
        p, d = points - box.centre.astype(np.float32), directions
        local = ((c * p[:, 0] + s * p[:, 1], c * d[..., 0] + s * d[..., 1]),
                 (c * p[:, 1] - s * p[:, 0], c * d[..., 1] - s * d[..., 0]),
                 (p[:, 2], d[..., 2]))
        for (position, way), half in zip(local, box.size.astype(np.float32) / 2):
            inverse = 1.0 / np.where(np.abs(way) < 1e-6, np.float32(1e-6), way)
            a, b = (-half - position) * inverse, (half - position) * inverse
            enter = np.maximum(enter, np.minimum(a, b))
            leave = np.minimum(leave, np.maximum(a, b))
        hit = (leave > np.maximum(enter, 0)) & (np.maximum(enter, 0) < nearest)
        nearest[hit] = np.maximum(enter[hit], 0)
    return nearest


def direct(points: np.ndarray, normals: np.ndarray, light: Light, boxes: list[Box],
           rng: np.random.Generator) -> np.ndarray:
    """Irradiance (N, 3) of one lamp, from five places on it."""
    total = np.zeros(len(points), np.float32)
    offsets = [(0.0, 0.0), *zip((-0.7, 0.7, 0.7, -0.7), (-0.7, -0.7, 0.7, 0.7))]
    for a, b in offsets:
        a, b = a + rng.uniform(-0.2, 0.2), b + rng.uniform(-0.2, 0.2)
        target = light.centre + a * light.half_s + b * light.half_t
        way = target.astype(np.float32) - points
        square = np.maximum((way * way).sum(axis=1), 0.05)
        facing = np.maximum((normals * way).sum(axis=1), 0)
        leaving = np.maximum(-(way @ light.normal.astype(np.float32)), 0)
        lit = np.flatnonzero(facing * leaving > 0)
        free = first_hit(points[lit], way[lit], boxes) >= 0.97
        total[lit] += free * facing[lit] * leaving[lit] / (square[lit] * square[lit])
    area = 4 * np.linalg.norm(np.cross(light.half_s, light.half_t))
    return total[:, None] / len(offsets) * area * light.colour.astype(np.float32)


def ambient_share(points: np.ndarray, normals: np.ndarray, boxes: list[Box], extent: np.ndarray,
                  rng: np.random.Generator) -> np.ndarray:
    """How open each point is (N,), 1 in the middle of a free wall: near surfaces take light."""
    ways = rng.standard_normal((DIRECTIONS, 3)).astype(np.float32)
    ways /= np.linalg.norm(ways, axis=1, keepdims=True)
    share, weights = (np.zeros(len(points), np.float32) for _ in range(2))
    for way in ways:
        weight = np.maximum(normals @ way, 0)
        up = np.flatnonzero(weight > 0)
        walls = np.where(way > 0, extent.astype(np.float32) - points[up], -points[up])
        distance = np.maximum(walls / np.where(np.abs(way) < 1e-6, 1e-6 * np.sign(way + 1e-9),
                                               way), 0).min(axis=1)
        distance = np.minimum(distance, first_hit(points[up], way, boxes))
        share[up] += weight[up] * (1 - DEPTH * np.exp(-distance / REACH_M))
        weights += weight
    return share / np.maximum(weights, 1e-6)
