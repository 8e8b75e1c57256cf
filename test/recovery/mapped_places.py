# SPDX-License-Identifier: Apache-2.0
"""Maps of the places, learned from a drive through each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from places import CAMERA, CAMERA_HEIGHT_M, ROOM, TWIN_X_M, world

from dsac_ros.config import MappingConfig
from dsac_ros.mapping.ace import learn_map
from dsac_ros.sources.rendered import RenderedSource
from dsac_ros.synthetic.drive import drive
from dsac_ros.types import PosedFrame

# Half a minute of one core for a room of 22 m2.
SETTINGS = MappingConfig(
    minutes=10.0,
    steps=300,
    batch=1024,
    width=160,
    short_side=240,
    passes=1,
    patches_per_image=400,
    points=40_000,
)


def learn_room(path: Path, frames: int = 180) -> None:
    """Write the map of the room."""
    write(drive_through(ROOM, frames), SETTINGS, path)


def learn_twin_rooms(path: Path, frames: int = 100) -> None:
    """Write one map of two rooms that look the same, TWIN_X_M apart."""
    twin = (moved(posed, TWIN_X_M) for posed in drive_through(ROOM, frames, seed=2))
    write(
        [*drive_through(ROOM, frames), *twin],
        # The images of one room contradict the poses of the other.
        replace(SETTINGS, trust_poses=True),
        path,
    )


def drive_through(room_seed: int, frames: int, seed: int = 1) -> Sequence[PosedFrame]:
    """Posed frames of a drive that sees the whole room."""
    room = world(room_seed)
    path = drive(room, seed, frames, 1.0, CAMERA_HEIGHT_M, tilt_deg=0.0)
    return list(RenderedSource(room, path, CAMERA, seed=seed).posed_frames())


def moved(posed: PosedFrame, x: float) -> PosedFrame:
    """The frame as from a place that lies `x` [m] beside."""
    pose = posed.world_from_camera.copy()
    pose[0, 3] += x
    stamp = posed.frame.stamp_ns + int(1e12)
    return PosedFrame(replace(posed.frame, stamp_ns=stamp), pose)


def write(frames: Iterable[PosedFrame], settings: MappingConfig, path: Path) -> None:
    """Learn a map on one core."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    learn_map(frames, settings, device='cpu', output=path)
    torch.set_num_threads(threads)
