# SPDX-License-Identifier: Apache-2.0
"""One furnished room from a seed: its shell, what hangs on the walls, what stands on the floor."""
from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from dsac_ros.sources.rendered import furniture, prints, textures
from dsac_ros.sources.rendered.furniture import Palette, Spot, make_palette, pixels
from dsac_ros.sources.rendered.lighting import Light
from dsac_ros.sources.rendered.photographs import (FREE, MATERIALS, list_photographs,
                                                   package_photographs, read_photograph)
from dsac_ros.sources.rendered.surfaces import DISC, Builder

# Hung things stand this far before the wall [m], each layer before the last.
LAYER_M = 0.006
WALL_PX, FLOOR_PX, CEILING_PX, PRINT_PX = 250.0, 200.0, 110.0, 330.0


@dataclass(frozen=True)
class Wall:
    """A wall as one sees it from inside: bottom left corner, the way right, the way out."""

    corner: np.ndarray
    right: np.ndarray
    outward: np.ndarray
    length: float
    height: float
    yaw: float


@dataclass(frozen=True)
class Room:
    """A finished room: [0, extent] (3,) [m], what it is built of, its lamps, and
    the light from everywhere as a share of theirs, (3,)."""

    extent: np.ndarray
    builder: Builder
    lights: list[Light]
    ambient: np.ndarray


def build_room(rng: np.random.Generator, photograph_paths: tuple[str, ...] = ()) -> Room:
    """Draw a room; the extra photographs join those of the package on its walls."""
    photographs = package_photographs(FREE)
    paths = list_photographs(photograph_paths)
    # A room has place for a few dozen prints; reading a whole archive would be waste.
    chosen = rng.choice(len(paths), size=min(len(paths), 40), replace=False) if paths else []
    extra = [read_photograph(paths[int(i)]) for i in chosen]
    photographs = extra + photographs[:3] if extra else photographs
    extent = np.array((rng.uniform(4.2, 8.5), rng.uniform(4.2, 7.0), rng.uniform(2.45, 3.0)))
    builder = Builder(rng)
    palette = make_palette(builder, photographs)
    materials = package_photographs(MATERIALS)
    lx, ly, height = extent
    walls = [Wall(np.array(c, float), np.array(r, float), np.array(o, float), n, height, yaw)
             for c, r, o, n, yaw in (
                 ((0, ly, 0), (1, 0, 0), (0, 1, 0), lx, 0.0),
                 ((lx, 0, 0), (-1, 0, 0), (0, -1, 0), lx, np.pi),
                 ((lx, ly, 0), (0, -1, 0), (1, 0, 0), ly, -np.pi / 2),
                 ((0, 0, 0), (0, 1, 0), (-1, 0, 0), ly, np.pi / 2))]
    lights = add_floor_and_ceiling(builder, extent, materials)
    tone = textures.colour(rng, (0.02, 0.18), (0.72, 0.93))
    door_wall = int(rng.integers(4))
    window_walls = rng.choice(4, size=int(rng.integers(1, 3)), replace=False)
    for k, wall in enumerate(walls):
        add_wall(builder, wall, tone, materials)
        taken = stand_along(builder, palette, wall, door=k == door_wall)
        if k in window_walls:
            lights += add_windows(builder, wall, taken, materials[1])
        hang(builder, palette, wall, taken)
    fill_middle(builder, palette, extent)
    ambient = np.array((1.0, 0.97, 0.93)) * rng.uniform(0.35, 0.75)
    return Room(extent, builder, lights, ambient)


def on_wall(b: Builder, wall: Wall, box: tuple[float, float, float, float], image: np.ndarray, *,
            layer: int = 1, emission: float = 0.0, shape: int = 0) -> None:
    """Hang an image over x0, z0, width, height of the wall."""
    x, z, w, h = box
    top_left = wall.corner + wall.right * x - wall.outward * LAYER_M * layer
    b.patch(top_left + np.array((0, 0, z + h)), wall.right * w, np.array((0, 0, -h)), image,
            emission=emission, shape=shape)


