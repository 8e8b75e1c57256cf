# SPDX-License-Identifier: Apache-2.0
"""The last stage of a map: its network learns from the poses that RANSAC makes of its points.

Image by image the expected pose loss is minimised (`ransac.dsac`). Held-out frames validate
what is learned as it goes, and the best is kept, the first included: a map is never left worse
than it was found. The head alone learns here, on the feature buffer, because all maps share the
encoder; with `encoder_tuning` it learns, too.
"""

from __future__ import annotations

import copy
import logging
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from dsac_ros.config import EndToEndConfig, MappingConfig, RansacConfig
from dsac_ros.geometry.pose_losses import MaxLoss, PoseLossConfig, training_loss
from dsac_ros.mapping.data.buffer import FeatureBuffer
from dsac_ros.mapping.data.dataset import MIN_HELD_OUT
from dsac_ros.mapping.data.view import View
from dsac_ros.mapping.losses.metric_scene import ROOM_M, metric_scene, to_metric
from dsac_ros.mapping.optim.schedule import learning_rate
from dsac_ros.network.scene_network import SceneNetwork
from dsac_ros.ransac.dsac import EntropyControl, expected_loss
from dsac_ros.ransac.estimator import estimate_pose
from dsac_ros.scene_coordinates import with_depth
from dsac_ros.types import SceneCoordinates

log = logging.getLogger(__name__)

VALIDATIONS = 8  # times that the held-out frames are asked
IMAGES = 2  # per step
MIN_VALIDATION_VIEWS = 4
MAX_GRADIENT = 1.0  # norm; RANSAC's gradients have heavy tails
LOSS_RATE = 0.05  # peak learning rate of what a pose loss learns itself: logarithms, from far off
SURE = 1.0  # standard errors by which validation frames must gain before weights are kept
MIN_CELLS = 64


@dataclass(frozen=True)
class Validator:
    """Frames that training does not see, encoded once.

    Of each frame descriptors (1, C, h, w), matrix (1, 3, 3), mask (1, H, W), scene_from_camera
    (1, 4, 4) and, where a sensor measured it, depth (H, W) in scene units.
    """

    encoder: nn.Module
    descriptors: Sequence[Tensor]
    matrices: Sequence[Tensor]
    masks: Sequence[Tensor]
    scene_from_camera: Sequence[Tensor]
    depths: Sequence[np.ndarray | None]

    @classmethod
    def of(cls, encoder: nn.Module, views: Sequence[View], device: str) -> Validator:
        """Encode the views."""

        def tensor(x: np.ndarray) -> Tensor:
            return torch.from_numpy(np.asarray(x)).to(device)[None]

        with torch.no_grad():
            descriptors = [encoder(tensor(view.image)[None].float() / 255) for view in views]
            return cls(
                encoder,
                descriptors,
                [tensor(view.matrix).float() for view in views],
                [tensor(view.mask) for view in views],
                [tensor(view.scene_from_camera) for view in views],
                [view.depth for view in views],
            )

    def __len__(self) -> int:
        return len(self.matrices)

    def __call__(self, head: nn.Module, rgbd: bool = False) -> Tensor:
        """Logarithms (F,) of max(rotation [deg], translation [cm in a room]) of the frames.

        With rgbd the depth of those that have it takes part.
        """
        network = SceneNetwork(self.encoder, head, ROOM_M)
        cost, logarithms = MaxLoss(PoseLossConfig()), []
        with torch.no_grad():
            for descriptors, matrix, mask, pose, depth in zip(
                self.descriptors, self.matrices, self.masks, self.scene_from_camera, self.depths
            ):
                scene = network.correspondences(descriptors, matrix, mask)
                if rgbd and depth is not None:
                    scene = with_depth(scene, ROOM_M * depth)
                found = estimate_pose(scene, RansacConfig())
                loss = cost(found.world_from_camera, to_metric(pose.to(found.world_from_camera)))
                logarithms.append(math.log(max(float(loss), 1e-3) if bool(found.found) else 1e3))
        return torch.tensor(logarithms)


def mean_cost(logarithms: Tensor) -> float:
    """The geometric mean of costs, of their logarithms (F,)."""
    return float(logarithms.mean().exp())


def significantly_better(after: Tensor, before: Tensor) -> bool:
    """Return True if the frames' log costs (F,) fell by more than chance.

    Weights are looked at many times, and the best of many looks at noise is an improvement.
    """
    gain = before - after
    return bool(gain.mean() > SURE * gain.std() / math.sqrt(len(gain)))


@dataclass(frozen=True)
class Kept:
    """Weights, their cost (F,) on the validation frames, and the step that they are of."""

    costs: Tensor
    weights: dict[str, Tensor]
    step: int


class Learner(Protocol):
    """A module that learns end to end, and the images that it learns from.

    module: whose parameters learn, those that ask for a gradient; usable: the images with cells
    enough; validation_views: their number.
    """

    @property
    def module(self) -> nn.Module:
        """See above."""

    @property
    def usable(self) -> Sequence[int]:
        """See above."""

    @property
    def validation_views(self) -> int:
        """See above."""

    def scene(self, image: int, rgbd: bool) -> tuple[SceneCoordinates, Tensor]:
        """An image's scene coordinates in a room, with gradients, and world_from_camera (1, 4, 4).

        With rgbd measured depth takes part.
        """

    def cost(self, rgbd: bool) -> Tensor:
        """See `Validator`."""


