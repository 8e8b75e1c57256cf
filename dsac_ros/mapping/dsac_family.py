# SPDX-License-Identifier: Apache-2.0
"""A whole network for one scene, stage by stage as DSAC++ and DSAC* do: no shared encoder."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dsac_ros.compute.device import choose_device
from dsac_ros.config import EndToEndConfig, MappingConfig
from dsac_ros.errors import MappingError
from dsac_ros.geometry.pose_losses import training_loss
from dsac_ros.geometry.resample import network_resamplers
from dsac_ros.map_file import Map
from dsac_ros.mapping.ace import validated, write
from dsac_ros.mapping.data import dataset
from dsac_ros.mapping.data.buffer import augmented
from dsac_ros.mapping.data.samples import Sample
from dsac_ros.mapping.data.view import View
from dsac_ros.mapping.end_to_end import (
    LOSS_RATE,
    MIN_VALIDATION_VIEWS,
    Validator,
    mean_cost,
    significantly_better,
)
from dsac_ros.mapping.header import make_header
from dsac_ros.mapping.losses.curriculum import LossTerms
from dsac_ros.mapping.losses.objectives import errors, objective_terms, terms_of
from dsac_ros.mapping.optim.checkpoint import Checkpoint, TrainingState, fingerprint
from dsac_ros.mapping.optim.loop import train
from dsac_ros.mapping.optim.progress import ProgressCallback, Stages
from dsac_ros.mapping.optim.schedule import Schedule, learning_rate
from dsac_ros.mapping.recipes import END_TO_END, Recipe, Stage, find_recipe
from dsac_ros.mapping.sfm.pose_refinement import refined
from dsac_ros.mapping.sfm.track_depth import with_own_depth
from dsac_ros.network.convolutional import WholeNetwork, draw_weights
from dsac_ros.ransac.dsac import EntropyControl, expected_loss
from dsac_ros.types import PosedFrame


def learn_from_scratch(
    frames: Iterable[PosedFrame],
    config: MappingConfig,
    end_to_end: EndToEndConfig,
    *,
    device: str,
    output: Path,
    total: int | None = None,
    map_frame: str = 'map',
    progress: ProgressCallback = lambda state: None,
    resume: bool = False,
) -> Map:
    """Learn a scene by the recipe of the settings and write its map; see `ace.learn_map`.

    end_to_end: settings of the last stage, the recipe's own where nothing else is wanted. Raises
    MappingError where the frames cannot be learned from, ConfigError for no such recipe.
    """
    recipe = replace(find_recipe(config.recipe), end_to_end=end_to_end)
    clock = Stages(progress)
    device = choose_device(device)
    frames = iter(frames)
    first = list(islice(frames, 1))
    track = config.depth == 'auto' and all(posed.frame.depth is None for posed in first)
    data = dataset.prepare(chain(first, frames), config, total, clock.stage, track=track)
    if config.refine_poses:
        data = refined(data, clock.stage('refining'))
    views, has_depth = data.views, any(view.depth is not None for view in data.views)
    if recipe.needs_depth and not has_depth:
        raise MappingError(
            f'the recipe {recipe.name} starts from depth and no frame has any; use '
            'frames with depth, or a recipe that does without, such as dsacpp'
        )
    if config.depth == 'auto' and not has_depth:
        views = with_own_depth(data.views, clock.stage('matching'))
        recipe = recipe.with_approximate_depth()
    focal = dataset.network_focal(data, config.short_side)
    data_seen = dataset.network_data(
        replace(data, views=views), network_resamplers(focal, config.short_side)
    )
    network = new_network(recipe.network, data_seen, config.seed).to(device)
    checkpoint = Checkpoint(
        output.with_name(output.name + '.checkpoint'), fingerprint(data, config, end_to_end)
    )
    clock.stage('training')
    best_weights = BestWeights(data_seen.held_out, end_to_end.rgbd)
    trained = train_network(
        network, data_seen.views, recipe, config, checkpoint, resume, progress, best_weights
    )
    trained |= best_weights.verdict(network)
    header = make_header(data, config, recipe.network, output.stem, map_frame, focal)
    header['training'] = trained
    candidate = Map({**header, 'id': ''}, network.eval())
    header |= validated(candidate, data, device, clock)
    return write(replace(candidate, header=header), output, checkpoint, device, clock)


def new_network(name: str, data: dataset.Dataset, seed: int) -> WholeNetwork:
    """A network that sees the middle of the scene everywhere; the same for the same seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)  # layers draw their first weights from the global generator
        network = WholeNetwork(name, data.scale)
        draw_weights(network)
    middle = np.mean([centre_of_view(view) for view in data.views], axis=0)
    with torch.no_grad():
        network.head.point.bias.copy_(torch.from_numpy(middle))
    return network


def centre_of_view(view: View) -> np.ndarray:
    """The point (3,) straight ahead, in the median depth where it is measured, else at depth 1."""
    measured = () if view.depth is None else view.depth[view.depth > 0]
    depth = float(np.median(measured)) if len(measured) else 1.0
    return view.scene_from_camera[:3, 3] + depth * view.scene_from_camera[:3, 2]


