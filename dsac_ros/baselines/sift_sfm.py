# SPDX-License-Identifier: Apache-2.0
"""SIFT and structure from motion: what a robotics engineer would build with COLMAP.

RootSIFT features; points triangulated at the known poses by pycolmap; for a query the 20 most
similar images by VLAD (Jegou et al., CVPR 2010), Lowe's ratio test against the points that each of
them sees, and PoseLib's LO-RANSAC. Needs the `benchmark` extra.
"""
from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from dsac_ros.alignment.features import mutual, root_sift
from dsac_ros.baselines.pnp import colmap_camera
from dsac_ros.errors import ConfigError, SourceError
from dsac_ros.geometry.resample import Resampler, Resamplers, to_gray
from dsac_ros.types import Frame, Localization, PosedFrame, Result

FEATURES = 3000
NEAR, FAR = 10, 10           # partners of an image
MAX_EPIPOLAR_PX = 4.0
LEAST_MATCHES = 15           # of a pair of images
WORDS, CODE = 64, 256        # of the retrieval
RETRIEVED = 20
INLIER_SHARE = 0.005         # threshold of RANSAC, of the image's long side
LEAST_INLIERS = 12
CORNER = 0.5                 # COLMAP's pixel (0, 0) is the corner of the image


@dataclass(frozen=True)
class Picture:
    """A mapping image's features that see a point: descriptors (K, 128), point (K,) its index."""

    descriptors: np.ndarray
    point: np.ndarray


class SiftSfm:
    """A map of SIFT points, and the images that they were seen in."""

    def __init__(self, points: np.ndarray, pictures: Sequence[Picture],
                 retrieval: Retrieval) -> None:
        """Takes points (P, 3), and pictures in the order of the retrieval's codes."""
        self.points = points
        self.pictures = pictures
        self.retrieval = retrieval
        self._resamplers = Resamplers()

    @classmethod
    def learn(cls, frames: Sequence[PosedFrame]) -> SiftSfm:
        """Triangulate the frames' features at their poses.

        Raises ConfigError without pycolmap, SourceError without frames.
        """
        if not frames:
            raise SourceError('SIFT + SfM has no mapping frame with a pose, expected at least one;'
                              ' name a source whose frames have poses')
        require('pycolmap')
        resampler = Resampler(frames[0].frame.camera)
        found = [root_sift(resampler(to_gray(posed.frame.image)), FEATURES) for posed in frames]
        poses = [posed.world_from_camera for posed in frames]
        pixels, descriptors = ([one[k] for one in found] for k in (0, 1))
        matches = match_all(poses, resampler.matrix, pixels, descriptors)
        points, seen = triangulate(poses, resampler, pixels, matches)
        pictures = [Picture(d[rows], index) for d, (rows, index) in zip(descriptors, seen)]
        return cls(points, pictures, Retrieval(descriptors))

    def localize(self, frame: Frame) -> Localization:
        """Where this frame was taken, or why that is not known."""
        import poselib
        resampler = self._resamplers(frame.camera)
        pixels, descriptors = root_sift(resampler(to_gray(frame.image)), FEATURES)
        rows, points = [], []
        for index in self.retrieval.nearest(descriptors, RETRIEVED):
            picture = self.pictures[index]
            a, b = mutual(descriptors, picture.descriptors).T
            rows.append(a)
            points.append(picture.point[b])
        pairs = np.unique(np.stack([np.concatenate(rows), np.concatenate(points)], 1), axis=0)
        if len(pairs) < 4:
            return Localization(Result.LOW_INLIERS, 'no matches', frame.stamp_ns, frame.name)
        pose, report = poselib.estimate_absolute_pose(
            pixels[pairs[:, 0]] + CORNER, self.points[pairs[:, 1]], camera_of(resampler),
            {'max_reproj_error': INLIER_SHARE * max(resampler.size_wh), 'max_iterations': 20000,
             'min_iterations': 200}, {'loss_type': 'CAUCHY', 'loss_scale': 1.0})
        inliers = int(report['num_inliers'])
        if inliers < LEAST_INLIERS:
            return Localization(Result.LOW_INLIERS, f'{inliers} inliers', frame.stamp_ns,
                                frame.name)
        camera_from_world = np.eye(4)
        camera_from_world[:3] = pose.Rt
        return Localization(Result.ACCEPTED, '', frame.stamp_ns, frame.name,
                            world_from_camera=np.linalg.inv(camera_from_world),
                            inlier_count=inliers)


def camera_of(resampler: Resampler) -> dict[str, Any]:
    """The resampled images' camera in COLMAP's pixels."""
    matrix = resampler.matrix.copy()
    matrix[:2, 2] += CORNER
    return colmap_camera(matrix, resampler.size_wh)


def require(*modules: str) -> None:
    """Raise ConfigError where the benchmark extra is not installed."""
    import importlib.util
    missing = [name for name in (*modules, 'poselib') if importlib.util.find_spec(name) is None]
    if missing:
        raise ConfigError(f'SIFT + SfM needs {" and ".join(missing)}; '
                          "`pip install 'dsac_ros[benchmark]'` installs them")


