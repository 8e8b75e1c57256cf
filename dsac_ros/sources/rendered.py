# SPDX-License-Identifier: Apache-2.0
"""The rendered world as a source of frames, like a bag or a folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from dsac_ros.errors import SourceError
from dsac_ros.geometry.trajectory import Trajectory
from dsac_ros.sources.source import Source
from dsac_ros.synthetic.drive import Drive, drive
from dsac_ros.synthetic.sensor import SensorModel
from dsac_ros.synthetic.world import RenderedWorld
from dsac_ros.types import Camera, Frame, PosedFrame

DEFAULT_FRAMES = 200


def robot_camera(size_wh: tuple[int, int] = (640, 480)) -> Camera:
    """A pinhole camera with a horizontal field of view of 67 degrees."""
    width, height = size_wh
    focal = 0.75 * width
    matrix = np.array(((focal, 0, (width - 1) / 2), (0, focal, (height - 1) / 2), (0, 0, 1.0)))
    return Camera(size_wh, matrix)


class RenderedSource(Source):
    """The images of one drive; every frame can be drawn alone, and always comes out the same."""

    kind = 'rendered'

    def __init__(
        self,
        world: RenderedWorld,
        path: Drive,
        camera: Camera | None = None,
        sensor: SensorModel | None = None,
        seed: int = 0,
        stride: int = 1,
        with_depth: bool = True,
    ) -> None:
        """Takes the room, the way through it, and what takes the pictures; seed is the noise's.

        Of the drive's images it takes every so-many-th.
        """
        super().__init__(Path(f'rendered:{world.seed}'))
        self.world, self.drive = world, path
        self.camera = camera or robot_camera()
        self.sensor = sensor or SensorModel()
        self._seed, self._with_depth = seed, with_depth
        self._indices = range(0, len(path.world_from_camera), stride)
        self._poses = path.world_from_camera
        self._track = Trajectory(path.odometry.stamps_ns, path.odometry.world_from_base)
        stamps = path.stamps_ns
        rate_hz = 1e9 * (len(stamps) - 1) / max(float(stamps[-1] - stamps[0]), 1.0)
        self._gains = self.sensor.gains(
            np.random.default_rng((world.seed, seed, 3)), len(stamps), max(rate_hz, 0.1)
        )

    def __len__(self) -> int:
        """Return the number of images of the drive."""
        return len(self._indices)

    def frame(self, index: int) -> PosedFrame:
        """Image number `index` of the drive, with its exact depth and pose."""
        linear, depth = self.world.render_linear(self._poses[index], self.camera)
        rng = np.random.default_rng((self.world.seed, self._seed, 4, index))
        image = self.sensor.expose(
            linear, depth, self.camera, self._shutter(index), self._gains[index], rng
        )
        frame = Frame(
            image,
            self.camera,
            int(self.drive.stamps_ns[index]),
            f'{index:06d}',
            depth if self._with_depth else None,
        )
        return PosedFrame(frame, self._poses[index].copy())

    def _shutter(self, index: int) -> np.ndarray:
        """end_from_start (4, 4) of the camera while the shutter is open around the stamp."""
        stamp, half = int(self.drive.stamps_ns[index]), int(self.sensor.exposure_s * 0.5e9)
        start, end = (self._track.at(stamp + d) for d in (-half, half))
        if start is None or end is None:
            return np.eye(4)
        to_camera = self.drive.base_from_camera
        return np.linalg.inv(end @ to_camera) @ start @ to_camera

    def _posed_frames(self) -> Iterator[PosedFrame]:
        return (self.frame(index) for index in self._indices)

    def _frames(self) -> Iterator[Frame]:
        return (posed.frame for posed in self._posed_frames())


def open_rendered(spec: str, stride: int = 1, with_depth: bool = True) -> RenderedSource:
    """The source that `rendered:SEED[:FRAMES]` names: a drive through the room of that seed."""
    parts = spec.split(':')
    if (
        len(parts) not in (2, 3)
        or parts[0] != 'rendered'
        or not all(p.isascii() and p.isdigit() for p in parts[1:])
    ):
        raise SourceError(
            f'found {spec!r}, expected rendered:SEED or rendered:SEED:FRAMES with whole numbers'
        )
    frames = int(parts[2]) if len(parts) == 3 else DEFAULT_FRAMES
    if frames < 1:
        raise SourceError(f'{spec!r} asks for no frames, expected at least 1')
    world = RenderedWorld(int(parts[1]))
    return RenderedSource(world, drive(world, frames=frames), stride=stride, with_depth=with_depth)
