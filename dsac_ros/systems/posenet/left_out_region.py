# SPDX-License-Identifier: Apache-2.0
"""Evidence of PoseNet where it has not been: a region of the scene is left out and asked about.

Held-out frames of a recording lie between learned ones. A regression of poses is right there and
off elsewhere, so that they alone would let it accept what it should not.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import cv2
import numpy as np
import torch
from torch import Tensor

from dsac_ros.config import MappingConfig
from dsac_ros.mapping.acceptance.fit import is_correct
from dsac_ros.mapping.data.dataset import Dataset
from dsac_ros.metrics import FALSE_ACCEPT_DEG, twist_error
from dsac_ros.systems.calibration import WRONG_DEPTH
from dsac_ros.systems.posenet.config import PoseNetConfig
from dsac_ros.systems.posenet.losses import pose_losses
from dsac_ros.systems.posenet.novelty import closeness
from dsac_ros.systems.posenet.system import estimate_of
from dsac_ros.systems.posenet.training import (
    BATCH,
    PoseNet,
    descend,
    learning_rates,
    loss_terms,
    new_regression,
    set_rates,
)
from dsac_ros.systems.posenet.view_bank import ViewBank
from dsac_ros.systems.system import Estimate

REGIONS = 2  # clusters of camera positions; the smaller one is left out
FEWEST = 16  # views to learn from, and to ask about
ASKED = 32  # views of the region, at most
STEPS = 0.5  # of the training's


def far_estimates(
    net: PoseNet,
    bank: ViewBank,
    codes: Tensor,
    data: Dataset,
    config: MappingConfig,
    own: PoseNetConfig,
    progress: Callable[[float], None],
) -> list[tuple[Estimate, np.ndarray]]:
    """Train without one region; return estimates and poses (4, 4) of the views that fail in it.

    Those that are right there count for nothing: they would only lower the threshold.
    The network stays as it is; its encoder is not trained again. codes (V, D) are of the views.
    Empty where either part has too few views, or where no frames are held out to calibrate on.
    """
    left_out = smaller_region(np.stack([view.scene_from_camera[:3, 3] for view in data.views]))
    if not data.held_out or min(left_out.sum(), (~left_out).sum()) < FEWEST:
        return []
    kept = torch.from_numpy(~left_out).to(bank.source.device)[bank.source]
    seen = bank.select(kept)
    without = replace(net, regression=new_regression(seen, config, own))
    train_briefly(without, seen, config, own, progress)
    asked = np.flatnonzero(left_out)[:: math.ceil(left_out.sum() / ASKED)]
    near = torch.from_numpy(np.flatnonzero(~left_out))
    found = [
        answer(without, bank, row, closeness(codes[row : row + 1], codes[near]), data, own)
        for row in asked.tolist()
    ]
    return [(one, pose) for one, pose in found if is_wrong(one, pose, data.scale)]


def is_wrong(found: Estimate, pose: np.ndarray, depth: float) -> bool:
    """Return True if an estimate is as far off the pose (4, 4) as calibration calls wrong."""
    assert found.world_from_camera is not None
    twist = twist_error(found.world_from_camera, pose)
    return not is_correct(twist[None], (WRONG_DEPTH * depth, FALSE_ACCEPT_DEG))[0]


def smaller_region(centres: np.ndarray) -> np.ndarray:
    """Return which camera positions (V, 3) are in the smaller of REGIONS clusters (V,) bool."""
    if len(centres) < REGIONS:
        return np.zeros(len(centres), bool)
    cv2.setRNGSeed(1)
    _, labels, _ = cv2.kmeans(
        centres.astype(np.float32),
        REGIONS,
        np.zeros((len(centres), 1), np.int32),
        (cv2.TERM_CRITERIA_MAX_ITER, 20, 0),
        4,
        cv2.KMEANS_PP_CENTERS,
    )
    counts = np.bincount(labels[:, 0], minlength=REGIONS)
    return labels[:, 0] == counts.argmin()


def train_briefly(
    net: PoseNet,
    bank: ViewBank,
    config: MappingConfig,
    own: PoseNetConfig,
    progress: Callable[[float], None],
) -> None:
    """Train the regression of a network with learned weights, for a share of the steps."""
    losses = pose_losses(own).to(bank.features.device)
    optimizer = torch.optim.AdamW(
        [{'params': [*net.regression.parameters()]}, {'params': [*losses.parameters()]}]
    )
    generator = torch.Generator(device=bank.features.device).manual_seed(config.seed)
    steps = max(1, round(STEPS * config.steps))
    for step in range(steps):
        set_rates(optimizer, learning_rates(step / steps, config))
        rows = bank.rows(config.batch or BATCH, False, generator)
        terms = loss_terms('learned', losses, net, bank.batch(rows), generator)
        descend(terms.total, optimizer)
        progress((step + 1) / steps)


def answer(
    net: PoseNet, bank: ViewBank, row: int, evidence: float, data: Dataset, own: PoseNetConfig
) -> tuple[Estimate, np.ndarray]:
    """Return the estimate and the pose (4, 4) of a mapping view.

    The first views of a bank are the mapping views as they are.
    """
    features: Tensor = bank.features[row : row + 1].float()
    with torch.inference_mode():
        found = estimate_of(
            net.regression, features, own.samples, data.origin, data.scale, evidence
        )
    pose = data.views[row].scene_from_camera.copy()
    pose[:3, 3] = data.origin + data.scale * pose[:3, 3]
    return found, pose