def match_all(poses: Sequence[np.ndarray], matrix: np.ndarray, pixels: Sequence[np.ndarray],
              descriptors: Sequence[np.ndarray]) -> list[tuple[int, int, np.ndarray]]:
    """Pairs of images and their matches (K, 2) that agree with the known poses."""
    kept = []
    for i, j in partners(poses):
        a, b = mutual(descriptors[i], descriptors[j]).T
        j_from_i = np.linalg.inv(poses[j]) @ poses[i]
        x, y, z = j_from_i[:3, 3]
        cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
        inverse = np.linalg.inv(matrix)
        fundamental = inverse.T @ cross @ j_from_i[:3, :3] @ inverse
        p, q = (np.concatenate([x, np.ones((len(x), 1))], 1)
                for x in (pixels[i][a], pixels[j][b]))
        in_j, in_i = p @ fundamental.T, q @ fundamental
        off = np.abs((q * in_j).sum(1))
        off = 0.5 * sum(off / (np.linalg.norm(line[:, :2], axis=1) + 1e-12)
                        for line in (in_i, in_j))
        good = off < MAX_EPIPOLAR_PX
        if good.sum() >= LEAST_MATCHES:
            kept.append((i, j, np.stack([a[good], b[good]], 1)))
    return kept


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
        apart[angle > 60] = np.inf
        order = np.argsort(apart, kind='stable')
        order = order[np.isfinite(apart[order])]
        rest = order[NEAR:NEAR + 60]
        far = rest[np.linspace(0, len(rest) - 1, min(FAR, len(rest))).astype(int)]
        pairs |= {(min(i, j), max(i, j)) for j in (*order[:NEAR].tolist(), *far.tolist())}
    return sorted(pairs)


def triangulate(poses: Sequence[np.ndarray], resampler: Resampler, pixels: Sequence[np.ndarray],
                matches: Sequence[tuple[int, int, np.ndarray]],
                ) -> tuple[np.ndarray, list[tuple[np.ndarray, np.ndarray]]]:
    """Points (P, 3), and for each image which features see which of them."""
    import pycolmap
    pycolmap.logging.minloglevel = 2
    model = pycolmap.Reconstruction()
    model.add_camera_with_trivial_rig(pycolmap.Camera(camera_id=1, **camera_of(resampler)))
    corners = [p + CORNER for p in pixels]
    for index, pose in enumerate(poses):
        model.add_image_with_trivial_frame(
            pycolmap.Image(name=f'{index}', keypoints=corners[index], camera_id=1,
                           image_id=index + 1), pycolmap.Rigid3d(np.linalg.inv(pose)[:3]))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / 'database.db'
        database = pycolmap.Database.open(str(path))
        for camera in model.cameras.values():
            database.write_camera(camera, use_camera_id=True)
        for rig in model.rigs.values():
            database.write_rig(rig, use_rig_id=True)
        for frame in model.frames.values():
            database.write_frame(frame, use_frame_id=True)
        for image in model.images.values():
            database.write_image(image, use_image_id=True)
        for index, where in enumerate(corners):
            database.write_keypoints(index + 1, where.astype(np.float32))
        for i, j, pairs in matches:
            geometry = pycolmap.TwoViewGeometry()
            geometry.config = pycolmap.TwoViewGeometryConfiguration.CALIBRATED
            geometry.inlier_matches = pairs.astype(np.uint32)
            database.write_two_view_geometry(i + 1, j + 1, geometry)
        database.close()
        options = pycolmap.IncrementalPipelineOptions()
        options.extract_colors = False
        options.triangulation.ignore_two_view_tracks = False
        (Path(folder) / 'model').mkdir()
        model = pycolmap.triangulate_points(model, str(path), folder, f'{folder}/model', True,
                                            options)
    ids = sorted(model.points3D.keys())
    row = {point: index for index, point in enumerate(ids)}
    seen = []
    for index in range(len(poses)):
        features = model.images[index + 1].points2D
        rows = [k for k, feature in enumerate(features) if feature.has_point3D()]
        seen.append((np.array(rows, int),
                     np.array([row[features[k].point3D_id] for k in rows], int)))
    return np.array([model.points3D[point].xyz for point in ids]).reshape(-1, 3), seen


class Retrieval:
    """VLAD codes of images, whitened by their principal components."""

    def __init__(self, descriptors: Sequence[np.ndarray]) -> None:
        """Takes the descriptors (K, 128) of all images."""
        rng = np.random.default_rng(1)
        everything = np.concatenate(descriptors)
        sample = everything[rng.permutation(len(everything))[:20000]]
        cv2.setRNGSeed(1)
        self.words = cv2.kmeans(sample, WORDS, None, (cv2.TERM_CRITERIA_MAX_ITER, 12, 0), 1,
                                cv2.KMEANS_PP_CENTERS)[2]
        codes = np.array([self._vlad(one) for one in descriptors])
        self.mean = codes.mean(0)
        directions = np.linalg.svd(codes - self.mean, full_matrices=False)[2]
        self.basis = directions[:min(CODE, len(codes) - 1)].T
        self.codes = np.array([self._project(code) for code in codes])

    def nearest(self, descriptors: np.ndarray, count: int) -> list[int]:
        """The images most similar to one with these descriptors."""
        similarity = self.codes @ self._project(self._vlad(descriptors))
        return np.argsort(-similarity)[:count].tolist()

    def _project(self, code: np.ndarray) -> np.ndarray:
        short = (code - self.mean) @ self.basis
        return short / (np.linalg.norm(short) + 1e-9)

    def _vlad(self, descriptors: np.ndarray) -> np.ndarray:
        sums = np.zeros((WORDS, descriptors.shape[1]), np.float32)
        if len(descriptors):
            word = (descriptors @ self.words.T - 0.5 * (self.words ** 2).sum(1)).argmax(1)
            np.add.at(sums, word, descriptors)
            sums -= np.bincount(word, minlength=WORDS)[:, None] * self.words
        sums /= np.linalg.norm(sums, axis=1, keepdims=True) + 1e-9
        return sums.ravel() / (np.linalg.norm(sums) + 1e-9)
