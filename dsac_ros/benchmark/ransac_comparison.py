# SPDX-License-Identifier: Apache-2.0
"""Comparison of this RANSAC with other libraries on the same correspondences."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from dsac_ros.benchmark.pnp import peers
from dsac_ros.benchmark.synthetic_correspondences import (
    batch,
    synthetic_correspondences,
    to_device,
)
from dsac_ros.compute.stopwatch import Stopwatch
from dsac_ros.config import RansacConfig
from dsac_ros.geometry import se3
from dsac_ros.ransac.estimator import STAGES, estimate_pose
from dsac_ros.types import SceneCoordinates

NOISE_M = 0.02
SUCCESS_M, SUCCESS_RAD = 0.05, np.radians(5.0)
BATCH = 16


@dataclass(frozen=True)
class MethodResult:
    """Result of one method at one inlier ratio: success rate (5 cm, 5 deg), median error, times.

    The median error is infinite if at least half of the frames have no pose.
    """

    method: str
    inlier_ratio: float
    success: float
    median_error_m: float
    ms_p50: float
    ms_p95: float
    device: str


@dataclass(frozen=True)
class Runtime:
    """Runtime of this RANSAC on a device at 50 % inliers: medians [ms].

    Of one frame, of a batch of 16, and of each stage of one frame with device synchronization;
    stages are always those of the uncompiled operations.
    """

    device: str
    one_ms: float
    batch_of_16_ms: float
    stages_ms: dict[str, float]


def compare_methods(
    ratios: Sequence[float], frames: int, config: RansacConfig, devices: Sequence[str]
) -> Iterator[MethodResult]:
    """Yield the results of every inlier ratio in turn, of this package on each of the devices.

    Each frame is passed to every method before the next one, so that other load on the machine
    affects all of them equally. Frames are 4800 cells with 2 cm of noise at 2.5 m; times are of
    one frame, from correspondences in the memory of the device to a pose.
    """
    for ratio in ratios:
        others = peers()
        methods = [*(('dsac', device) for device in devices), *((name, 'cpu') for name in others)]
        errors: dict[tuple[str, str], list[tuple[float, float]]] = {one: [] for one in methods}
        times: dict[tuple[str, str], list[float]] = {one: [] for one in methods}
        for seed in range(-1, frames):  # the first frame is a warm-up
            scene, truth = synthetic_correspondences(1000 + seed, inliers=ratio, noise=NOISE_M)
            arrays = as_arrays(scene)
            for name, device in methods:
                if name == 'dsac':
                    pose, ms = timed(estimate_by_dsac, to_device(scene, device), config)
                else:
                    pose, ms = timed(others[name], *arrays)
                if seed >= 0:
                    errors[name, device].append(pose_error(pose, truth))
                    times[name, device].append(ms)
        for (name, device), found in errors.items():
            distance, angle = np.array(found).T
            yield MethodResult(
                name,
                ratio,
                float(((distance < SUCCESS_M) & (angle < SUCCESS_RAD)).mean()),
                float(np.median(distance)),
                float(np.median(times[name, device])),
                float(np.percentile(times[name, device], 95)),
                device,
            )


def timed(solve: Callable[..., Any], *arguments: Any) -> tuple[Any, float]:
    """Return the result of `solve` and its duration [ms]."""
    start = time.perf_counter()
    result = solve(*arguments)
    return result, (time.perf_counter() - start) * 1e3


def estimate_by_dsac(scene: SceneCoordinates, config: RansacConfig) -> np.ndarray | None:
    """Return world_from_camera (4, 4) by this package; waits for the device."""
    with torch.no_grad():
        estimate = estimate_pose(scene, config)
    return estimate.world_from_camera[0].cpu().numpy() if bool(estimate.found[0]) else None


def as_arrays(
    scene: SceneCoordinates,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, tuple[int, int]]:
    """Return world points, pixels, matrix and image size, as other libraries take them."""
    rows, columns = scene.grid_hw
    return (
        scene.points_world[0].double().numpy(),
        scene.pixels[0].double().numpy(),
        scene.matrices[0].double().numpy(),
        (8 * columns, 8 * rows),
    )


def pose_error(pose: np.ndarray | None, truth: torch.Tensor) -> tuple[float, float]:
    """Return distance [m] and angle [rad]; infinite if there is no pose."""
    if pose is None:
        return np.inf, np.inf
    distance, angle = se3.pose_error(torch.from_numpy(pose)[None], truth[None])
    return float(distance), float(angle)


def measure_runtime(config: RansacConfig, device: str, repeats: int = 10) -> Runtime:
    """Measure one frame, a batch of 16, and the stages, each several times."""
    scenes = [
        synthetic_correspondences(seed, inliers=0.5, noise=NOISE_M)[0] for seed in range(BATCH)
    ]
    alone, together = to_device(scenes[0], device), to_device(batch(scenes), device)

    def median(scene: SceneCoordinates) -> float:
        return float(
            np.median([timed(estimate_by_dsac, scene, config)[1] for _ in range(repeats + 1)][1:])
        )

    def laps() -> list[float]:
        watch = Stopwatch(alone.points_world.device)
        with torch.no_grad():
            estimate_pose(alone, config, lap=watch.lap)
        return [watch.laps[stage] for stage in STAGES]

    stages = np.median([laps() for _ in range(repeats + 1)][1:], axis=0)
    return Runtime(device, median(alone), median(together), dict(zip(STAGES, stages.tolist())))