def fine_tune(
    learner: Learner,
    config: EndToEndConfig,
    seed: int,
    progress: Callable[[float], None] = lambda share: None,
) -> dict[str, Any]:
    """Minimise the expected pose loss of a network; return what the map's header says.

    Its weights end as the best that were validated as `significantly_better`. With too few frames
    to validate on, or none with cells enough to learn from, nothing is changed.
    """
    module, usable = learner.module, learner.usable
    if learner.validation_views < MIN_VALIDATION_VIEWS:
        return untouched(
            'too few held-out frames',
            f'{learner.validation_views} to validate on, expected at least '
            f'{MIN_VALIDATION_VIEWS}; {MIN_HELD_OUT / MappingConfig.held_out:.0f} '
            'frames have some held out, fewer with --set held_out=0.2',
        )
    if not usable:
        return untouched(
            'too few cells in every image',
            f'an image needs {MIN_CELLS} cells to have a pose; raise '
            'patches_per_image or short_side',
        )
    parameters = [p for p in module.parameters() if p.requires_grad]
    generator = torch.Generator().manual_seed(seed)
    pose_loss = training_loss(config).to(parameters[0].device)
    peaks = (config.finetune_rate, LOSS_RATE)
    optimizer = torch.optim.Adam([{'params': parameters}, {'params': [*pose_loss.parameters()]}])
    control = EntropyControl(config)
    before = learner.cost(config.rgbd)
    best = Kept(before, copy.deepcopy(module.state_dict()), 0)
    step, asked = 0, 0

    def validated() -> Kept:
        now = learner.cost(config.rgbd)
        if now.mean() < best.costs.mean() and significantly_better(now, before):
            return Kept(now, copy.deepcopy(module.state_dict()), step)
        return best

    start = time.monotonic()
    while (
        done := max(
            (time.monotonic() - start) / (60.0 * config.finetune_minutes),
            step / config.finetune_steps,
        )
    ) < 1.0:
        for group, peak in zip(optimizer.param_groups, peaks):
            group['lr'] = learning_rate(done, peak)
        chosen = torch.randint(len(usable), (IMAGES,), generator=generator)
        losses, bits = [], []
        for index in chosen.tolist():
            scene, pose = learner.scene(usable[index], config.rgbd)
            found = expected_loss(scene, pose, config, control.alpha, generator, pose_loss)
            if bool(found.found):
                losses.append(found.loss.mean())
                bits.append(float(found.entropy_bits))
        step += 1
        if losses:
            descend(optimizer, torch.stack(losses).mean(), parameters)
            control.observe(float(np.mean(bits)))
        if done * VALIDATIONS >= asked + 1:
            asked += 1
            best = validated()
        progress(done)
    best = validated()
    module.load_state_dict(best.weights)
    log.info(
        'fine-tuning: %.3g before, %.3g after %d of %d steps (max of cm and deg, held-out frames)',
        mean_cost(before),
        mean_cost(best.costs),
        best.step,
        step,
    )
    return {
        'steps': step,
        'kept_step': best.step,
        'before': round(mean_cost(before), 4),
        'after': round(mean_cost(best.costs), 4),
        'alpha': round(control.alpha, 3),
        'selection': config.selection,
        'gradient': config.gradient,
        'seconds': round(time.monotonic() - start, 1),
    }


def untouched(reason: str, explanation: str) -> dict[str, Any]:
    """Log why a map was not fine-tuned, and return it for the header."""
    log.warning('the map was not fine-tuned: %s (%s)', reason, explanation)
    return {'steps': 0, 'kept_step': 0, 'reason': reason}


def descend(optimizer: torch.optim.Optimizer, loss: Tensor, parameters: Sequence[Tensor]) -> None:
    """One step, unless the gradient is not a number."""
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    norm = torch.nn.utils.clip_grad_norm_(parameters, MAX_GRADIENT)
    if bool(norm.isfinite()):
        optimizer.step()


class HeadLearner:
    """The head alone learns, on the feature buffer image by image."""

    def __init__(self, head: nn.Module, patches: FeatureBuffer, validator: Validator) -> None:
        """The rows of an image lie side by side, in the order in which they were encoded."""
        self.module, self.patches, self.validator = head, patches, validator
        self.validation_views = len(validator)
        counts = patches.image.bincount(minlength=len(patches.intrinsics))
        self.ends = counts.cumsum(0).tolist()
        self.usable = (counts >= MIN_CELLS).nonzero()[:, 0].tolist()

    def cost(self, rgbd: bool) -> Tensor:
        """See `Validator`."""
        return self.validator(self.module, rgbd)

    def scene(self, image: int, rgbd: bool) -> tuple[SceneCoordinates, Tensor]:
        """See `Learner`."""
        rows = torch.arange(
            self.ends[image - 1] if image else 0,
            self.ends[image],
            device=self.patches.descriptors.device,
        )
        descriptors, seen = self.patches.batch(rows)
        points, sigma = self.module(descriptors)
        focal, u, v = self.patches.intrinsics[image].unbind()
        zero, one = torch.zeros_like(focal), torch.ones_like(focal)
        matrix = torch.stack((focal, zero, u, zero, focal, v, zero, zero, one)).view(3, 3)
        return metric_scene(points, seen, matrix, rgbd, sigma)
