# SPDX-License-Identifier: Apache-2.0
"""Things with a motif: posters, framed photographs, book rows, rugs, windows, notes, clocks."""

from __future__ import annotations

import cv2
import numpy as np

from dsac_ros.synthetic.textures import (
    Colour,
    Rng,
    as_image,
    colour,
    fabric,
    noise,
    paint,
    smooth,
)

LETTERS = np.array(list('ABCDEFGHIKLMNOPRSTUVWXYZ0123456789'))
FONTS = (
    cv2.FONT_HERSHEY_SIMPLEX,
    cv2.FONT_HERSHEY_DUPLEX,
    cv2.FONT_HERSHEY_TRIPLEX,
    cv2.FONT_HERSHEY_COMPLEX,
)


def rgb(value: Colour) -> tuple[int, int, int]:
    """A colour in [0, 1] as cv2 takes it."""
    return tuple(int(255 * c) for c in value)  # type: ignore[return-value]


def word(rng: Rng, length: int) -> str:
    """Random capital letters and digits."""
    return ''.join(rng.choice(LETTERS, size=length))


def write_word(
    image: np.ndarray,
    rng: Rng,
    box: tuple[int, int, int, int],
    ink: tuple[int, int, int],
    length: int,
) -> None:
    """Write a random word that fills the box (x, y, w, h)."""
    x, y, w, h = box
    text, font = word(rng, length), int(rng.choice(FONTS))
    thick = max(1, h // 14)
    (tw, th), _ = cv2.getTextSize(text, font, 1.0, thick)
    scale = min(w / max(tw, 1), h / max(th, 1)) * 0.9
    cv2.putText(
        image, text, (x + 1, y + int((h + th * scale) / 2)), font, scale, ink, thick, cv2.LINE_AA
    )


def write_lines(
    image: np.ndarray,
    rng: Rng,
    box: tuple[int, int, int, int],
    ink: tuple[int, int, int],
    line_px: int,
) -> None:
    """Fill the box (x, y, w, h) with lines of text-like marks."""
    x, y, w, h = box
    for top in range(y, y + h - line_px, line_px):
        end = x + int(w * rng.uniform(0.55, 1.0))
        left = x
        while left < end:
            length = int(rng.integers(2, 9))
            right = min(left + length * line_px // 2, end)
            if right - left > line_px // 2:
                write_word(
                    image,
                    rng,
                    (left, top, right - left, int(line_px * 0.7)),
                    ink,
                    max(1, (right - left) * 2 // line_px),
                )
            left = right + line_px // 3


def photograph_print(rng: Rng, photographs: list[np.ndarray], hw: tuple[int, int]) -> np.ndarray:
    """A random crop of a random photograph, sometimes mirrored or toned."""
    source = photographs[int(rng.integers(len(photographs)))]
    height, width = source.shape[:2]
    part = rng.uniform(0.5, 1.0) * min(height / hw[0], width / hw[1])
    h, w = max(int(hw[0] * part), 8), max(int(hw[1] * part), 8)
    y, x = int(rng.integers(0, height - h + 1)), int(rng.integers(0, width - w + 1))
    crop = np.ascontiguousarray(
        source[
            y : y + h,
            x : x + w,
        ][:, :: int(rng.choice([-1, 1]))]
    )
    area = cv2.INTER_AREA if part > 1 else cv2.INTER_CUBIC
    image = cv2.resize(crop, hw[::-1], interpolation=area).astype(np.float32) / 255.0
    if rng.uniform() < 0.5:
        gray = image.mean(axis=2, keepdims=True)
        tone = np.asarray(colour(rng, (0.2, 0.8), (0.8, 1.0)), np.float32)
        image = image + rng.uniform(0.3, 1.0) * (gray * tone - image)
    return as_image(image * rng.uniform(0.85, 1.15))


def framed(rng: Rng, image: np.ndarray) -> np.ndarray:
    """The image in a mount and a frame."""
    h, w = image.shape[:2]
    frame, mount = max(4, min(h, w) // 22), int(min(h, w) * rng.choice([0.0, 0.07, 0.12]))
    result = image.copy()
    if mount:
        result[:] = 236
        inner = cv2.resize(
            image, (w - 2 * (frame + mount), h - 2 * (frame + mount)), interpolation=cv2.INTER_AREA
        )
        result[frame + mount : h - frame - mount, frame + mount : w - frame - mount] = inner
    cv2.rectangle(
        result, (0, 0), (w - 1, h - 1), rgb(colour(rng, (0.1, 0.6), (0.08, 0.6))), 2 * frame
    )
    return result


def poster(rng: Rng, hw: tuple[int, int]) -> np.ndarray:
    """Shapes, stripes and writing on a graded ground."""
    h, w = hw
    top, bottom = (np.asarray(colour(rng), np.float32) for _ in range(2))
    ramp = np.linspace(0, 1, h, dtype=np.float32)[:, None, None]
    image = as_image(np.broadcast_to(top * (1 - ramp) + bottom * ramp, (h, w, 3))).copy()
    for _ in range(int(rng.integers(5, 14))):
        ink = rgb(colour(rng, (0.3, 1.0), (0.2, 1.0)))
        centre = (int(rng.integers(w)), int(rng.integers(h)))
        size = int(min(h, w) * rng.uniform(0.05, 0.3))
        kind = int(rng.integers(4))
        if kind == 0:
            cv2.circle(image, centre, size, ink, -1 if rng.uniform() < 0.6 else 4, cv2.LINE_AA)
        elif kind == 1:
            angle = rng.uniform(0, 180)
            corners = cv2.boxPoints((centre, (size * 2, size * rng.uniform(0.3, 2)), angle))
            cv2.fillConvexPoly(image, corners.astype(np.int32), ink, cv2.LINE_AA)
        elif kind == 2:
            corners = np.array(centre) + rng.normal(scale=size, size=(3, 2))
            cv2.fillConvexPoly(image, corners.astype(np.int32), ink, cv2.LINE_AA)
        else:
            end = tuple(int(v) for v in np.array(centre) + rng.normal(scale=2 * size, size=2))
            cv2.line(image, centre, end, ink, max(2, size // 8), cv2.LINE_AA)
    ink = (245, 245, 240) if rng.uniform() < 0.5 else (20, 20, 25)
    write_word(
        image,
        rng,
        (w // 12, int(h * rng.uniform(0.04, 0.1)), w * 5 // 6, h // 8),
        ink,
        int(rng.integers(4, 9)),
    )
    write_lines(image, rng, (w // 12, int(h * 0.82), w * 5 // 6, h // 7), ink, max(9, h // 30))
    return image


def page(rng: Rng, hw: tuple[int, int]) -> np.ndarray:
    """A sheet of paper with a heading, text, and a drawing."""
    h, w = hw
    ground = np.asarray(colour(rng, (0.0, 0.35), (0.85, 0.98)), np.float32)
    image = paint(ground, (noise(rng, hw, 50, 3), 0.02))
    ink = rgb(colour(rng, (0.2, 1.0), (0.05, 0.45)))
    write_word(image, rng, (w // 10, h // 16, w * 7 // 10, h // 10), ink, int(rng.integers(4, 10)))
    split = int(h * rng.uniform(0.4, 0.8))
    write_lines(image, rng, (w // 10, h // 5, w * 8 // 10, split - h // 5), ink, max(9, h // 24))
    if h - split > 20 and rng.uniform() < 0.5:
        side = int(rng.integers(3, 7))
        for k in range(side):
            high = int((h - split) * rng.uniform(0.2, 0.85))
            left = int(w * (0.1 + 0.8 * k / side))
            cv2.rectangle(
                image,
                (left, h - 8 - high),
                (left + int(0.6 * w / side), h - 8),
                rgb(colour(rng, (0.3, 0.9), (0.3, 0.9))),
                -1,
            )
    elif h - split > 20:
        points = np.stack(
            [np.linspace(w * 0.1, w * 0.9, 14), split + (h - split) * rng.uniform(0.15, 0.9, 14)],
            1,
        )
        cv2.polylines(
            image,
            [points.astype(np.int32)],
            False,
            rgb(colour(rng, (0.6, 1.0), (0.3, 0.9))),
            2,
            cv2.LINE_AA,
        )
    return image


def whiteboard(rng: Rng, hw: tuple[int, int]) -> np.ndarray:
    """A board with scribbles, boxes and arrows in several pens."""
    h, w = hw
    image = paint((0.9, 0.91, 0.92), (noise(rng, hw, 150, 4), 0.02))
    for _ in range(int(rng.integers(6, 12))):
        ink = rgb(colour(rng, (0.7, 1.0), (0.15, 0.7)))
        x, y = int(rng.uniform(0.04, 0.7) * w), int(rng.uniform(0.05, 0.75) * h)
        bw, bh = int(w * rng.uniform(0.12, 0.26)), int(h * rng.uniform(0.08, 0.2))
        if rng.uniform() < 0.6:
            cv2.rectangle(image, (x, y), (x + bw, y + bh), ink, 3, cv2.LINE_AA)
            write_word(image, rng, (x + 4, y + bh // 4, bw - 8, bh // 2), ink, 6)
            end = (int(rng.uniform(0.1, 0.9) * w), int(rng.uniform(0.1, 0.9) * h))
            cv2.arrowedLine(image, (x + bw, y + bh // 2), end, ink, 2, cv2.LINE_AA, 0, 0.08)
        else:
            write_lines(image, rng, (x, y, bw, bh), ink, max(12, h // 16))
    cv2.rectangle(image, (0, 0), (w - 1, h - 1), (150, 152, 156), max(6, h // 30))
    return image


def book_row(rng: Rng, hw: tuple[int, int], px_per_m: float) -> np.ndarray:
    """Spines of books standing on a shelf, with dark gaps above them."""
    h, w = hw
    image = np.full((h, w, 3), 22, np.uint8)
    x = 0
    while x < w:
        width = int(px_per_m * rng.uniform(0.015, 0.055))
        if rng.uniform() < 0.06:
            x += 2 * width
            continue
        top = int(h * rng.uniform(0.04, 0.35))
        spine = np.empty((width, h - top, 3), np.uint8)
        spine[:] = rgb(
            colour(
                rng,
                (0.05, 0.85),
                (0.12, 0.9),
                None if rng.uniform() < 0.5 else rng.choice([0.0, 0.08, 0.6]),
            )
        )
        ink = rgb(colour(rng, (0.0, 0.4), (0.75, 1.0))) if spine.mean() < 128 else (25, 22, 20)
        band = int(spine.shape[1] * rng.uniform(0.06, 0.2))
        spine[:, band : band + 4] = ink
        if width > 8:
            write_word(
                spine,
                rng,
                (band + 8, 1, int(spine.shape[1] * 0.6), width - 2),
                ink,
                int(rng.integers(4, 10)),
            )
        shade = 1.0 - 0.45 * np.abs(np.linspace(-1, 1, width, dtype=np.float32)) ** 3
        spine = (spine * shade[:, None, None]).astype(np.uint8)
        cut = min(width, w - x)
        image[top:, x : x + cut] = np.rot90(spine, -1)[:, :cut]
        x += width
    return image


def rug(rng: Rng, hw: tuple[int, int]) -> np.ndarray:
    """A rug: borders, medallions and a field of random motifs."""
    h, w = hw
    image = fabric(rng, hw, colour(rng, (0.4, 0.9), (0.3, 0.7)))
    for inset in np.cumsum(rng.uniform(0.025, 0.07, size=3)) * min(h, w):
        i = int(inset)
        cv2.rectangle(
            image, (i, i), (w - 1 - i, h - 1 - i), rgb(colour(rng)), int(rng.integers(3, 14))
        )
    margin = int(0.2 * min(h, w))
    for _ in range(int(rng.integers(14, 28))):
        centre = (int(rng.integers(margin, w - margin)), int(rng.integers(margin, h - margin)))
        axes = tuple(int(v) for v in rng.uniform(0.02, 0.16, 2) * min(h, w))
        cv2.ellipse(
            image,
            centre,
            axes,
            float(rng.uniform(0, 180)),
            0,
            360,
            rgb(colour(rng, (0.3, 0.9), (0.3, 0.9))),
            -1 if rng.uniform() < 0.5 else 5,
            cv2.LINE_AA,
        )
    return paint(
        image.astype(np.float32) / 255.0,
        (noise(rng, hw, 2, 1), 0.08),
        (noise(rng, hw, 90, 3), 0.05),
    )


def window(rng: Rng, hw: tuple[int, int], grass: np.ndarray) -> np.ndarray:
    """The view outside: sky, clouds, houses or trees, and the window's bars."""
    h, w = hw
    ramp = np.linspace(0, 1, h, dtype=np.float32)[:, None, None]
    sky = np.array((0.45, 0.66, 0.95)) * (1 - ramp) + np.array((0.85, 0.92, 0.98)) * ramp
    clouds = np.clip(noise(rng, hw, 60, 5, 2.0), 0, 1.5)[..., None] * 0.3
    image = np.broadcast_to(sky, (h, w, 3)).astype(np.float32) + clouds
    skyline = (h * (0.62 + 0.06 * noise(rng, (1, w), 50, 5)[0])).astype(int)
    below = np.arange(h)[:, None] - skyline[None]
    leaf = np.clip(0.45 + 0.22 * noise(rng, hw, 14, 4), 0.1, 1)[..., None]
    image = np.where(below[..., None] > 0, leaf * np.array((0.35, 0.62, 0.28)), image)
    lawn = cv2.resize(grass, (w, h)).astype(np.float32) / 255 * np.array((0.9, 1.15, 0.7))
    image = np.where(np.arange(h)[:, None, None] > h * 0.84, lawn, image)
    result = as_image(image)
    for _ in range(int(rng.integers(0, 3))):
        x, bw = int(rng.uniform(0, 0.8) * w), int(rng.uniform(0.15, 0.3) * w)
        y = int(h * rng.uniform(0.35, 0.6))
        cv2.rectangle(result, (x, y), (x + bw, int(h * 0.84)), rgb(colour(rng, (0.1, 0.5))), -1)
        for k in range(3):
            cv2.rectangle(
                result,
                (x + bw * (2 * k + 1) // 8, y + 8),
                (x + bw * (2 * k + 2) // 8, y + 8 + bw // 6),
                (60, 66, 80),
                -1,
            )
    bar = (225, 222, 215)
    cv2.rectangle(result, (0, 0), (w - 1, h - 1), bar, 24)
    for x in np.linspace(0, w, int(rng.integers(2, 4)) + 1)[1:-1]:
        cv2.line(result, (int(x), 0), (int(x), h), bar, 12)
    return result


def door(rng: Rng, hw: tuple[int, int]) -> np.ndarray:
    """A door leaf with panels and a handle."""
    h, w = hw
    base = colour(rng, (0.1, 0.6), (0.4, 0.9))
    image = smooth(rng, hw, base)
    dark, light = (rgb(tuple(np.clip(np.asarray(base) * f, 0, 1))) for f in (0.6, 1.15))
    for y0, y1 in ((0.06, 0.42), (0.5, 0.93)):
        for x0, x1 in ((0.12, 0.46), (0.54, 0.88)):
            a, b = (int(w * x0), int(h * y0)), (int(w * x1), int(h * y1))
            cv2.rectangle(image, a, b, dark, 4)
            cv2.rectangle(image, (a[0] + 4, a[1] + 4), (b[0] + 4, b[1] + 4), light, 2)
    cv2.rectangle(
        image, (int(w * 0.86), int(h * 0.45)), (int(w * 0.93), int(h * 0.49)), (200, 196, 180), -1
    )
    cv2.rectangle(image, (0, 0), (w - 1, h - 1), dark, 10)
    return image


def clock(rng: Rng, hw: tuple[int, int]) -> np.ndarray:
    """A clock face; put on a disc."""
    h, w = hw
    image = np.full((h, w, 3), 240, np.uint8)
    centre = np.array((w / 2, h / 2))
    for k in range(60):
        a = k * np.pi / 30
        direction = np.array((np.sin(a), -np.cos(a)))
        inner = 0.36 if k % 5 == 0 else 0.41
        ends = [tuple(int(v) for v in centre + direction * w * r) for r in (inner, 0.44)]
        cv2.line(image, ends[0], ends[1], (20, 20, 20), 4 if k % 5 == 0 else 1, cv2.LINE_AA)
    for reach, thick in ((0.22, 7), (0.34, 4)):
        a = rng.uniform(0, 2 * np.pi)
        end = centre + np.array((np.sin(a), -np.cos(a))) * w * reach
        cv2.line(
            image, (w // 2, h // 2), tuple(int(v) for v in end), (30, 20, 20), thick, cv2.LINE_AA
        )
    cv2.circle(image, (w // 2, h // 2), int(w * 0.48), rgb(colour(rng)), w // 20, cv2.LINE_AA)
    return image
