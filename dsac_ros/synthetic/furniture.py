# SPDX-License-Identifier: Apache-2.0
"""Pieces of furniture, built from boxes, prisms and discs; the front looks towards local -y."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dsac_ros.synthetic import prints, textures
from dsac_ros.synthetic.surfaces import DISC, Box, Builder, Material

PX_PER_M = 260.0


@dataclass(frozen=True)
class Palette:
    """The materials of one room."""

    woods: tuple[Material, ...]
    paints: tuple[Material, ...]
    fabrics: tuple[Material, ...]
    metal: Material
    cardboard: Material
    leaf: Material
    paper: Material
    photographs: list[np.ndarray]

    def wood(self, rng: np.random.Generator) -> Material:
        """One of the woods."""
        return self.woods[int(rng.integers(len(self.woods)))]

    def paint(self, rng: np.random.Generator) -> Material:
        """One of the paints."""
        return self.paints[int(rng.integers(len(self.paints)))]

    def fabric(self, rng: np.random.Generator) -> Material:
        """One of the fabrics."""
        return self.fabrics[int(rng.integers(len(self.fabrics)))]


@dataclass(frozen=True)
class Spot:
    """Place of a piece of furniture: the middle of its footprint on the floor, and its yaw."""

    x: float
    y: float
    yaw: float

    def at(self, x: float, y: float, z: float) -> np.ndarray:
        """World coordinates of a point of the piece."""
        c, s = np.cos(self.yaw), np.sin(self.yaw)
        return np.array((self.x + c * x - s * y, self.y + s * x + c * y, z))


def make_palette(builder: Builder, photographs: list[np.ndarray]) -> Palette:
    """Draw a room's materials."""
    rng, hw = builder.rng, (512, 640)

    def add(image: np.ndarray, scale: float = PX_PER_M, grain: bool = False) -> Material:
        return builder.material(image, scale, grain=grain)

    hue = rng.uniform(0.05, 0.11)
    woods = tuple(
        add(textures.wood(rng, hw, textures.colour(rng, (0.25, 0.6), value, hue)), grain=True)
        for value in ((0.55, 0.8), (0.25, 0.5))
    )
    paints = tuple(
        add(textures.smooth(rng, hw, textures.colour(rng, s, v)))
        for s, v in (
            ((0.0, 0.1), (0.8, 0.95)),
            ((0.1, 0.4), (0.3, 0.6)),
            ((0.5, 0.85), (0.4, 0.8)),
        )
    )
    fabrics = tuple(
        add(textures.fabric(rng, hw, textures.colour(rng, (0.1, 0.6), (0.25, 0.75))))
        for _ in range(3)
    )
    return Palette(
        woods,
        paints,
        fabrics,
        add(textures.smooth(rng, hw, (0.35, 0.36, 0.38))),
        add(textures.wood(rng, hw, (0.62, 0.47, 0.32)), 500.0, True),
        add(textures.smooth(rng, hw, textures.colour(rng, (0.5, 0.8), (0.35, 0.6), 0.3))),
        add(textures.wood(rng, hw, (0.86, 0.82, 0.74)), 900.0, True),
        photographs,
    )


def pixels(width: float, height: float, px_per_m: float) -> tuple[int, int]:
    """Image size (h, w) of a print so large [m]."""
    return max(int(height * px_per_m), 24), max(int(width * px_per_m), 24)


def bookcase(b: Builder, p: Palette, spot: Spot, size: tuple[float, float, float]) -> None:
    """An open case with rows of books and things between them."""
    w, d, h = size
    skin, yaw = p.wood(b.rng), spot.yaw
    for x in (-w / 2 + 0.012, w / 2 - 0.012):
        b.box(spot.at(x, 0, h / 2), (0.024, d, h), yaw, skin)
    b.box(spot.at(0, d / 2 - 0.008, h / 2), (w - 0.05, 0.016, h), yaw, skin)
    rows = max(2, int(round(h / 0.36)))
    for z in np.linspace(0.03, h - 0.012, rows + 1):
        b.box(spot.at(0, 0, z), (w - 0.048, d, 0.024), yaw, skin, bottom=True)
    space = (h - 0.04) / rows
    for row in range(rows):
        z, x = 0.045 + row * space, -w / 2 + 0.04
        while x < w / 2 - 0.16:
            part = min(b.rng.uniform(0.16, 0.5), w / 2 - 0.04 - x)
            high = (space - 0.03) * b.rng.uniform(0.75, 0.98)
            deep = d * b.rng.uniform(0.5, 0.8)
            centre = spot.at(x + part / 2, d / 2 - 0.02 - deep / 2, z + high / 2)
            if b.rng.uniform() < 0.72:
                front = prints.book_row(b.rng, pixels(part, high, 420), 420)
                b.box(centre, (part, deep, high), yaw, p.paper, front=front, casts=False)
            else:
                trinket(b, p, spot, (x + part / 2, 0.0, z), min(part, high) * 0.8)
            x += part + b.rng.choice([0.0, 0.01, 0.08])
    b.block(spot.at(0, 0, 0), (w, d, h), yaw)


