# SPDX-License-Identifier: Apache-2.0
"""Materials: noise, plaster, wood, tiles, fabric. All images are (H, W, 3) uint8 sRGB."""

from __future__ import annotations

import colorsys

import cv2
import numpy as np

Rng = np.random.Generator
Colour = tuple[float, float, float]


def colour(
    rng: Rng,
    saturation: tuple[float, float] = (0.2, 0.8),
    value: tuple[float, float] = (0.3, 0.9),
    hue: float | None = None,
) -> Colour:
    """A colour in [0, 1] within the saturation and value ranges."""
    h = rng.uniform() if hue is None else (hue + rng.normal() * 0.02) % 1.0
    return colorsys.hsv_to_rgb(h, rng.uniform(*saturation), rng.uniform(*value))


def noise(
    rng: Rng, hw: tuple[int, int], cell: float, octaves: int = 4, aspect: float = 1.0
) -> np.ndarray:
    """Multi-octave value noise (H, W) float32, about zero mean and unit deviation.

    `cell` is the size of the coarsest features [px]; `aspect` > 1 stretches them along x.
    """
    height, width = hw
    total = np.zeros(hw, np.float32)
    for octave in range(octaves):
        size = max(cell * 0.5**octave, 1.0)
        # Coarse features need no cubic interpolation at full size, which is most of the work.
        step = 4 if size >= 16 else 1
        h, w = -(-height // step) + 1, -(-width // step) + 1
        cell_y, cell_x = size / step, size * aspect / step
        grid = rng.standard_normal((int(h / cell_y) + 3, int(w / cell_x) + 3), dtype=np.float32)
        fine = cv2.resize(
            grid,
            (int(grid.shape[1] * cell_x) + 1, int(grid.shape[0] * cell_y) + 1),
            interpolation=cv2.INTER_CUBIC,
        )
        y, x = (rng.integers(0, n - m + 1) for n, m in zip(fine.shape, (h, w)))
        fine = fine[y : y + h, x : x + w]
        if step > 1:
            fine = cv2.resize(fine, (w * step, h * step), interpolation=cv2.INTER_LINEAR)
        total += fine[:height, :width] * np.float32(0.6**octave)
    return total / max(float(total.std()), 1e-6)


def paint(base: Colour | np.ndarray, *layers: tuple[np.ndarray, float]) -> np.ndarray:
    """`base` times (1 + the sum of weight * layer), as uint8."""
    gain = np.asarray(1.0 + sum(layer * weight for layer, weight in layers))
    return as_image(np.asarray(base, np.float32) * gain[..., None])


def as_image(values: np.ndarray) -> np.ndarray:
    """[0, 1] floats as uint8, clipped."""
    return (np.clip(values, 0.0, 1.0) * 255.0 + 0.5).astype(np.uint8)


def plaster(rng: Rng, hw: tuple[int, int], base: Colour) -> np.ndarray:
    """A painted wall: trowel marks, stains and grain."""
    stain = np.clip(noise(rng, hw, 160, 3) - 0.9, 0, 2)
    speck = np.clip(np.abs(noise(rng, hw, 2.5, 1)) - 2.0, 0, 1)
    return paint(
        base,
        (noise(rng, hw, 90, 6), 0.04),
        (noise(rng, hw, 4, 1), 0.025),
        (stain, -0.08),
        (speck, -0.3),
    )


def wallpaper(rng: Rng, hw: tuple[int, int], base: Colour) -> np.ndarray:
    """Vertical stripes of varying widths and tints over plaster."""
    other = np.asarray(base) * rng.uniform(0.6, 0.9) + np.asarray(colour(rng)) * 0.15
    edges = np.cumsum(rng.uniform(12, 60, size=hw[1] // 12))
    stripe = (np.searchsorted(edges, np.arange(hw[1])) % 2).astype(np.float32)
    mix = (stripe * rng.uniform(0.4, 1.0))[None, :, None]
    base_map = (np.asarray(base) * (1 - mix) + other * mix).astype(np.float32)
    return paint(
        np.broadcast_to(base_map, (*hw, 3)),
        (noise(rng, hw, 80, 5), 0.04),
        (noise(rng, hw, 3, 1), 0.025),
    )


def bricks(rng: Rng, hw: tuple[int, int], base: Colour, photograph: np.ndarray) -> np.ndarray:
    """Brickwork in running bond: every brick its own tint, the photograph's roughness on all."""
    high, wide, joint = 20, 56, 3
    row = np.arange(hw[0])[:, None]
    column = np.arange(hw[1])[None] + (row // high % 2) * (wide // 2) + wide
    tints = rng.normal(1.0, 0.14, size=(hw[0] // high + 1, hw[1] // wide + 3, 1))
    tints = tints * (1 + rng.normal(scale=0.04, size=(*tints.shape[:2], 3)))
    image = (tints * base)[row // high, column // wide].astype(np.float32)
    image[(row % high < joint) | (column % wide < joint)] = (0.72, 0.70, 0.66)
    rough = stone(rng, hw, photograph, (0.5, 0.5, 0.5)).astype(np.float32)[..., 0] / 127.0 - 1.0
    return paint(image, (np.clip(rough, -1, 1), 0.22), (noise(rng, hw, 120, 4), 0.06))


def wood(rng: Rng, hw: tuple[int, int], base: Colour) -> np.ndarray:
    """Grain along x: rings bent by noise."""
    bend = noise(rng, hw, 70, 3, 6.0)
    rows = np.arange(hw[0], dtype=np.float32)[:, None] / rng.uniform(6.0, 14.0)
    rings = np.sin(rows + 2.5 * bend)
    return paint(base, (rings, 0.09), (noise(rng, hw, 8, 3, 20.0), 0.09), (bend, 0.06))


def planks(rng: Rng, hw: tuple[int, int], base: Colour, plank_px: int) -> np.ndarray:
    """A wooden floor: staggered boards, each with its own tint and piece of grain."""
    grain = wood(rng, (hw[0] + 64, hw[1] + 256), base).astype(np.float32) / 255.0
    image = np.empty((*hw, 3), np.float32)
    for y in range(0, hw[0], plank_px):
        x = -int(rng.integers(0, 6 * plank_px))
        while x < hw[1]:
            length = int(plank_px * rng.uniform(5, 11))
            rows, columns = (
                slice(y, min(y + plank_px, hw[0])),
                slice(max(x, 0), min(x + length, hw[1])),
            )
            if columns.stop > columns.start:
                dy, dx = rng.integers(0, 64), rng.integers(0, 256)
                piece = grain[
                    rows.start + dy : rows.stop + dy, columns.start + dx : columns.stop + dx
                ]
                image[rows, columns] = piece * rng.uniform(0.72, 1.18)
                image[rows, columns.stop - 1 : columns.stop] *= 0.45
                image[rows.stop - 1, columns] *= 0.5
            x += length
    return paint(image, (noise(rng, hw, 200, 4), 0.05))


def tiles(
    rng: Rng, hw: tuple[int, int], base: Colour, tile_px: int, accent: Colour | None = None
) -> np.ndarray:
    """Square tiles with grout; some take the accent colour, each its own tint and veins."""
    count = (hw[0] // tile_px + 2, hw[1] // tile_px + 2)
    tint = np.asarray(base) * rng.uniform(0.8, 1.12, size=(*count, 1))
    if accent is not None:
        marked = rng.uniform(size=count) < 0.25
        tint[marked] = np.asarray(accent) * rng.uniform(0.7, 1.1, size=(int(marked.sum()), 1))
    rows, columns = np.arange(hw[0]), np.arange(hw[1])
    image = tint[rows[:, None] // tile_px, columns[None] // tile_px].astype(np.float32)
    grout = (rows[:, None] % tile_px < 3) | (columns[None] % tile_px < 3)
    image[grout] = np.asarray(base) * 0.55
    vein = np.exp(-8.0 * np.abs(noise(rng, hw, 90, 5)))
    return paint(image, (vein, -0.10), (noise(rng, hw, 160, 4), 0.06))


def carpet(rng: Rng, hw: tuple[int, int], base: Colour) -> np.ndarray:
    """Loops of a second colour and worn areas."""
    loops = cv2.GaussianBlur(rng.standard_normal(hw).astype(np.float32), (0, 0), 0.8)
    return paint(
        base,
        (loops, 0.35),
        (noise(rng, hw, 220, 5), 0.10),
        (np.clip(noise(rng, hw, 90, 3) - 1.2, 0, 2), -0.25),
    )


def fabric(rng: Rng, hw: tuple[int, int], base: Colour) -> np.ndarray:
    """A weave, sometimes with a coarse check."""
    y, x = np.mgrid[: hw[0], : hw[1]].astype(np.float32)
    weave = np.sin(x * 1.6) * np.sin(y * 1.6)
    period = rng.uniform(25, 70)
    check = np.sign(np.sin(x / period * 3.1)) + np.sign(np.sin(y / period * 3.1))
    return paint(
        base, (weave, 0.10), (check, rng.choice([0.0, 0.12])), (noise(rng, hw, 60, 4), 0.08)
    )


def smooth(rng: Rng, hw: tuple[int, int], base: Colour) -> np.ndarray:
    """Paint or plastic: nearly even, scuffed."""
    scuff = np.clip(noise(rng, hw, 30, 4, 4.0) - 1.4, 0, 2)
    return paint(base, (noise(rng, hw, 120, 4), 0.04), (scuff, -0.15))


def stone(rng: Rng, hw: tuple[int, int], photograph: np.ndarray, base: Colour) -> np.ndarray:
    """A photographed material (brick, gravel) in mirrored tiles, tinted and weathered."""
    gray = photograph.mean(axis=2, dtype=np.float32) / 255.0
    both = np.block([[gray, gray[:, ::-1]], [gray[::-1], gray[::-1, ::-1]]])
    repeat = (hw[0] // both.shape[0] + 2, hw[1] // both.shape[1] + 2)
    dy, dx = rng.integers(0, both.shape[0]), rng.integers(0, both.shape[1])
    sheet = np.tile(both, repeat)[dy : dy + hw[0], dx : dx + hw[1]]
    sheet = sheet / max(float(sheet.mean()), 1e-3)
    tinted = np.asarray(base, np.float32) * sheet[..., None]
    return paint(tinted, (noise(rng, hw, 150, 5), 0.12))