def add_wall(b: Builder, wall: Wall, tone: textures.Colour, materials: list[np.ndarray]) -> None:
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
        image = textures.bricks(b.rng, hw, clay, materials[2])
    skirting = int(0.09 * WALL_PX)
    image[-skirting:] = textures.wood(b.rng, (skirting, hw[1]), (0.75, 0.72, 0.68))
    image[-skirting] = 90
    on_wall(b, wall, (0, 0, wall.length, wall.height), image, layer=0)


def add_floor_and_ceiling(b: Builder, extent: np.ndarray, materials: list[np.ndarray]
                          ) -> list[Light]:
    """Floor with rugs, ceiling with lamps, vents and beams; the lamps as lights."""
    (lx, ly, height), rng = extent, b.rng
    hw = pixels(lx, ly, FLOOR_PX)
    kind = rng.uniform()
    base = textures.colour(rng, (0.25, 0.6), (0.35, 0.75), rng.uniform(0.05, 0.1))
    if kind < 0.45:
        floor = textures.planks(rng, hw, base, int(rng.uniform(18, 34)))
    elif kind < 0.7:
        floor = textures.tiles(rng, hw, textures.colour(rng, (0, 0.3), (0.5, 0.85)),
                               int(rng.uniform(50, 100)),
                               textures.colour(rng, (0.2, 0.6), (0.3, 0.7)))
    elif kind < 0.9:
        floor = textures.carpet(rng, hw, textures.colour(rng, (0.1, 0.45), (0.3, 0.6)))
    else:
        grit = cv2.resize(materials[2], None, fx=0.22, fy=0.22, interpolation=cv2.INTER_AREA)
        floor = textures.stone(rng, hw, grit, textures.colour(rng, (0, 0.2), (0.5, 0.7)))
    b.patch(np.array((0, ly, 0)), np.array((lx, 0, 0)), np.array((0, -ly, 0)), floor)
    for k in range(int(rng.integers(2, 5))):
        w, h = rng.uniform(0.8, 2.4), rng.uniform(0.7, 1.8)
        w, h = min(w, lx - 1), min(h, ly - 1)
        centre = np.array((rng.uniform(0.3 + w / 2, lx - 0.3 - w / 2),
                           rng.uniform(0.3 + h / 2, ly - 0.3 - h / 2), 0.004 * (k + 1)))
        lay(b, centre, (w, h), rng.choice([0.0, rng.normal() * 0.3]),
            DISC if rng.uniform() < 0.25 else 0)
    hw = pixels(lx, ly, CEILING_PX)
    white = textures.colour(rng, (0.0, 0.06), (0.82, 0.95))
    ceiling = (textures.tiles(rng, hw, white, int(rng.uniform(50, 70)))
               if rng.uniform() < 0.5 else textures.plaster(rng, hw, white))
    decorate_ceiling(ceiling, rng)
    b.patch(np.array((0, 0, height)), np.array((lx, 0, 0)), np.array((0, ly, 0)), ceiling)
    return [lamp(b, np.array((x, y, height)))
            for x in spread(lx, 2.6) for y in spread(ly, 2.6)]


def lay(b: Builder, centre: np.ndarray, size: tuple[float, float], yaw: float, shape: int) -> None:
    """Lay a rug on the floor."""
    w, h = size
    if shape == DISC:
        w = h = min(w, h)
    c, s = np.cos(yaw), np.sin(yaw)
    right, down = np.array((c * w, s * w, 0)), np.array((s * h, -c * h, 0))
    b.patch(centre - right / 2 - down / 2, right, down,
            prints.rug(b.rng, pixels(w, h, 220)), shape=shape)


