# SPDX-License-Identifier: Apache-2.0
"""A robot's drive through a room: smooth, clear of the furniture, looking around.

Its odometry drifts.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter1d

from dsac_ros.geometry.trajectory import Trajectory
from dsac_ros.synthetic.free_space import FreeSpace
from dsac_ros.synthetic.world import RenderedWorld

ROBOT_RADIUS_M = 0.25
PLANNED_CLEARANCE_M = 0.33
STEP_M = 0.02
MAX_YAW_RATE = 0.7
OPEN_VIEW_M = 2.2
ODOMETRY_HZ = 50.0
START_NS = 1_700_000_000_000_000_000


@dataclass(frozen=True)
class Odometry:
    """Stamps (M,) and the base's true and believed poses (M, 4, 4), at the wheels' rate."""

    stamps_ns: np.ndarray
    world_from_base: np.ndarray
    odom_from_base: np.ndarray


@dataclass(frozen=True)
class Drive:
    """Poses of the robot at each of N images.

    stamps_ns (N,) int64; world_from_base (N, 4, 4) the truth, odom_from_base (N, 4, 4) what the
    wheels say; base_from_camera (4, 4) to the optical frame; odometry at a higher rate, between
    whose poses those of the images are interpolated.
    """

    stamps_ns: np.ndarray
    world_from_base: np.ndarray
    odom_from_base: np.ndarray
    base_from_camera: np.ndarray
    odometry: Odometry

    @property
    def world_from_camera(self) -> np.ndarray:
        """The true camera poses (N, 4, 4)."""
        return self.world_from_base @ self.base_from_camera


def drive(
    world: RenderedWorld,
    seed: int = 0,
    frames: int = 300,
    rate_hz: float = 5.0,
    height_m: float = 1.0,
    *,
    speed_mps: float = 0.4,
    tilt_deg: float = 4.0,
    route: int | None = None,
    swing: float = 1.0,
    start_ns: int = START_NS,
) -> Drive:
    """A drive of `frames` images; another seed takes another way through the same room.

    With `route` the way is that route's whatever the seed, as a robot drives its route again and
    again: pace, gaze, shaking and drift are other ones each time. swing scales how far the gaze
    turns to both sides.
    """
    rng = np.random.default_rng((world.seed, seed, 2))
    planner = rng if route is None else np.random.default_rng((world.seed, route, 4))
    seconds = (frames - 1) / rate_hz
    times = np.arange(int(np.ceil(seconds * ODOMETRY_HZ)) + 3) / ODOMETRY_HZ
    space = FreeSpace(world.extent[1], world.obstacles, PLANNED_CLEARANCE_M, eye_m=0.85 * height_m)
    positions, headings = move(space, rng, planner, times, speed_mps)
    yaw = look_around(space, rng, times, positions, headings, swing)
    truth = shaken(rng, positions, yaw)
    believed = with_drift(rng, truth)
    stamps = start_ns + np.round(times * 1e9).astype(np.int64)
    # Between two steps, as a camera that knows nothing of the wheels' clock.
    late = np.round((np.arange(frames) / rate_hz + 0.3 / ODOMETRY_HZ) * 1e9)
    images = start_ns + late.astype(np.int64)
    tracks = (Trajectory(stamps, truth), Trajectory(stamps, believed))
    world_from_base, odom_from_base = (
        np.stack([pose for t in images if (pose := track.at(int(t))) is not None])
        for track in tracks
    )
    return Drive(
        images,
        world_from_base,
        odom_from_base,
        mast(height_m, np.radians(tilt_deg)),
        Odometry(stamps, truth, believed),
    )


def mast(height_m: float, tilt: float) -> np.ndarray:
    """base_from_camera: on a mast over the front, looking ahead and `tilt` [rad] down."""
    pose = np.eye(4)
    c, s = np.cos(tilt), np.sin(tilt)
    pose[:3, :3] = np.array(((0, -s, c), (-1, 0, 0), (0, -c, -s)))
    pose[:3, 3] = 0.1, 0.0, height_m
    return pose


def move(
    space: FreeSpace,
    rng: np.random.Generator,
    planner: np.random.Generator,
    times: np.ndarray,
    speed_mps: float,
) -> tuple[np.ndarray, np.ndarray]:
    """Positions (M, 2) [m] along a tour at a slowly changing speed, and the way they go [rad]."""
    pace = speed_mps * (1 + 0.25 * np.sin(times * rng.uniform(0.2, 0.4) + rng.uniform(0, 6)))
    travelled = np.concatenate([[0.0], np.cumsum(0.5 * (pace[1:] + pace[:-1]) * np.diff(times))])
    tour = smooth(space, plan(space, planner, float(travelled[-1]) + 1.0))
    along = arc_length(tour)
    ahead = gaussian_filter1d(np.gradient(tour, axis=0), 0.3 / STEP_M, axis=0)
    angles = np.unwrap(np.arctan2(ahead[:, 1], ahead[:, 0]))
    return (
        np.stack([np.interp(travelled, along, tour[:, k]) for k in range(2)], axis=1),
        np.interp(travelled, along, angles),
    )


def plan(space: FreeSpace, rng: np.random.Generator, length_m: float) -> np.ndarray:
    """A tour (N, 2) of at least this length through random places, evenly spaced by STEP_M."""
    parts: list[np.ndarray] = []
    place, total = space.draw_place(rng), 0.0
    visited = [place]
    # Smoothing shortens the tour, by less than this.
    while total < 1.25 * length_m:
        choices = [space.draw_place(rng) for _ in range(12)]
        goal = max(choices, key=lambda p: min(np.linalg.norm(p - q) for q in visited[-4:]))
        way = space.way(place, goal)
        if len(way) < 2:
            continue
        parts.append(way[1:] if parts else way)
        total += arc_length(way)[-1]
        place = goal
        visited.append(goal)
    path = np.concatenate(parts)
    along = arc_length(path)
    even = np.arange(0, along[-1], STEP_M)
    return np.stack([np.interp(even, along, path[:, k]) for k in range(2)], axis=1)


def smooth(space: FreeSpace, path: np.ndarray) -> np.ndarray:
    """The path with its corners rounded as far as the robot's radius allows."""
    for sigma_m in (0.35, 0.25, 0.18, 0.12, 0.08, 0.05):
        rounded = gaussian_filter1d(path, sigma_m / STEP_M, axis=0, mode='nearest')
        if space.clearance_at(rounded).min() > ROBOT_RADIUS_M:
            return rounded
    return path


