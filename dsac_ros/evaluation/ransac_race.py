# SPDX-License-Identifier: Apache-2.0
"""Our RANSAC and its peers on the same correspondences, frame by frame in turn."""
from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from dsac_ros.baselines.pnp import peers
from dsac_ros.config import RansacConfig
from dsac_ros.evaluation.wavy_wall import batch, on, wavy_wall
from dsac_ros.geometry import se3
from dsac_ros.ransac.estimator import STAGES, estimate_pose
from dsac_ros.ransac.stopwatch import Stopwatch
from dsac_ros.types import SceneCoordinates

NOISE_M = 0.02
SUCCESS_M, SUCCESS_RAD = 0.05, np.radians(5.0)
BATCH = 16


@dataclass(frozen=True)
class Row:
    """One method at one inlier ratio: share of successes (5 cm, 5 deg), median error, times.

    The median error is infinite where at least half of the frames have no pose.
    """

    method: str
    inlier_ratio: float
    success: float
    median_error_m: float
    ms_p50: float
    ms_p95: float
    device: str


@dataclass(frozen=True)
class Speed:
    """How long our RANSAC takes on a device at half inliers: medians [ms].

    Of one frame, of a batch of 16, and of each stage of one frame where a GPU waits for its end;
    stages are those of the operations one by one, where RANSAC is compiled too.
    """

    device: str
    one_ms: float
    batch_of_16_ms: float
    stages_ms: dict[str, float]


def race(ratios: Sequence[float], frames: int, config: RansacConfig,
         devices: Sequence[str]) -> Iterator[Row]:
    """The rows of every ratio in turn, ours on each of the devices.

    Each frame goes to every method before the next one does, so that whatever else the machine
    does slows all of them alike. Frames are 4800 cells with 2 cm of noise at 2.5 m; times are of
    one frame, from correspondences in the memory of the device to a pose.
    """
    for ratio in ratios:
        others = peers()
        entrants = [*(('dsac', device) for device in devices), *((name, 'cpu') for name in others)]
        errors: dict[tuple[str, str], list[tuple[float, float]]] = {one: [] for one in entrants}
        times: dict[tuple[str, str], list[float]] = {one: [] for one in entrants}
        for seed in range(-1, frames):  # the first frame warms everything up
            scene, truth = wavy_wall(1000 + seed, inliers=ratio, noise=NOISE_M)
            arrays = as_arrays(scene)
            for name, device in entrants:
                if name == 'dsac':
                    pose, ms = timed(our_pose, on(scene, device), config)
                else:
                    pose, ms = timed(others[name], *arrays)
                if seed >= 0:
                    errors[name, device].append(pose_error(pose, truth))
                    times[name, device].append(ms)
        for (name, device), found in errors.items():
            distance, angle = np.array(found).T
            yield Row(name, ratio,
                      float(((distance < SUCCESS_M) & (angle < SUCCESS_RAD)).mean()),
                      float(np.median(distance)), float(np.median(times[name, device])),
                      float(np.percentile(times[name, device], 95)), device)


def timed(solve: Callable[..., Any], *arguments: Any) -> tuple[Any, float]:
    """What `solve` answers and the milliseconds that it took."""
    start = time.perf_counter()
    answer = solve(*arguments)
    return answer, (time.perf_counter() - start) * 1e3


def our_pose(scene: SceneCoordinates, config: RansacConfig) -> np.ndarray | None:
    """world_from_camera (4, 4) by our estimator; the answer waits for the device."""
    with torch.no_grad():
        estimate = estimate_pose(scene, config)
    return estimate.world_from_camera[0].cpu().numpy() if bool(estimate.found[0]) else None


def as_arrays(scene: SceneCoordinates) -> tuple[np.ndarray, np.ndarray, np.ndarray,
                                                tuple[int, int]]:
    """World points, pixels, matrix and image size, as the peers take them."""
    rows, columns = scene.grid_hw
    return (scene.points_world[0].double().numpy(), scene.pixels[0].double().numpy(),
            scene.matrices[0].double().numpy(), (8 * columns, 8 * rows))


def pose_error(pose: np.ndarray | None, truth: torch.Tensor) -> tuple[float, float]:
    """Distance [m] and angle [rad]; infinite where there is no pose."""
    if pose is None:
        return np.inf, np.inf
    distance, angle = se3.pose_error(torch.from_numpy(pose)[None], truth[None])
    return float(distance), float(angle)


def speed(config: RansacConfig, device: str, repeats: int = 10) -> Speed:
    """One frame, a batch of 16, and the stages, each several times."""
    scenes = [wavy_wall(seed, inliers=0.5, noise=NOISE_M)[0] for seed in range(BATCH)]
    alone, together = on(scenes[0], device), on(batch(scenes), device)

    def median(scene: SceneCoordinates) -> float:
        return float(np.median([timed(our_pose, scene, config)[1]
                                for _ in range(repeats + 1)][1:]))

    def laps() -> list[float]:
        watch = Stopwatch(alone.points_world.device)
        with torch.no_grad():
            estimate_pose(alone, config, lap=watch.lap)
        return [watch.laps[stage] for stage in STAGES]
    stages = np.median([laps() for _ in range(repeats + 1)][1:], axis=0)
    return Speed(device, median(alone), median(together), dict(zip(STAGES, stages.tolist())))
