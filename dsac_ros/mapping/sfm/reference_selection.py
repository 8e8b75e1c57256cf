# SPDX-License-Identifier: Apache-2.0
"""Selection of reference images: few views that together show every point from near enough."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from dsac_ros.alignment.landmarks import select_uniformly
from dsac_ros.alignment.reference_database import Encode, as_input, global_descriptor
from dsac_ros.alignment.reference_image import ReferenceImage, compressed
from dsac_ros.geometry.resample import Resamplers
from dsac_ros.mapping.data.view import View
from dsac_ros.mapping.sfm.tracks import Tracks

# A view of a point that differs from another by this angle, or by this scale, is worth a reference
# image of its own.
ANGLE, SCALE = np.radians(20.0), np.log(1.5)
LANDMARKS = 480  # of a reference image
LEAST = 12  # landmarks below which a reference image keeps none
SAME_PX = 2.5  # two points of a reference image nearer than this are one
LANDMARK_BYTES = 8  # in the file
# Newly served points that a reference image must be worth: so many, or this share of the points
# that a view sees in the median.
LEAST_GAIN, LEAST_GAIN_SHARE = 32.0, 0.25
# Between a view and the nearest reference image [scene units], [rad].
APART, APART_ANGLE = 0.2, np.radians(15.0)


def select_reference_images(
    views: Sequence[View],
    tracks: Tracks,
    scale: float,
    most_bytes: float,
    kept: Sequence[ReferenceImage] = (),
) -> list[ReferenceImage]:
    """Select views, most useful first, until the bytes are spent or no view is useful.

    Greedy facility location: an observation of a point is served by the most similar one, in
    direction and distance, among those of the selected views. Then views far from every reference
    image are added: no query is aligned with a reference image without points, but an update
    learns it again and so does not forget the place. Global descriptors are added afterwards.

    Args:
        views: those of the mapping, and last those of the reference images to keep.
        tracks: points and the views that see them.
        scale: unit of the scene [m].
        most_bytes: size of the new reference images in the map file.
        kept: reference images of a map that is updated. They come first, with the points that they
            are now known to see beside their own.
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
    selected: list[ReferenceImage] = []
    spent = 0
    while True:
        old = kept[len(selected)] if len(selected) < len(kept) else None
        gain = np.bincount(tracks.view, 1.0 - served, minlength=len(views)) * usable
        best = int(gain.argmax())
        if old:
            best = len(views) - len(kept) + len(selected)
        elif gain[best] < max(least_gain, 1.0):
            best = int(apart.argmax())
            if apart[best] < 1.0:
                return selected
        usable[best] = False
        apart = np.minimum(apart, distances(views, best))
        own = tracks.view == best
        reference = with_points(
            old or make_reference_image(views[best], scale),
            views[best],
            tracks.points[tracks.point[own]],
            scale,
        )
        if not old:
            spent += size(reference)
            if spent > most_bytes:
                return selected
        selected.append(reference)
        of_point = np.full(len(tracks.points), -1)
        of_point[tracks.point[own]] = np.flatnonzero(own)
        shared = np.flatnonzero(of_point[tracks.point] >= 0)
        twin = of_point[tracks.point[shared]]
        angle = np.arccos(np.clip((towards[shared] * towards[twin]).sum(1), -1, 1)) / ANGLE
        nearer = np.log(distance[shared] / distance[twin]) / SCALE
        served[shared] = np.maximum(served[shared], np.exp(-(angle**2) - nearer**2))


def with_global_descriptors(
    references: Sequence[ReferenceImage],
    encode: Encode,
    resamplers: Resamplers,
    device: torch.device | str,
) -> list[ReferenceImage]:
    """Add the global descriptors of an encoder; resamplers make the images that it sees."""
    described = []
    for reference in references:
        image = as_input(resamplers(reference.camera)(reference.image), device)
        with torch.no_grad():
            descriptors = torch.nn.functional.normalize(encode(image).float(), dim=1)
        described.append(
            replace(
                reference, global_descriptor=global_descriptor(descriptors, image).cpu().numpy()
            )
        )
    return described


def distances(views: Sequence[View], index: int) -> np.ndarray:
    """Return distances (V,) of views from one of them, in place or direction; 1 is far."""
    poses = np.stack([view.scene_from_camera for view in views])
    place = np.linalg.norm(poses[:, :3, 3] - poses[index, :3, 3], axis=1) / APART
    angle = np.arccos(np.clip(poses[:, :3, 2] @ poses[index, :3, 2], -1, 1)) / APART_ANGLE
    return np.maximum(place, angle)


def size(reference: ReferenceImage) -> int:
    """Return the bytes of a reference image in the map file."""
    return len(reference.webp) + LANDMARK_BYTES * len(reference.pixels)


def make_reference_image(view: View, scale: float) -> ReferenceImage:
    """Make a reference image without points of a view; scale [m] is the unit of the scene."""
    camera_from_map = np.linalg.inv(view.scene_from_camera)
    camera_from_map[:3, 3] *= scale
    return ReferenceImage(
        compressed(view.image),
        view.matrix,
        camera_from_map,
        pixels=np.zeros((0, 2), int),
        depth=np.zeros(0),
        global_descriptor=np.zeros(0),
    )


def with_points(
    reference: ReferenceImage, view: View, points: np.ndarray, scale: float
) -> ReferenceImage:
    """Add points (P, 3) [scene units] that its view sees to a reference image.

    They are distributed over the image; those that it has already all stay.
    """
    camera = (
        scale * points @ reference.camera_from_map[:3, :3].T + reference.camera_from_map[:3, 3]
    )
    pixels = camera[:, :2] / camera[:, 2:] * reference.matrix[0, 0] + reference.matrix[:2, 2]
    apart = np.linalg.norm(pixels[:, None] - reference.pixels, axis=2).min(1, initial=np.inf)
    pixels = np.concatenate([reference.pixels, pixels[apart > SAME_PX]])
    depth = np.concatenate([reference.depth, camera[apart > SAME_PX, 2]])
    height, width = view.image.shape
    own = np.arange(len(reference.pixels))
    first = torch.arange(len(pixels)) < len(own)
    spread = select_uniformly(
        torch.from_numpy(pixels).float(), first.float(), (width, height), LANDMARKS
    ).numpy()
    chosen = np.union1d(own, spread)
    chosen = chosen if len(chosen) >= LEAST else chosen[:0]
    return replace(reference, pixels=pixels[chosen].round().astype(int), depth=depth[chosen])


def as_view(reference: ReferenceImage, scale: float) -> View:
    """Return the view of a reference image, without depth, in units of `scale` [m]."""
    scene_from_camera = np.linalg.inv(reference.camera_from_map)
    scene_from_camera[:3, 3] /= scale
    image = reference.image
    return View(
        image=image,
        mask=np.ones(image.shape, bool),
        matrix=reference.matrix,
        scene_from_camera=scene_from_camera,
        depth=None,
    )
