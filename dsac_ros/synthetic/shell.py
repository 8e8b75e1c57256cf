# SPDX-License-Identifier: Apache-2.0
"""The shell of a room: walls, floor with rugs, ceiling with lamps."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from dsac_ros.synthetic import prints, textures
from dsac_ros.synthetic.furniture import pixels
from dsac_ros.synthetic.lighting import Light
from dsac_ros.synthetic.surfaces import DISC, RECTANGLE, Builder

# Hung things stand this far before the wall [m], each layer before the last.
LAYER_M = 0.006
WALL_PX, FLOOR_PX, CEILING_PX = 250.0, 200.0, 110.0


@dataclass(frozen=True)
class Wall:
    """A wall as one sees it from inside: bottom left corner, the way right, the way out."""

    corner: np.ndarray
    right: np.ndarray
    outward: np.ndarray
    length: float
    height: float
    yaw: float


def on_wall(
    b: Builder,
    wall: Wall,
    box: tuple[float, float, float, float],
    image: np.ndarray,
    *,
    layer: int = 1,
    emission: float = 0.0,
    shape: int = RECTANGLE,
) -> None:
    """Hang an image over x0, z0, width, height of the wall."""
    x, z, w, h = box
    top_left = wall.corner + wall.right * x - wall.outward * LAYER_M * layer
    b.patch(
        top_left + np.array((0, 0, z + h)),
        wall.right * w,
        np.array((0, 0, -h)),
        image,
        emission=emission,
        shape=shape,
    )


def add_wall(b: Builder, wall: Wall, tone: textures.Colour, gravel: np.ndarray) -> None:
    """The bare wall and its skirting board."""
    hw = pixels(wall.length, wall.height, WALL_PX)
    kind = b.rng.uniform()
    own = tone if b.rng.uniform() < 0.7 else textures.colour(b.rng, (0.1, 0.4), (0.5, 0.85))
    if kind < 0.55:
        image = textures.plaster(b.rng, hw, own)
    elif kind < 0.75:
        image = textures.wallpaper(b.rng, hw, own)
    else:
        clay = textures.colour(b.rng, (0.2, 0.55), (0.5, 0.8), 0.05)
        image = textures.bricks(b.rng, hw, clay, gravel)
    skirting = int(0.09 * WALL_PX)
    image[-skirting:] = textures.wood(b.rng, (skirting, hw[1]), (0.75, 0.72, 0.68))
    image[-skirting] = 90
    on_wall(b, wall, (0, 0, wall.length, wall.height), image, layer=0)


def add_floor(b: Builder, extent: np.ndarray, gravel: np.ndarray) -> None:
    """A floor of boards, tiles, carpet or terrazzo, with rugs on it."""
    (lx, ly, _), rng = extent, b.rng
    hw = pixels(lx, ly, FLOOR_PX)
    kind = rng.uniform()
    base = textures.colour(rng, (0.25, 0.6), (0.35, 0.75), rng.uniform(0.05, 0.1))
    if kind < 0.45:
        floor = textures.planks(rng, hw, base, int(rng.uniform(18, 34)))
    elif kind < 0.7:
        floor = textures.tiles(
            rng,
            hw,
            textures.colour(rng, (0, 0.3), (0.5, 0.85)),
            int(rng.uniform(50, 100)),
            textures.colour(rng, (0.2, 0.6), (0.3, 0.7)),
        )
    elif kind < 0.9:
        floor = textures.carpet(rng, hw, textures.colour(rng, (0.1, 0.45), (0.3, 0.6)))
    else:
        grit = cv2.resize(gravel, None, fx=0.22, fy=0.22, interpolation=cv2.INTER_AREA)
        floor = textures.stone(rng, hw, grit, textures.colour(rng, (0, 0.2), (0.5, 0.7)))
    b.patch(np.array((0, ly, 0)), np.array((lx, 0, 0)), np.array((0, -ly, 0)), floor)
    for k in range(int(rng.integers(2, 5))):
        w, h = min(rng.uniform(0.8, 2.4), lx - 1), min(rng.uniform(0.7, 1.8), ly - 1)
        centre = np.array(
            (
                rng.uniform(0.3 + w / 2, lx - 0.3 - w / 2),
                rng.uniform(0.3 + h / 2, ly - 0.3 - h / 2),
                0.004 * (k + 1),
            )
        )
        lay(
            b,
            centre,
            (w, h),
            rng.choice([0.0, rng.normal() * 0.3]),
            DISC if rng.uniform() < 0.25 else RECTANGLE,
        )


def add_ceiling(b: Builder, extent: np.ndarray) -> list[Light]:
    """A ceiling with its fittings; the lamps as lights."""
    (lx, ly, height), rng = extent, b.rng
    hw = pixels(lx, ly, CEILING_PX)
    white = textures.colour(rng, (0.0, 0.06), (0.82, 0.95))
    ceiling = (
        textures.tiles(rng, hw, white, int(rng.uniform(50, 70)))
        if rng.uniform() < 0.5
        else textures.plaster(rng, hw, white)
    )
    decorate_ceiling(ceiling, rng)
    b.patch(np.array((0, 0, height)), np.array((lx, 0, 0)), np.array((0, ly, 0)), ceiling)
    return [lamp(b, np.array((x, y, height))) for x in spread(lx, 2.6) for y in spread(ly, 2.6)]


def lay(b: Builder, centre: np.ndarray, size: tuple[float, float], yaw: float, shape: int) -> None:
    """Lay a rug on the floor."""
    w, h = size
    if shape == DISC:
        w = h = min(w, h)
    c, s = np.cos(yaw), np.sin(yaw)
    right, down = np.array((c * w, s * w, 0)), np.array((s * h, -c * h, 0))
    b.patch(
        centre - right / 2 - down / 2,
        right,
        down,
        prints.rug(b.rng, pixels(w, h, 220)),
        shape=shape,
    )


def decorate_ceiling(image: np.ndarray, rng: np.random.Generator) -> None:
    """Vents, detectors, cable ducts and stains, in place."""
    h, w = image.shape[:2]
    for _ in range(int(rng.integers(2, 5))):
        x, y, a = (
            int(rng.uniform(0.1, 0.9) * w),
            int(rng.uniform(0.1, 0.9) * h),
            rng.integers(18, 40),
        )
        cv2.rectangle(image, (x, y), (x + int(a), y + int(a)), (120, 122, 124), -1)
        for k in range(3, int(a), 6):
            cv2.line(image, (x + 2, y + k), (x + int(a) - 2, y + k), (225, 225, 225), 2)
    for _ in range(int(rng.integers(2, 6))):
        centre = (int(rng.uniform(0, 1) * w), int(rng.uniform(0, 1) * h))
        cv2.circle(image, centre, int(rng.integers(4, 9)), (235, 235, 232), -1, cv2.LINE_AA)
        cv2.circle(image, centre, int(rng.integers(4, 9)), (110, 110, 112), 2, cv2.LINE_AA)
    for _ in range(int(rng.integers(1, 4))):
        at = int(rng.uniform(0.1, 0.9) * (w if rng.uniform() < 0.5 else h))
        begin, end = ((at, 0), (at, h)) if rng.uniform() < 0.5 else ((0, at), (w, at))
        cv2.line(image, begin, end, (170, 165, 158), int(rng.integers(3, 9)))


def spread(length: float, pitch: float) -> np.ndarray:
    """Evenly spread places along a length, about `pitch` apart."""
    count = max(1, round(length / pitch))
    return (np.arange(count) + 0.5) * length / count


def lamp(b: Builder, place: np.ndarray) -> Light:
    """A shining panel under the ceiling."""
    rng = b.rng
    half = np.array((rng.uniform(0.2, 0.45), 0, 0)), np.array((0, rng.uniform(0.12, 0.3), 0))
    at = place + np.array((rng.uniform(-0.4, 0.4), rng.uniform(-0.4, 0.4), -0.03))
    panel = np.full((64, 96, 3), 255, np.uint8)
    cv2.rectangle(panel, (0, 0), (95, 63), (150, 150, 150), 6)
    b.patch(at - half[0] - half[1], 2 * half[0], 2 * half[1], panel, emission=1.5)
    warmth = rng.uniform(0, 1)
    tint = np.array((1.0, 0.94 - 0.08 * warmth, 0.88 - 0.25 * warmth))
    return Light(at, half[0], half[1], np.array((0, 0, -1.0)), tint * rng.uniform(4.0, 8.0))
