# SPDX-License-Identifier: Apache-2.0
"""Which views a map keeps as pictures: few, that together show every point from near enough."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from dsac_ros.alignment.gallery import Encode, as_input, code
from dsac_ros.alignment.landmarks import Picture, compressed, spread_out
from dsac_ros.geometry.resample import Resamplers
from dsac_ros.mapping.tracks import Tracks
from dsac_ros.mapping.view import View

ANGLE = np.radians(20.0)  # a view of a point this far from another's is worth a picture of its own
SCALE = np.log(1.5)       # and so is one from this much nearer
LANDMARKS = 480           # of a picture
LEAST = 12                # landmarks below which none of a picture is kept
SAME_PX = 2.5             # two points of a picture nearer than this are one
LANDMARK_BYTES = 8        # in the file
LEAST_GAIN = 32.0         # newly shown points that a picture must be worth, or this share of what
LEAST_GAIN_SHARE = 0.25   # a view sees in the median
APART, APART_ANGLE = 0.2, np.radians(15.0)  # between a view and the nearest picture [scene units]


def choose_pictures(views: Sequence[View], tracks: Tracks, scale: float, most_bytes: float,
                    kept: Sequence[Picture] = ()) -> list[Picture]:
    """Views, most useful first, until their bytes are spent or nothing new is shown; not `coded`.

    Greedy facility location: an observation of a point is served by the most similar one, in
    direction and distance, among those of the chosen views. Then views far from every picture:
    no query is aligned with a picture of no points, but an update learns it again and so does not
    forget the place. scale [m] is the unit of the scene. The last views are those of pictures
    that a map has already and keeps: they come first, with the points that they are now known to
    see beside their own.
    """
    centres = np.stack([view.scene_from_camera[:3, 3] for view in views])
    towards = tracks.points[tracks.point] - centres[tracks.view]
    distance = np.linalg.norm(towards, axis=1)
    towards /= distance[:, None]
    served = np.zeros(len(towards))
    counts = np.bincount(tracks.view, minlength=len(views))
    least_gain = min(LEAST_GAIN, LEAST_GAIN_SHARE * float(np.median(counts)))
    usable = counts >= LEAST
    apart = np.full(len(views), np.inf)
    pictures: list[Picture] = []
    spent = 0
    while True:
        old = kept[len(pictures)] if len(pictures) < len(kept) else None
        gain = np.bincount(tracks.view, 1.0 - served, minlength=len(views)) * usable
        best = int(gain.argmax())
        if old:
            best = len(views) - len(kept) + len(pictures)
        elif gain[best] < max(least_gain, 1.0):
            best = int(apart.argmax())
            if apart[best] < 1.0:
                return pictures
        usable[best] = False
        apart = np.minimum(apart, distances(views, best))
        own = tracks.view == best
        picture = with_points(old or make_picture(views[best], scale),
                              views[best], tracks.points[tracks.point[own]], scale)
        if not old:
            spent += size(picture)
            if spent > most_bytes:
                return pictures
        pictures.append(picture)
        of_point = np.full(len(tracks.points), -1)
        of_point[tracks.point[own]] = np.flatnonzero(own)
        shared = np.flatnonzero(of_point[tracks.point] >= 0)
        twin = of_point[tracks.point[shared]]
        angle = np.arccos(np.clip((towards[shared] * towards[twin]).sum(1), -1, 1)) / ANGLE
        nearer = np.log(distance[shared] / distance[twin]) / SCALE
        served[shared] = np.maximum(served[shared], np.exp(-angle ** 2 - nearer ** 2))


def coded(pictures: Sequence[Picture], encode: Encode, resamplers: Resamplers,
          device: torch.device | str) -> list[Picture]:
    """The pictures with what they look like as a whole to an encoder.

    resamplers make the images that the encoder sees.
    """
    found = []
    for picture in pictures:
        shown = as_input(resamplers(picture.camera)(picture.image), device)
        with torch.no_grad():
            descriptors = torch.nn.functional.normalize(encode(shown).float(), dim=1)
        found.append(replace(picture, code=code(descriptors, shown).cpu().numpy()))
    return found


def distances(views: Sequence[View], index: int) -> np.ndarray:
    """How far the views (V,) are from one of them, in place or direction; 1 is far."""
    poses = np.stack([view.scene_from_camera for view in views])
    place = np.linalg.norm(poses[:, :3, 3] - poses[index, :3, 3], axis=1) / APART
    angle = np.arccos(np.clip(poses[:, :3, 2] @ poses[index, :3, 2], -1, 1)) / APART_ANGLE
    return np.maximum(place, angle)


def size(picture: Picture) -> int:
    """Bytes of the picture in a map's file."""
    return len(picture.webp) + LANDMARK_BYTES * len(picture.pixels)


def make_picture(view: View, scale: float) -> Picture:
    """The view as a map keeps it, of a scene of unit `scale` [m]; it knows no points yet."""
    camera_from_map = np.linalg.inv(view.scene_from_camera)
    camera_from_map[:3, 3] *= scale
    return Picture(compressed(view.image), view.matrix, camera_from_map,
                   pixels=np.zeros((0, 2), int), depth=np.zeros(0), code=np.zeros(0))


def with_points(picture: Picture, view: View, points: np.ndarray, scale: float) -> Picture:
    """The picture of a view with points (P, 3) [scene units] that it sees beside its own.

    Spread over the image; those that it has already all stay.
    """
    camera = scale * points @ picture.camera_from_map[:3, :3].T + picture.camera_from_map[:3, 3]
    pixels = camera[:, :2] / camera[:, 2:] * picture.matrix[0, 0] + picture.matrix[:2, 2]
    apart = np.linalg.norm(pixels[:, None] - picture.pixels, axis=2).min(1, initial=np.inf)
    pixels = np.concatenate([picture.pixels, pixels[apart > SAME_PX]])
    depth = np.concatenate([picture.depth, camera[apart > SAME_PX, 2]])
    height, width = view.image.shape
    own = np.arange(len(picture.pixels))
    first = torch.arange(len(pixels)) < len(own)
    spread = spread_out(torch.from_numpy(pixels).float(), first.float(), (width, height),
                        LANDMARKS).numpy()
    chosen = np.union1d(own, spread)
    chosen = chosen if len(chosen) >= LEAST else chosen[:0]
    return replace(picture, pixels=pixels[chosen].round().astype(int), depth=depth[chosen])


def as_view(picture: Picture, scale: float) -> View:
    """What the picture was made of, in a scene of unit `scale` [m]; without depth."""
    scene_from_camera = np.linalg.inv(picture.camera_from_map)
    scene_from_camera[:3, 3] /= scale
    image = picture.image
    return View(image=image, mask=np.ones(image.shape, bool), matrix=picture.matrix,
                scene_from_camera=scene_from_camera, depth=None)
