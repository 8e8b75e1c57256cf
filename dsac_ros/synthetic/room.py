# SPDX-License-Identifier: Apache-2.0
"""One furnished room from a seed: its shell, what hangs on the walls, what stands on the floor."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from dsac_ros.synthetic import furniture, prints, textures
from dsac_ros.synthetic.furniture import Palette, Spot, make_palette, pixels
from dsac_ros.synthetic.lighting import Light
from dsac_ros.synthetic.photographs import (
    FREE,
    GRASS,
    GRAVEL,
    list_photographs,
    package_photographs,
    read_photograph,
)
from dsac_ros.synthetic.shell import Wall, add_ceiling, add_floor, add_wall, on_wall, spread
from dsac_ros.synthetic.surfaces import DISC, Builder

PRINT_PX = 330.0
Make = Callable[[Builder, Palette, Spot, tuple[float, float, float]], None]


@dataclass(frozen=True)
class Room:
    """A finished room that fills [0, extent] (3,) [m].

    builder holds what it is made of; ambient (3,) is the light from everywhere as a share of that
    of the lamps; prints are the indices of the textures of what hangs on the walls.
    """

    extent: np.ndarray
    builder: Builder
    lights: list[Light]
    ambient: np.ndarray
    prints: tuple[int, ...] = ()

    def exchange_prints(self, share: float, rng: np.random.Generator) -> None:
        """Make the room a look-alike: hang other prints of it in so many places, cut to size."""
        textures = self.builder.textures
        chosen = rng.permutation(self.prints)[: round(share * len(self.prints))].tolist()
        images = [textures[index] for index in chosen]
        for index, image in zip(chosen, [*images[1:], *images[:1]]):
            height, width = textures[index].shape[:2]
            turned = image[::-1, ::-1]
            textures[index] = np.ascontiguousarray(
                cv2.resize(turned, (width, height), interpolation=cv2.INTER_AREA)
            )


def build_room(rng: np.random.Generator, photograph_paths: tuple[str, ...] = ()) -> Room:
    """Draw a room; the extra photographs join those of the package on its walls."""
    photographs = package_photographs(FREE)
    paths = list_photographs(photograph_paths)
    # A room has place for a few dozen prints; reading a whole archive would be waste.
    chosen: list[int] = (
        rng.choice(len(paths), size=min(len(paths), 40), replace=False).tolist() if paths else []
    )
    extra = [read_photograph(paths[i]) for i in chosen]
    photographs = extra + photographs[:3] if extra else photographs
    extent = np.array((rng.uniform(4.2, 8.5), rng.uniform(4.2, 7.0), rng.uniform(2.45, 3.0)))
    builder = Builder(rng)
    palette = make_palette(builder, photographs)
    grass, gravel = package_photographs((GRASS, GRAVEL))
    lx, ly, height = extent
    walls = [
        Wall(np.array(c, float), np.array(r, float), np.array(o, float), n, height, yaw)
        for c, r, o, n, yaw in (
            ((0, ly, 0), (1, 0, 0), (0, 1, 0), lx, 0.0),
            ((lx, 0, 0), (-1, 0, 0), (0, -1, 0), lx, np.pi),
            ((lx, ly, 0), (0, -1, 0), (1, 0, 0), ly, -np.pi / 2),
            ((0, 0, 0), (0, 1, 0), (-1, 0, 0), ly, np.pi / 2),
        )
    ]
    add_floor(builder, extent, gravel)
    lights = add_ceiling(builder, extent)
    tone = textures.colour(rng, (0.02, 0.18), (0.72, 0.93))
    door_wall = int(rng.integers(4))
    window_walls = rng.choice(4, size=int(rng.integers(1, 3)), replace=False)
    hung: list[int] = []
    for k, wall in enumerate(walls):
        add_wall(builder, wall, tone, gravel)
        taken = stand_along(builder, palette, wall, door=k == door_wall)
        if k in window_walls:
            lights += add_windows(builder, wall, taken, grass)
        before = len(builder.textures)
        hang(builder, palette, wall, taken)
        hung += range(before, len(builder.textures))
    fill_middle(builder, palette, extent)
    ambient = np.array((1.0, 0.97, 0.93)) * rng.uniform(0.35, 0.75)
    return Room(extent, builder, lights, ambient, tuple(hung))


def stand_along(
    b: Builder, p: Palette, wall: Wall, *, door: bool
) -> list[tuple[float, float, float, float]]:
    """Place furniture along a wall; the boxes (x, z, w, h) of wall that are taken."""
    rng, taken = b.rng, []
    x = 0.75
    if door:
        left = rng.uniform(0.5, wall.length - 1.5)
        on_wall(b, wall, (left, 0, 0.95, 2.05), prints.door(rng, pixels(0.95, 2.05, 250)), layer=2)
        taken.append((left - 0.2, 0.0, 1.35, 2.1))
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


def draw_piece(rng: np.random.Generator) -> tuple[Make, float, float, float]:
    """A piece for a wall: how to make it, its width, depth and height [m]."""
    kind = int(rng.choice(6, p=[0.27, 0.2, 0.18, 0.12, 0.13, 0.1]))
    u = rng.uniform
    return (
        (furniture.bookcase, u(0.7, 1.4), u(0.26, 0.36), u(1.2, 2.1)),
        (furniture.cabinet, u(0.8, 1.6), u(0.4, 0.5), u(0.7, 1.1)),
        (furniture.desk, u(1.1, 1.6), u(0.6, 0.7), u(0.7, 0.76)),
        (furniture.sofa, u(1.5, 2.0), u(0.75, 0.9), 0.85),
        (furniture.box_stack, u(0.4, 0.6), u(0.35, 0.5), u(0.5, 1.4)),
        (furniture.plant, 0.5, 0.5, u(1.0, 1.6)),
    )[kind]


def add_windows(
    b: Builder, wall: Wall, taken: list[tuple[float, float, float, float]], grass: np.ndarray
) -> list[Light]:
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
        lights.append(
            Light(
                centre + np.array((0, 0, box[1] + h / 2)),
                wall.right * w / 2,
                np.array((0, 0, h / 2)),
                -wall.outward,
                np.array((0.9, 0.96, 1.05)) * b.rng.uniform(1.0, 4.0),
            )
        )
    return lights


def overlaps(
    box: tuple[float, float, float, float],
    others: list[tuple[float, float, float, float]],
    gap: float,
) -> bool:
    """Return True if the box comes closer than `gap` to one of the others."""
    x, z, w, h = box
    return any(
        x < ox + ow + gap and ox < x + w + gap and z < oz + oh + gap and oz < z + h + gap
        for ox, oz, ow, oh in others
    )


def hang(
    b: Builder, p: Palette, wall: Wall, taken: list[tuple[float, float, float, float]]
) -> None:
    """Cover what is free of the wall with posters, pictures, boards, pages and clocks."""
    rng = b.rng
    for attempt in range(70):
        kind = rng.choice(
            ['photograph', 'poster', 'page', 'board', 'clock'], p=[0.42, 0.24, 0.2, 0.07, 0.07]
        )
        scale = 1.0 if attempt < 35 else 0.55
        size = {
            'photograph': rng.uniform(0.3, 1.1),
            'poster': rng.uniform(0.4, 0.9),
            'page': rng.uniform(0.2, 0.3),
            'board': rng.uniform(1.0, 1.6),
            'clock': rng.uniform(0.25, 0.4),
        }[kind] * scale
        ratio = {
            'photograph': rng.choice([0.7, 1.0, 1.35]),
            'poster': 1.4,
            'page': 1.41,
            'board': 0.62,
            'clock': 1.0,
        }[kind]
        w, h = size, size * ratio
        if w > wall.length - 0.3 or h > wall.height - 0.5:
            continue
        box = (
            rng.uniform(0.1, wall.length - 0.1 - w),
            rng.uniform(0.3, wall.height - 0.1 - h),
            w,
            h,
        )
        if overlaps(box, taken, 0.05):
            continue
        taken.append(box)
        hw = pixels(w, h, PRINT_PX)
        if kind == 'photograph':
            image = prints.photograph_print(rng, p.photographs, hw)
            image = prints.framed(rng, image) if rng.uniform() < 0.7 else image
        else:
            image = {
                'poster': prints.poster,
                'page': prints.page,
                'board': prints.whiteboard,
                'clock': prints.clock,
            }[kind](rng, hw)
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
    spot = Spot(centre[0], centre[1], yaw)
    furniture.table(b, p, spot, (w, d, 0.74))
    for x in np.linspace(-w / 2 + 0.35, w / 2 - 0.35, max(1, int(w / 0.6))):
        for side in (-1, 1):
            if rng.uniform() < 0.7:
                at = spot.at(x, side * (d / 2 + 0.12), 0)
                turn = 0.0 if side > 0 else np.pi
                furniture.chair(b, p, Spot(at[0], at[1], yaw + turn + rng.normal() * 0.15))