def trinket(
    b: Builder, p: Palette, spot: Spot, at: tuple[float, float, float], size: float
) -> None:
    """A small thing: a vase, a tin, a box, or a picture on a stand."""
    kind, (x, y, z) = int(b.rng.integers(3)), at
    if kind == 0:
        b.cylinder(
            spot.at(x, y, z + size / 2),
            size * 0.28,
            size,
            p.paint(b.rng),
            sides=12,
            taper=b.rng.uniform(0.6, 1.3),
            casts=False,
        )
    elif kind == 1:
        face = prints.poster(b.rng, (128, 128))
        b.box(
            spot.at(x, y, z + size * 0.3),
            (size * 0.8, size * 0.5, size * 0.6),
            spot.yaw,
            p.paint(b.rng),
            front=face,
            casts=False,
        )
    else:
        face = prints.framed(b.rng, prints.photograph_print(b.rng, p.photographs, (160, 128)))
        b.box(
            spot.at(x, y, z + size * 0.45),
            (size * 0.7, 0.02, size * 0.9),
            spot.yaw,
            p.wood(b.rng),
            front=face,
            casts=False,
        )


def cabinet(b: Builder, p: Palette, spot: Spot, size: tuple[float, float, float]) -> None:
    """A closed case with doors or drawers, and things on top of a low one."""
    w, d, h = size
    skin = p.wood(b.rng) if b.rng.uniform() < 0.6 else p.paint(b.rng)
    b.box(spot.at(0, 0, h / 2), (w, d, h), spot.yaw, skin)
    columns, rows = max(1, round(w / 0.5)), 1 if h > 1.3 else int(b.rng.integers(1, 4))
    for i in range(columns):
        for j in range(rows):
            x = (i + 0.5) / columns * w - w / 2
            z = 0.06 + (j + 0.5) / rows * (h - 0.08)
            fw, fh = w / columns - 0.02, (h - 0.08) / rows - 0.02
            b.box(spot.at(x, -d / 2 - 0.008, z), (fw, 0.016, fh), spot.yaw, skin, bottom=True)
            b.box(
                spot.at(x + fw * 0.35, -d / 2 - 0.028, z),
                (0.02, 0.02, min(0.14, fh / 2)),
                spot.yaw,
                p.metal,
                casts=False,
            )
    if h < 1.3:
        for x in np.arange(-w / 2 + 0.2, w / 2 - 0.15, b.rng.uniform(0.3, 0.5)):
            trinket(b, p, spot, (x, b.rng.uniform(-0.05, 0.05), h), b.rng.uniform(0.15, 0.32))
    b.block(spot.at(0, 0, 0), (w, d + 0.08, h), spot.yaw)


def table(b: Builder, p: Palette, spot: Spot, size: tuple[float, float, float]) -> None:
    """A top on four legs, with papers, books and cups."""
    w, d, h = size
    skin = p.wood(b.rng)
    b.box(spot.at(0, 0, h - 0.02), (w, d, 0.04), spot.yaw, skin, bottom=True)
    legs = p.metal if b.rng.uniform() < 0.4 else skin
    for x in (-w / 2 + 0.06, w / 2 - 0.06):
        for y in (-d / 2 + 0.06, d / 2 - 0.06):
            b.box(spot.at(x, y, h / 2 - 0.02), (0.05, 0.05, h - 0.04), spot.yaw, legs)
    for _ in range(int(b.rng.integers(4, 9))):
        x, y = (
            b.rng.uniform(-w / 2 + 0.18, w / 2 - 0.18),
            b.rng.uniform(-d / 2 + 0.16, d / 2 - 0.16),
        )
        at = spot.at(x, y, 0)
        turned = Spot(at[0], at[1], spot.yaw + b.rng.normal() * 0.5)
        kind = b.rng.uniform()
        if kind < 0.4:
            sheet = prints.page(b.rng, (210, 148))
            high = b.rng.uniform(0.003, 0.03)
            b.box(
                turned.at(0, 0, h + high / 2),
                (0.21, 0.297, high),
                turned.yaw,
                p.paper,
                top=sheet,
                casts=False,
            )
        elif kind < 0.7:
            cover = prints.poster(b.rng, (180, 130))
            high = b.rng.uniform(0.02, 0.09)
            b.box(
                turned.at(0, 0, h + high / 2),
                (0.17, 0.24, high),
                turned.yaw,
                p.paint(b.rng),
                top=cover,
                casts=False,
            )
        elif kind < 0.85:
            b.cylinder(turned.at(0, 0, h + 0.05), 0.042, 0.1, p.paint(b.rng), casts=False)
        else:
            trinket(b, p, turned, (0, 0, h), b.rng.uniform(0.15, 0.3))
    b.block(spot.at(0, 0, 0), (w, d, h), spot.yaw)