def decorate_ceiling(image: np.ndarray, rng: np.random.Generator) -> None:
    """Vents, detectors, cable ducts and stains, in place."""
    h, w = image.shape[:2]
    for _ in range(int(rng.integers(2, 5))):
        x, y, a = int(rng.uniform(.1, .9) * w), int(rng.uniform(.1, .9) * h), rng.integers(18, 40)
        cv2.rectangle(image, (x, y), (x + int(a), y + int(a)), (120, 122, 124), -1)
        for k in range(3, int(a), 6):
            cv2.line(image, (x + 2, y + k), (x + int(a) - 2, y + k), (225, 225, 225), 2)
    for _ in range(int(rng.integers(2, 6))):
        centre = (int(rng.uniform(0, 1) * w), int(rng.uniform(0, 1) * h))
        cv2.circle(image, centre, int(rng.integers(4, 9)), (235, 235, 232), -1, cv2.LINE_AA)
        cv2.circle(image, centre, int(rng.integers(4, 9)), (110, 110, 112), 2, cv2.LINE_AA)
    for _ in range(int(rng.integers(1, 4))):
        at = int(rng.uniform(0.1, 0.9) * (w if rng.uniform() < 0.5 else h))
        ends = ((at, 0), (at, h)) if rng.uniform() < 0.5 else ((0, at), (w, at))
        cv2.line(image, *ends, (170, 165, 158), int(rng.integers(3, 9)))


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


def stand_along(b: Builder, p: Palette, wall: Wall, *, door: bool
                ) -> list[tuple[float, float, float, float]]:
    """Place furniture along a wall; the boxes (x, z, w, h) of wall that are taken."""
    rng, taken = b.rng, []
    x = 0.75
    if door:
        at = rng.uniform(0.5, wall.length - 1.5)
        on_wall(b, wall, (at, 0, 0.95, 2.05), prints.door(rng, pixels(0.95, 2.05, 250)), layer=2)
        taken.append((at - 0.2, 0.0, 1.35, 2.1))
    while x < wall.length - 1.3:
        make, w, d, h = draw_piece(rng)
        w = min(w, wall.length - 0.7 - x)
        clash = door and x + w > taken[0][0] and x < taken[0][0] + taken[0][2]
        if rng.uniform() < 0.75 and not clash:
            at = wall.corner + wall.right * (x + w / 2) - wall.outward * (d / 2 + 0.03)
            make(b, p, Spot(at[0], at[1], wall.yaw), (w, d, h))
            taken.append((x, 0.0, w, h + 0.12))
        x += w + rng.uniform(0.05, 0.7)
    return taken


def draw_piece(rng: np.random.Generator):
    """A piece for a wall: how to make it, its width, depth and height [m]."""
    kind = int(rng.choice(6, p=[0.27, 0.2, 0.18, 0.12, 0.13, 0.1]))
    u = rng.uniform
    return ((furniture.bookcase, u(0.7, 1.4), u(0.26, 0.36), u(1.2, 2.1)),
            (furniture.cabinet, u(0.8, 1.6), u(0.4, 0.5), u(0.7, 1.1)),
            (furniture.desk, u(1.1, 1.6), u(0.6, 0.7), u(0.7, 0.76)),
            (furniture.sofa, u(1.5, 2.0), u(0.75, 0.9), 0.85),
            (furniture.box_stack, u(0.4, 0.6), u(0.35, 0.5), u(0.5, 1.4)),
            (furniture.plant, 0.5, 0.5, u(1.0, 1.6)))[kind]


