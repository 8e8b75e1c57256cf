# SPDX-License-Identifier: Apache-2.0
"""Our RANSAC and its peers on the same correspondences, frame by frame in turn."""
from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from dsac_ros.baselines.pnp import peers
from dsac_ros.config import RansacConfig
from dsac_ros.evaluation.wavy_wall import wavy_wall
from dsac_ros.geometry import se3
from dsac_ros.ransac.estimator import estimate_pose
from dsac_ros.types import SceneCoordinates

NOISE_M = 0.02
SUCCESS_M, SUCCESS_RAD = 0.05, np.radians(5.0)
BATCH = 16


@dataclass(frozen=True)
class Row:
    """One method at one inlier ratio: share of successes (5 cm, 5 deg), median error, times."""

    method: str
    inlier_ratio: float
    success: float
    median_error_m: float
    ms_p50: float
    ms_p95: float
    device: str


def race(ratios: Sequence[float], frames: int, config: RansacConfig,
         device: str) -> Iterator[Row]:
    """The rows of every ratio in turn; each frame goes to every method before the next one does.

    So whatever else the machine does slows all of them alike. Frames are 4800 cells with 2 cm of
    noise at 2.5 m; times are of one frame, from correspondences in memory to a pose.
    """
    for ratio in ratios:
        others = peers()
        errors: dict[str, list[tuple[float, float]]] = {name: [] for name in ('dsac', *others)}
        times: dict[str, list[float]] = {name: [] for name in errors}
        for seed in range(-1, frames):  # the first frame warms everything up
            scene, truth = wavy_wall(1000 + seed, inliers=ratio, noise=NOISE_M)
            answers = {'dsac': timed(our_pose, scene, config, device)}
            arrays = as_arrays(scene)
            for name, solve in others.items():
                answers[name] = timed(solve, *arrays)
            if seed < 0:
                continue
            for name, (pose, ms) in answers.items():
                errors[name].append(pose_error(pose, truth))
                times[name].append(ms)
        for name, found in errors.items():
            distance, angle = np.array(found).T
            yield Row(name, ratio,
                      float(((distance < SUCCESS_M) & (angle < SUCCESS_RAD)).mean()),
                      float(np.median(distance)), float(np.median(times[name])),
                      float(np.percentile(times[name], 95)), device if name == 'dsac' else 'cpu')


def timed(solve: Callable[..., Any], *arguments: Any) -> tuple[Any, float]:
    """What `solve` answers and the milliseconds that it took."""
    start = time.perf_counter()
    answer = solve(*arguments)
    return answer, (time.perf_counter() - start) * 1e3


def our_pose(scene: SceneCoordinates, config: RansacConfig, device: str) -> np.ndarray | None:
    """world_from_camera (4, 4) by our estimator; the answer waits for the device."""
    with torch.no_grad():
        estimate = estimate_pose(on(scene, device), config)
    return estimate.world_from_camera[0].cpu().numpy() if bool(estimate.found[0]) else None


def on(scene: SceneCoordinates, device: str) -> SceneCoordinates:
    """The scene on a device, where a network's answer would be already."""
    return replace(scene, **{name: getattr(scene, name).to(device) for name in (
        'points_world', 'pixels', 'sigma_px', 'valid', 'matrices')})


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


def batch_ms(config: RansacConfig, device: str, repeats: int = 10) -> tuple[float, float]:
    """Median milliseconds of one frame and of a batch of 16, at half inliers."""
    scenes = [wavy_wall(seed, inliers=0.5, noise=NOISE_M)[0] for seed in range(BATCH)]
    together = replace(scenes[0], **{
        name: torch.cat([getattr(one, name) for one in scenes]).to(device)
        for name in ('points_world', 'pixels', 'sigma_px', 'valid', 'matrices')})
    alone = on(scenes[0], device)

    def estimate(scene: SceneCoordinates) -> torch.Tensor:
        return estimate_pose(scene, config).found.cpu()

    def median(scene: SceneCoordinates) -> float:
        with torch.no_grad():
            return float(np.median([timed(estimate, scene)[1] for _ in range(repeats + 1)][1:]))
    return median(alone), median(together)