def train_network(
    network: WholeNetwork,
    views: Sequence[View],
    recipe: Recipe,
    config: MappingConfig,
    checkpoint: Checkpoint,
    resume: bool,
    progress: ProgressCallback,
    best_weights: BestWeights,
) -> dict[str, Any]:
    """Train the network, one augmented image a step; returns what the map's header says of it."""
    device = network.head.point.weight.device
    generator = torch.Generator().manual_seed(config.seed)
    objectives = Objectives(recipe, config, generator, device)
    optimizer = torch.optim.Adam(
        [{'params': [*network.parameters()]}, {'params': [*objectives.pose_loss.parameters()]}],
        fused=True,
    )
    scaler = torch.amp.GradScaler(device.type, enabled=device.type == 'cuda')
    schedule = Schedule(replace(config, early_stop=math.inf))  # the stages have their shares
    state = TrainingState(
        checkpoint,
        {
            'network': network,
            'optimizer': optimizer,
            'scaler': scaler,
            'schedule': schedule,
            'objectives': objectives,
            'best_weights': best_weights,
        },
    )
    if resume:
        state.resume(str(device))
        generator.manual_seed(config.seed + state.step)
    order = shuffled(len(views), generator)

    def step(done: float) -> LossTerms:
        stage, share = recipe.stage_at(done)
        if stage.objective == END_TO_END:
            best_weights.remember(network)
        peaks = stage.rate * config.learning_rate, LOSS_RATE
        for group, peak in zip(optimizer.param_groups, peaks):
            group['lr'] = learning_rate(share, peak)
        view = augmented(views[next(order)], objectives.augmentation(stage), generator)
        seen = Sample.of(view, device, generator)
        terms = objectives(stage, seen.predicted(network)[0], seen)
        descend(terms.total, optimizer, scaler, stage.max_gradient)
        return terms

    return train(state, schedule, step, progress)


class BestWeights:
    """Keeps the weights before the last stage unless held-out views are better after it."""

    def __init__(self, views: Sequence[View], rgbd: bool = False) -> None:
        """With fewer than MIN_VALIDATION_VIEWS views the last weights stay."""
        self.views, self.rgbd = views, rgbd
        self.before: Tensor | None = None
        self.weights: dict[str, Tensor] = {}

    def remember(self, network: WholeNetwork) -> None:
        """The weights with which the last stage begins; later calls change nothing."""
        if self.before is None and len(self.views) >= MIN_VALIDATION_VIEWS:
            self.before, self.weights = self.cost(network), copy.deepcopy(network.state_dict())

    def state_dict(self) -> dict[str, Any]:
        """Return the state for a checkpoint."""
        return {'before': self.before, 'weights': self.weights}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Remember what a checkpoint says."""
        self.before, self.weights = state['before'], state['weights']

    def cost(self, network: WholeNetwork) -> Tensor:
        """See `end_to_end.Validator`."""
        device = str(network.head.point.weight.device)
        return Validator.of(network.encoder, self.views, device)(network.head, self.rgbd)

    def verdict(self, network: WholeNetwork) -> dict[str, Any]:
        """Take the remembered weights where the new ones are no better; for the map's header."""
        if self.before is None:
            return {
                'end_to_end': {
                    'not_validated': (
                        f'{len(self.views)} held-out frames, expected at least '
                        f'{MIN_VALIDATION_VIEWS}'
                    )
                }
            }
        after = self.cost(network)
        if not significantly_better(after, self.before):
            network.load_state_dict(self.weights)
            after = self.before
        return {
            'end_to_end': {
                'before': round(mean_cost(self.before), 4),
                'after': round(mean_cost(after), 4),
            }
        }


class Objectives:
    """Objective of each stage of a recipe; the last one adapts the sharpness of the selection."""

    def __init__(
        self,
        recipe: Recipe,
        config: MappingConfig,
        generator: torch.Generator,
        device: torch.device,
    ) -> None:
        assert recipe.end_to_end is not None
        self.mapping, self.end_to_end = config, recipe.end_to_end
        self.generator = generator
        self.entropy = EntropyControl(recipe.end_to_end)
        self.pose_loss = training_loss(recipe.end_to_end, recipe.pose_loss).to(device)

    def state_dict(self) -> dict[str, Any]:
        """Return what is learned here, for a checkpoint."""
        return {'alpha': self.entropy.alpha, 'pose_loss': self.pose_loss.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what a checkpoint says."""
        self.entropy.alpha = state['alpha']
        self.pose_loss.load_state_dict(state['pose_loss'])

    def augmentation(self, stage: Stage) -> MappingConfig:
        """Settings of the augmentation: end-to-end only the light changes (DSAC*)."""
        if stage.objective != END_TO_END:
            return self.mapping
        return replace(self.mapping, max_zoom=1.0, max_rotation=0.0)

    def __call__(self, stage: Stage, points: Tensor, seen: Sample) -> LossTerms:
        """The loss of points (N, 3) in scene units for a sample's N patches."""
        if stage.objective != END_TO_END:
            return objective_terms(stage.objective, points, seen.patches)
        scene, world_from_camera = seen.to_metric(points, self.end_to_end.rgbd)
        found = expected_loss(
            scene,
            world_from_camera,
            self.end_to_end,
            self.entropy.alpha,
            self.generator,
            self.pose_loss,
        )
        if bool(found.found):
            self.entropy.observe(found.entropy_bits.item())
        return terms_of(found.loss[0], errors(points.detach(), seen.patches))


def shuffled(count: int, generator: torch.Generator) -> Iterator[int]:
    """Indices below `count`, all of them in a new order, again and again."""
    while True:
        yield from torch.randperm(count, generator=generator).tolist()


def descend(
    loss: Tensor,
    optimizer: torch.optim.Optimizer,
    scaler: torch.amp.GradScaler,
    max_gradient: float,
) -> None:
    """One step, along a gradient of bounded length; none where it is not a number."""
    optimizer.zero_grad(set_to_none=True)
    scaler.scale(loss).backward()
    scaler.unscale_(optimizer)
    parameters = [p for group in optimizer.param_groups for p in group['params']]
    if torch.nn.utils.clip_grad_norm_(parameters, max_gradient).isfinite():
        scaler.step(optimizer)
    scaler.update()