def chair(b: Builder, p: Palette, spot: Spot) -> None:
    """Four legs, a seat and a back on the +y side."""
    seat, frame = p.fabric(b.rng), p.wood(b.rng)
    b.box(spot.at(0, 0, 0.45), (0.42, 0.42, 0.05), spot.yaw, seat, bottom=True)
    for x in (-0.18, 0.18):
        b.box(spot.at(x, -0.18, 0.21), (0.035, 0.035, 0.42), spot.yaw, frame)
        b.box(spot.at(x, 0.19, 0.45), (0.035, 0.035, 0.9), spot.yaw, frame)
    for z in (0.66, 0.82):
        b.box(spot.at(0, 0.19, z), (0.36, 0.025, 0.11), spot.yaw, frame, bottom=True)
    b.block(spot.at(0, 0, 0), (0.44, 0.44, 0.9), spot.yaw)


def desk(b: Builder, p: Palette, spot: Spot, size: tuple[float, float, float]) -> None:
    """A table with a screen that shows something, and a chair before it."""
    _, d, h = size
    table(b, p, spot, size)
    screen = prints.photograph_print(b.rng, p.photographs, (200, 330))
    prints.write_lines(screen, b.rng, (14, 14, 140, 150), (240, 240, 240), 12)
    b.box(spot.at(0, d / 4, h + 0.09), (0.06, 0.05, 0.18), spot.yaw, p.metal, casts=False)
    b.box(spot.at(0, d / 4, h + 0.32), (0.56, 0.03, 0.34), spot.yaw, p.metal, front=screen)
    at = spot.at(b.rng.uniform(-0.3, 0.3), -d / 2 - 0.12, 0)
    turned = Spot(at[0], at[1], spot.yaw + np.pi + b.rng.normal() * 0.3)
    chair(b, p, turned)


def sofa(b: Builder, p: Palette, spot: Spot, size: tuple[float, float, float]) -> None:
    """Seat, back, arms and cushions."""
    w, d, _ = size
    skin = p.fabric(b.rng)
    b.box(spot.at(0, 0, 0.21), (w, d, 0.42), spot.yaw, skin)
    b.box(spot.at(0, d / 2 - 0.1, 0.6), (w, 0.2, 0.4), spot.yaw, skin)
    for x in (-w / 2 + 0.09, w / 2 - 0.09):
        b.box(spot.at(x, -0.02, 0.51), (0.18, d - 0.04, 0.2), spot.yaw, skin)
    for x in np.linspace(-w / 2 + 0.42, w / 2 - 0.42, max(2, round(w / 0.75))):
        motif = prints.rug(b.rng, (120, 120)) if b.rng.uniform() < 0.6 else None
        b.box(
            spot.at(x, d / 2 - 0.28, 0.6),
            (0.4, 0.13, 0.36),
            spot.yaw + b.rng.normal() * 0.12,
            p.fabric(b.rng),
            front=motif,
        )
    b.block(spot.at(0, 0, 0), (w, d, 0.8), spot.yaw)


def box_stack(b: Builder, p: Palette, spot: Spot, size: tuple[float, float, float]) -> None:
    """Cartons on top of each other, each with its print."""
    w, d, h = size
    z, grow = 0.0, 1.0
    while z < h - 0.12:
        high = min(b.rng.uniform(0.22, 0.45), h - z)
        label = prints.page(b.rng, pixels(w, high, 300))
        label = (label * (0.8, 0.65, 0.48)).astype(np.uint8)
        b.box(
            spot.at(0, 0, z + high / 2),
            (w * grow, d * grow, high),
            spot.yaw + b.rng.normal() * 0.12,
            p.cardboard,
            front=label,
        )
        z, grow = z + high, grow * b.rng.uniform(0.75, 1.0)
    b.block(spot.at(0, 0, 0), (w + 0.08, d + 0.08, h), spot.yaw)


def plant(b: Builder, p: Palette, spot: Spot, size: tuple[float, float, float]) -> None:
    """Leaves on stalks out of a pot."""
    h = size[2]
    b.cylinder(spot.at(0, 0, 0.17), 0.15, 0.34, p.paint(b.rng), taper=1.25)
    for _ in range(34):
        angle, rise = b.rng.uniform(0, 2 * np.pi), b.rng.uniform(0.3, 1.0)
        out = np.array((np.cos(angle), np.sin(angle), 0))
        side = np.array((-out[1], out[0], 0))
        root = spot.at(0, 0, 0.3 + (h - 0.6) * rise) + out * b.rng.uniform(0.0, 0.12)
        length, droop = b.rng.uniform(0.22, 0.42), b.rng.uniform(-0.4, 0.9)
        along = out * length * 0.8 + np.array((0, 0, droop * length))
        across = (side + 0.3 * b.rng.normal(size=3)) * length * 0.32
        b.patch(root - across / 2, along, across, p.leaf, shape=DISC, two_sided=True)
    b.cylinder(
        spot.at(0, 0, 0.3 + (h - 0.6) / 2), 0.018, h - 0.5, p.woods[0], sides=5, casts=False
    )
    crown = np.array((0.22, 0.22, (h - 0.6) * 0.4))
    b.shadow_boxes.append(Box(spot.at(0, 0, 0.3 + (h - 0.6) * 0.6), crown, 0.0))
    b.block(spot.at(0, 0, 0), (0.6, 0.6, h), spot.yaw)
