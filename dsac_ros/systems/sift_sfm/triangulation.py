# SPDX-License-Identifier: Apache-2.0
"""Points triangulated from features of images at known poses, by pycolmap."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dsac_ros.alignment.features import mutual

NEAR, FAR = 10, 10  # partners of an image
MAX_ANGLE_DEG = 60.0  # between the optical axes of partners
MAX_EPIPOLAR_PX = 4.0
LEAST_MATCHES = 15  # of a pair of images
CORNER = 0.5  # COLMAP's pixel (0, 0) is the corner of the image

#: A pair of images and the rows (K, 2) of the features that match.
Match = tuple[int, int, np.ndarray]


@dataclass(frozen=True)
class Features:
    """The features of an image, and the ideal pinhole camera that sees them from a known pose.

    pixels (K, 2), descriptors (K, 128) float32 of unit length, matrix (3, 3), world_from_camera
    (4, 4).
    """

    pixels: np.ndarray
    descriptors: np.ndarray
    matrix: np.ndarray
    size_wh: tuple[int, int]
    world_from_camera: np.ndarray


@dataclass(frozen=True)
class Structure:
    """Triangulated points (P, 3) and the features that see them.

    tracks: for each image rows (K,) of its features and indices (K,) of the points they see.
    """

    points: np.ndarray
    tracks: list[tuple[np.ndarray, np.ndarray]]


def match_all(
    images: Sequence[Features],
    progress: Callable[[float], None] = lambda share: None,
) -> list[Match]:
    """Pairs of images and their matches (K, 2) that agree with the known poses."""
    kept = []
    pairs = partners([image.world_from_camera for image in images])
    for done, (i, j) in enumerate(pairs, 1):
        found = mutual(images[i].descriptors, images[j].descriptors)
        found = found[epipolar_distance(images[i], images[j], found) < MAX_EPIPOLAR_PX]
        if len(found) >= LEAST_MATCHES:
            kept.append((i, j, found))
        progress(done / len(pairs))
    return kept


def epipolar_distance(first: Features, second: Features, matches: np.ndarray) -> np.ndarray:
    """Mean distance (K,) [px] of matched features (K, 2) from each other's epipolar lines."""
    second_from_first = np.linalg.inv(second.world_from_camera) @ first.world_from_camera
    x, y, z = second_from_first[:3, 3]
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    fundamental = (
        np.linalg.inv(second.matrix).T
        @ cross
        @ second_from_first[:3, :3]
        @ np.linalg.inv(first.matrix)
    )
    p, q = (
        np.concatenate([image.pixels[rows], np.ones((len(rows), 1))], 1)
        for image, rows in zip((first, second), matches.T)
    )
    in_second, in_first = p @ fundamental.T, q @ fundamental
    off = np.abs((q * in_second).sum(1))
    return 0.5 * sum(
        off / (np.linalg.norm(line[:, :2], axis=1) + 1e-12) for line in (in_first, in_second)
    )


def partners(poses: Sequence[np.ndarray]) -> list[tuple[int, int]]:
    """Pairs of images near in place and direction."""
    centres = np.stack([pose[:3, 3] for pose in poses])
    axes = np.stack([pose[:3, 2] for pose in poses])
    reach = np.median(np.linalg.norm(centres - np.median(centres, 0), axis=1)) + 1e-9
    pairs = set()
    for i in range(len(poses)):
        angle = np.degrees(np.arccos(np.clip(axes @ axes[i], -1, 1)))
        apart = np.linalg.norm(centres - centres[i], axis=1) / (0.5 * reach) + angle / 20
        apart[i] = np.inf
        apart[angle > MAX_ANGLE_DEG] = np.inf
        order = np.argsort(apart, kind='stable')
        order = order[np.isfinite(apart[order])]
        rest = order[NEAR : NEAR + 60]
        far = rest[np.linspace(0, len(rest) - 1, min(FAR, len(rest))).astype(int)]
        pairs |= {(min(i, j), max(i, j)) for j in (*order[:NEAR].tolist(), *far.tolist())}
    return sorted(pairs)


def triangulate(images: Sequence[Features], matches: Sequence[Match]) -> Structure:
    """Triangulate tracks of matched features, refined over all images that see them."""
    import pycolmap

    if not matches:
        return Structure(np.zeros((0, 3)), [])
    pycolmap.logging.minloglevel = 2
    model = pycolmap.Reconstruction()
    camera_ids: dict[tuple[tuple[int, int], bytes], int] = {}
    for index, image in enumerate(images, 1):
        key = (image.size_wh, image.matrix.tobytes())
        if key not in camera_ids:
            camera_ids[key] = len(camera_ids) + 1
            model.add_camera_with_trivial_rig(
                pycolmap.Camera(
                    camera_id=camera_ids[key], **camera_of(image.matrix, image.size_wh)
                )
            )
        model.add_image_with_trivial_frame(
            pycolmap.Image(
                name=f'{index}',
                keypoints=image.pixels + CORNER,
                camera_id=camera_ids[key],
                image_id=index,
            ),
            pycolmap.Rigid3d(np.linalg.inv(image.world_from_camera)[:3]),
        )
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / 'database.db')
        write_database(path, model, images, matches)
        options = pycolmap.IncrementalPipelineOptions()
        options.extract_colors = False
        options.triangulation.ignore_two_view_tracks = False
        (Path(folder) / 'model').mkdir()
        model = pycolmap.triangulate_points(model, path, folder, f'{folder}/model', True, options)
    ids = sorted(model.points3D.keys())
    row = {point: index for index, point in enumerate(ids)}
    tracks = []
    for index in range(len(images)):
        features = model.images[index + 1].points2D
        rows = [k for k, feature in enumerate(features) if feature.has_point3D()]
        tracks.append(
            (np.array(rows, int), np.array([row[features[k].point3D_id] for k in rows], int))
        )
    return Structure(np.array([model.points3D[point].xyz for point in ids]).reshape(-1, 3), tracks)


def write_database(
    path: str,
    model: Any,
    images: Sequence[Features],
    matches: Sequence[Match],
) -> None:
    """Write COLMAP's database of cameras, images, features and their matches."""
    import pycolmap

    database = pycolmap.Database.open(path)
    for camera in model.cameras.values():
        database.write_camera(camera, use_camera_id=True)
    for rig in model.rigs.values():
        database.write_rig(rig, use_rig_id=True)
    for frame in model.frames.values():
        database.write_frame(frame, use_frame_id=True)
    for image in model.images.values():
        database.write_image(image, use_image_id=True)
    for index, image in enumerate(images, 1):
        database.write_keypoints(index, (image.pixels + CORNER).astype(np.float32))
    for i, j, pairs in matches:
        geometry = pycolmap.TwoViewGeometry()
        geometry.config = pycolmap.TwoViewGeometryConfiguration.CALIBRATED
        geometry.inlier_matches = pairs.astype(np.uint32)
        database.write_two_view_geometry(i + 1, j + 1, geometry)
    database.close()


def camera_of(matrix: np.ndarray, size_wh: tuple[int, int]) -> dict[str, Any]:
    """An ideal pinhole camera as COLMAP and PoseLib describe it, in COLMAP's pixels."""
    return {
        'model': 'PINHOLE',
        'width': size_wh[0],
        'height': size_wh[1],
        'params': [matrix[0, 0], matrix[1, 1], *(matrix[:2, 2] + CORNER)],
    }