def arc_length(path: np.ndarray) -> np.ndarray:
    """Length along the path up to each point, (N,) [m]."""
    return np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(path, axis=0), axis=1))])


def look_around(
    space: FreeSpace,
    rng: np.random.Generator,
    times: np.ndarray,
    positions: np.ndarray,
    headings: np.ndarray,
    scale: float,
) -> np.ndarray:
    """Yaw of the base (M,): ahead, swung to both sides, away from what is too near to see much of.

    The robot moves in any direction without turning, and turns no faster than MAX_YAW_RATE.
    """
    swing = sum(
        scale
        * np.radians(a)
        * np.sin(2 * np.pi * times / rng.uniform(*period) + rng.uniform(0, 2 * np.pi))
        for a, period in ((35, (9, 14)), (45, (25, 45)))
    )
    step = float(times[1] - times[0])
    wanted = turned_to_open(space, positions, headings + swing)
    yaw = np.empty_like(wanted)
    now = yaw[0] = wanted[0]
    for k in range(1, len(wanted)):
        now += float(np.clip(1.5 * (wanted[k] - now), -MAX_YAW_RATE, MAX_YAW_RATE)) * step
        yaw[k] = now
    return gaussian_filter1d(yaw, 0.25 / step, mode='nearest')


def turned_to_open(space: FreeSpace, positions: np.ndarray, yaw: np.ndarray) -> np.ndarray:
    """Yaw (M,) changed as little as gives a view of some depth, twice a second."""
    every = max(1, int(ODOMETRY_HZ / 2))
    offsets = np.radians(np.arange(-120, 121, 15))
    turns = []
    for place, wanted in zip(positions[::every], yaw[::every]):
        views = np.stack(
            [space.view_length(place, wanted + offsets + side) for side in (-0.4, 0.0, 0.4)]
        ).mean(axis=0)
        cost = np.abs(offsets) + 1.2 * np.maximum(OPEN_VIEW_M - views, 0)
        turns.append(offsets[int(np.argmin(cost))])
    turn = np.interp(np.arange(len(yaw)), np.arange(len(turns)) * every, turns)
    return yaw + turn


def shaken(rng: np.random.Generator, positions: np.ndarray, yaw: np.ndarray) -> np.ndarray:
    """world_from_base (M, 4, 4): the floor and the mast let it nod by some tenths of a degree."""
    wobble = gaussian_filter1d(rng.standard_normal((len(yaw), 3)), 0.12 * ODOMETRY_HZ, axis=0)
    wobble /= np.maximum(wobble.std(axis=0), 1e-9)
    pitch, roll = np.radians(0.5) * wobble[:, 0], np.radians(0.3) * wobble[:, 1]
    poses = np.tile(np.eye(4), (len(yaw), 1, 1))
    cy, sy, cp, sp, cr, sr = (f(a) for a in (yaw, pitch, roll) for f in (np.cos, np.sin))
    # Rz(yaw) Ry(pitch) Rx(roll), written out.
    poses[:, 0, :3] = np.stack([cy * cp, cy * sp * sr - sy * cr, cy * sp * cr + sy * sr], 1)
    poses[:, 1, :3] = np.stack([sy * cp, sy * sp * sr + cy * cr, sy * sp * cr - cy * sr], 1)
    poses[:, 2, :3] = np.stack([-sp, cp * sr, cp * cr], 1)
    poses[:, :2, 3] = positions
    poses[:, 2, 3] = 0.002 * wobble[:, 2]
    return poses


def with_drift(rng: np.random.Generator, truth: np.ndarray) -> np.ndarray:
    """Return the wheel odometry odom_from_base (M, 4, 4), from the origin.

    Its scale is off by about a percent, and its heading wanders with the way driven.
    """
    scale = 1 + 0.01 * rng.standard_normal()
    steps = np.linalg.inv(truth[:-1]) @ truth[1:]
    lengths = np.linalg.norm(steps[:, :3, 3], axis=1)
    turns = (
        np.radians(0.4) * lengths
        + np.radians(1.0) * np.sqrt(lengths) * rng.standard_normal(len(lengths)) * 0.5
    )
    poses = np.empty_like(truth)
    poses[0] = np.eye(4)
    for k, (step, turn) in enumerate(zip(steps, turns)):
        c, s = np.cos(turn), np.sin(turn)
        wrong = step.copy()
        wrong[:3, 3] *= scale
        wrong[:2, :3] = np.array(((c, -s), (s, c))) @ wrong[:2, :3]
        poses[k + 1] = poses[k] @ wrong
    return poses