def add_windows(b: Builder, wall: Wall, taken: list[tuple[float, float, float, float]],
                grass: np.ndarray) -> list[Light]:
    """Windows where the wall is free above 0.9 m; each is a light."""
    lights = []
    for x in spread(wall.length, 2.6):
        w, h = b.rng.uniform(1.0, 1.6), b.rng.uniform(1.1, 1.4)
        box = (x - w / 2, b.rng.uniform(0.85, 1.0), w, h)
        if overlaps(box, taken, 0.02):
            continue
        taken.append(box)
        view = prints.window(b.rng, pixels(w, h, 220), grass)
        on_wall(b, wall, box, view, layer=2, emission=1.15)
        centre = wall.corner + wall.right * x - wall.outward * 0.05
        lights.append(Light(centre + np.array((0, 0, box[1] + h / 2)), wall.right * w / 2,
                            np.array((0, 0, h / 2)), -wall.outward,
                            np.array((0.9, 0.96, 1.05)) * b.rng.uniform(1.0, 4.0)))
    return lights


def overlaps(box: tuple[float, float, float, float],
             others: list[tuple[float, float, float, float]], gap: float) -> bool:
    """Whether the box comes closer than `gap` to one of the others."""
    x, z, w, h = box
    return any(x < ox + ow + gap and ox < x + w + gap and z < oz + oh + gap and oz < z + h + gap
               for ox, oz, ow, oh in others)


def hang(b: Builder, p: Palette, wall: Wall,
         taken: list[tuple[float, float, float, float]]) -> None:
    """Cover what is free of the wall with posters, pictures, boards, pages and clocks."""
    rng = b.rng
    for attempt in range(70):
        kind = rng.choice(['photograph', 'poster', 'page', 'board', 'clock'],
                          p=[0.42, 0.24, 0.2, 0.07, 0.07])
        scale = 1.0 if attempt < 35 else 0.55
        size = {'photograph': rng.uniform(0.3, 1.1), 'poster': rng.uniform(0.4, 0.9),
                'page': rng.uniform(0.2, 0.3), 'board': rng.uniform(1.0, 1.6),
                'clock': rng.uniform(0.25, 0.4)}[kind] * scale
        ratio = {'photograph': rng.choice([0.7, 1.0, 1.35]), 'poster': 1.4, 'page': 1.41,
                 'board': 0.62, 'clock': 1.0}[kind]
        w, h = size, size * ratio
        if w > wall.length - 0.3 or h > wall.height - 0.5:
            continue
        box = (rng.uniform(0.1, wall.length - 0.1 - w), rng.uniform(0.3, wall.height - 0.1 - h),
               w, h)
        if overlaps(box, taken, 0.05):
            continue
        taken.append(box)
        hw = pixels(w, h, PRINT_PX)
        if kind == 'photograph':
            image = prints.photograph_print(rng, p.photographs, hw)
            image = prints.framed(rng, image) if rng.uniform() < 0.7 else image
        else:
            image = {'poster': prints.poster, 'page': prints.page, 'board': prints.whiteboard,
                     'clock': prints.clock}[kind](rng, hw)
        on_wall(b, wall, box, image, layer=3, shape=DISC if kind == 'clock' else 0)


def fill_middle(b: Builder, p: Palette, extent: np.ndarray) -> None:
    """A table with chairs, or some smaller things, where one can still drive around them."""
    rng, (lx, ly, _) = b.rng, extent
    centre = np.array((lx, ly)) / 2
    room = np.array((lx, ly)) - 2 * 1.75
    if (room < 0.5).any():
        return
    yaw = rng.choice([0.0, np.pi / 2]) + rng.normal() * 0.1
    swap = abs(np.sin(yaw)) > 0.7
    limit = room[::-1] if swap else room
    w, d = np.minimum(limit, (rng.uniform(1.2, 2.0), rng.uniform(0.7, 1.0)))
    spot = Spot(*centre, yaw)
    furniture.table(b, p, spot, (w, d, 0.74))
    for x in np.linspace(-w / 2 + 0.35, w / 2 - 0.35, max(1, int(w / 0.6))):
        for side in (-1, 1):
            if rng.uniform() < 0.7:
                at = spot.at(x, side * (d / 2 + 0.12), 0)
                turn = 0.0 if side > 0 else np.pi
                furniture.chair(b, p, Spot(at[0], at[1], yaw + turn + rng.normal() * 0.15))
