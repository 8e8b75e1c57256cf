# SPDX-License-Identifier: Apache-2.0
"""A whole network for one scene, stage by stage as DSAC++ and DSAC* do: no shared encoder."""
from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dsac_ros.config import MappingConfig
from dsac_ros.device import choose_device
from dsac_ros.errors import MappingError
from dsac_ros.geometry.resample import STRIDE, cell_centres
from dsac_ros.map_file import Map
from dsac_ros.mapping import dataset
from dsac_ros.mapping.buffer import augmented, patch_cells
from dsac_ros.mapping.dataset import View
from dsac_ros.mapping.losses import LossTerms, Patches
from dsac_ros.mapping.objectives import objective_terms
from dsac_ros.mapping.recipes import Recipe, find_recipe
from dsac_ros.mapping.schedule import Schedule, learning_rate
from dsac_ros.mapping.trainer import (
    CHECKPOINT_SECONDS,
    Checkpoint,
    Report,
    Stages,
    describe,
    fingerprint,
    finish,
    require_finite,
    training_state,
)
from dsac_ros.network.convolutional import WholeNetwork
from dsac_ros.types import PosedFrame


def learn_from_scratch(frames: Iterable[PosedFrame], config: MappingConfig, *, device: str,
                       output: Path, total: int | None = None, map_frame: str = 'map',
                       progress: Report = lambda state: None, resume: bool = False) -> Map:
    """Learn a scene by the recipe of the settings and write its map; see `trainer.learn_map`.

    Raises MappingError where the frames cannot be learned from, ConfigError for no such recipe.
    """
    recipe = find_recipe(config.recipe)
    clock = Stages(progress)
    device = choose_device(device)
    data = dataset.prepare(frames, config, total, clock.stage('reading'))
    if recipe.needs_depth and all(view.depth is None for view in data.views):
        raise MappingError(f'the recipe {recipe.name} starts from depth and no frame has any; use '
                           'frames with depth, or a recipe that does without, such as dsacpp')
    network = new_network(recipe.network, data, config.seed).to(device)
    checkpoint = Checkpoint(output.with_name(output.name + '.checkpoint'),
                            fingerprint(data, config, None))
    clock.stage('training')
    trained = train_network(network, data.views, recipe, config, checkpoint, resume, progress)
    header = describe(data, config, recipe.network, output.stem, map_frame)
    header['training'] = trained
    return finish(network, header, [], data, output, checkpoint, device, clock)


def new_network(name: str, data: dataset.Dataset, seed: int) -> WholeNetwork:
    """A network that sees the middle of the scene everywhere; the same for the same seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)  # layers draw their first weights from the global generator
        network = WholeNetwork(name, data.scale)
    middle = np.mean([centre_of_view(view) for view in data.views], axis=0)
    with torch.no_grad():
        network.head.point.bias.copy_(torch.from_numpy(middle))
    return network.to(memory_format=torch.channels_last)


def centre_of_view(view: View) -> np.ndarray:
    """The point (3,) straight ahead, in the median depth where it is measured, else at depth 1."""
    measured = () if view.depth is None else view.depth[view.depth > 0]
    depth = float(np.median(measured)) if len(measured) else 1.0
    return view.scene_from_camera[:3, 3] + depth * view.scene_from_camera[:3, 2]


@dataclass(frozen=True)
class Sample:
    """One augmented view on the training device.

    image (1, 1, H, W) in [0, 1], cells (N,) those that lie on the camera's image, and their
    patches (N).
    """

    image: torch.Tensor
    cells: torch.Tensor
    patches: Patches


def sample(view: View, device: torch.device, generator: torch.Generator) -> Sample:
    """All cells of a view, as the losses take them."""
    cells = patch_cells(view, view.image.size, generator)
    pixels = cell_centres((view.image.shape[1], view.image.shape[0]), STRIDE)[cells]
    u, v = pixels.round().astype(int).T
    depth = np.zeros(len(cells)) if view.depth is None else view.depth[v, u]
    pose = np.linalg.inv(view.scene_from_camera)
    count = len(cells)

    def tensor(values: np.ndarray, *shape: int) -> torch.Tensor:
        return torch.from_numpy(np.asarray(values)).float().to(device).expand(count, *shape)
    return Sample(
        image=torch.from_numpy(view.image).to(device)[None, None].float() / 255,
        cells=torch.from_numpy(cells).to(device),
        patches=Patches(
            pixels=tensor(pixels, 2), rotation=tensor(pose[:3, :3], 3, 3),
            translation=tensor(pose[:3, 3], 3), focal=tensor(view.matrix[0, 0]),
            principal=tensor(view.matrix[:2, 2], 2), depth=tensor(depth)))


def train_network(network: WholeNetwork, views: Sequence[View], recipe: Recipe,
                  config: MappingConfig, checkpoint: Checkpoint, resume: bool,
                  progress: Report) -> dict[str, Any]:
    """Train the network, one augmented image a step; returns what the map's header says of it."""
    device = network.head.point.weight.device
    optimizer = torch.optim.Adam(network.parameters(), config.learning_rate, fused=True)
    scaler = torch.amp.GradScaler(device.type, enabled=device.type == 'cuda')
    schedule, step = Schedule(config), 0
    if resume:
        state = checkpoint.load(str(device))
        network.load_state_dict(state['network'])
        optimizer.load_state_dict(state['optimizer'])
        step, schedule = state['step'], Schedule(config, state['seconds'])
    generator = torch.Generator().manual_seed(config.seed + step)
    order, terms, saved = shuffled(len(views), generator), None, time.monotonic()

    def save() -> None:
        checkpoint.save({'network': network.state_dict(), 'optimizer': optimizer.state_dict(),
                         'step': step, 'seconds': schedule.seconds()})
    try:
        while (done := schedule.at(step)) < 1.0:
            stage, share = recipe.stage_at(done)
            for group in optimizer.param_groups:
                group['lr'] = learning_rate(share, stage.rate * config.learning_rate)
            view = augmented(views[next(order)], config, generator)
            terms = train_step(network, optimizer, scaler, sample(view, device, generator),
                               stage.objective)
            step += 1
            if step % 10 == 0:
                progress(training_state(schedule, terms))
            if time.monotonic() - saved > CHECKPOINT_SECONDS:
                save()
                saved = time.monotonic()
    except KeyboardInterrupt:
        save()
        raise
    require_finite(terms)
    return {'steps': step, 'seconds': round(schedule.seconds(), 1),
            'valid': round(terms.valid.item(), 4), 'near': round(terms.near.item(), 4)}


def shuffled(count: int, generator: torch.Generator) -> Iterator[int]:
    """Indices below `count`, all of them in a new order, again and again."""
    while True:
        yield from torch.randperm(count, generator=generator).tolist()


def train_step(network: WholeNetwork, optimizer: torch.optim.Optimizer,
               scaler: torch.amp.GradScaler, seen: Sample, objective: str) -> LossTerms:
    """One gradient step on one image; in half precision on a GPU."""
    device = seen.image.device.type
    with torch.autocast(device, torch.float16, enabled=device == 'cuda'):
        units, _ = network.head(network.encoder(seen.image).permute(0, 2, 3, 1))
    terms = objective_terms(objective, units[0].flatten(0, 1)[seen.cells], seen.patches)
    optimizer.zero_grad(set_to_none=True)
    scaler.scale(terms.total).backward()
    scaler.step(optimizer)
    scaler.update()
    return terms
