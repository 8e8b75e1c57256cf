# SPDX-License-Identifier: Apache-2.0
"""From posed frames to a map: prepare, fill the buffer, train the head, measure, write."""
from __future__ import annotations

import hashlib
import logging
import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dsac_ros.alignment.landmarks import Picture
from dsac_ros.config import EndToEndConfig, MappingConfig, as_dict
from dsac_ros.device import choose_device
from dsac_ros.errors import MappingError
from dsac_ros.map_file import Map, save_map
from dsac_ros.mapping import buffer, dataset
from dsac_ros.mapping.clusters import cluster_centres
from dsac_ros.mapping.fine_tuning import Judge, fine_tune
from dsac_ros.mapping.held_out import measure
from dsac_ros.mapping.losses import LossConfig, LossTerms, Patches, curriculum_loss
from dsac_ros.mapping.pictures import choose_pictures
from dsac_ros.mapping.progress import Progress
from dsac_ros.mapping.schedule import Schedule, learning_rate
from dsac_ros.mapping.tracks import find_tracks, with_depth
from dsac_ros.network.encoder import load_encoder
from dsac_ros.network.head import Head, HeadConfig
from dsac_ros.network.scene_network import SceneNetwork
from dsac_ros.types import PosedFrame

log = logging.getLogger(__name__)

CHECKPOINT_SECONDS = 20.0
KEYFRAMES = 100
UPDATE_RATE = 0.2  # of the learning rate, when a map is updated


Report = Callable[[Progress], None]


def learn_map(frames: Iterable[PosedFrame], config: MappingConfig, *, device: str, output: Path,
              total: int | None = None, map_frame: str = 'map',
              progress: Report = lambda state: None, resume: bool = False,
              known: Map | None = None, end_to_end: EndToEndConfig | None = None) -> Map:
    """Learn a scene and write its map to `output`; nothing half-written stands under that name.

    device is auto, cpu or cuda; total is the number of frames, if known; map_frame names the frame
    of their poses. While it trains a checkpoint stands beside the output (`.checkpoint`), from
    which resume=True goes on; it is removed when the map is written. The same frames, seed and
    number of steps give the same map on the same machine. A map that is `known` goes on from what
    it knows: its head is the start, its pictures are learned again beside the new frames and stay.
    With end_to_end settings the head is fine-tuned through RANSAC at the end.
    Raises MappingError where the frames cannot be learned from.
    """
    clock = Stages(progress)
    device = choose_device(device)
    generator = torch.Generator().manual_seed(config.seed)
    data = dataset.prepare(frames, config, total, clock.stage('reading'),
                           (known.origin, known.header['scale']) if known else None)
    encoder, encoder_id = load_encoder()
    encoder.to(device)
    every = math.ceil(len(data.views) / most_tracked(config))
    tracked = data.views[::every]
    tracks = find_tracks(tracked, clock.stage('matching'))
    pictures = choose_pictures(tracked, tracks, data.scale, config.pictures_mb * 1e6, encoder,
                               device)
    views = list(data.views)
    views[::every] = with_depth(tracked, tracks)
    if known:
        views += rehearsal(known.pictures, data.scale, len(views))
        pictures = [*known.pictures, *pictures]
    patches = buffer.fill(encoder, views, config, generator, device, clock.stage('encoding'))
    if known:
        head = known.network.head.requires_grad_(True).to(device)
    else:
        head = new_head(encoder.config.descriptor, config, device)
        head.centres.copy_(cluster_centres(patches.descriptors, config.experts, generator))
    if known:  # smaller steps, so that what is not rehearsed is not lost either
        config = replace(config, learning_rate=UPDATE_RATE * config.learning_rate)
    checkpoint = Checkpoint(output.with_name(output.name + '.checkpoint'),
                            fingerprint(data, config, known))
    clock.stage('training')
    trained = train_head(head, patches, config, checkpoint, resume, progress)
    if end_to_end:
        judges = [dataset.normalised(view, data.origin, data.scale)
                  for view in map(dataset.ViewMaker(config), data.held_out)]
        trained['end_to_end'] = fine_tune(head, patches, Judge.of(encoder, judges, device),
                                          end_to_end, config.seed, clock.stage('fine-tuning'))
    del patches, views

    header = describe(data, config, encoder_id, output.stem, map_frame)
    header['training'] = trained
    if known:
        header['frames'] += known.header['frames']
        header['provenance']['updated'] = known.id
    network = SceneNetwork(encoder, head, data.scale)
    return finish(network, header, pictures, data, output, checkpoint, device, clock)


def finish(network: SceneNetwork, header: dict[str, Any], pictures: Sequence[Picture],
           data: dataset.Dataset, output: Path, checkpoint: Checkpoint, device: str,
           clock: Stages) -> Map:
    """Measure what was learned on the held-out block and write the map."""
    candidate = Map(header={**header, 'id': ''}, network=network.eval(), pictures=pictures)
    header |= measure(candidate, data.held_out, device, clock.stage('measuring'))
    header['provenance'] |= {'seconds': clock.total(), 'stages': clock.seconds(), 'device': device}
    learned = save_map(output, network, header, pictures)
    checkpoint.path.unlink(missing_ok=True)
    return learned


class Stages:
    """Seconds per stage of the mapping, and their progress passed on."""

    def __init__(self, progress: Report) -> None:
        self.progress = progress
        self.starts: list[tuple[str, float]] = [('start', time.monotonic())]

    def stage(self, name: str) -> Callable[[float], None]:
        """Begin a stage; the answer takes its share done."""
        self.starts.append((name, time.monotonic()))
        return lambda share: self.progress(Progress(name, share))

    def seconds(self) -> dict[str, float]:
        """Seconds of each stage begun so far."""
        ends = [*(when for _, when in self.starts[1:]), time.monotonic()]
        return {name: round(end - when, 1)
                for (name, when), end in zip(self.starts[1:], ends[1:])}

    def total(self) -> float:
        """Seconds since the start."""
        return round(time.monotonic() - self.starts[0][1], 1)


def new_head(descriptor: int, config: MappingConfig, device: str) -> Head:
    """A head that knows nothing; the same for the same seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)  # layers draw their first weights from the global generator
        return Head(descriptor, HeadConfig(config.width, config.blocks,
                                           config.experts)).to(device)


def rehearsal(pictures: Sequence[Picture], scale: float, count: int) -> list[dataset.View]:
    """The pictures as views, repeated up to about `count`: what is learned again is kept."""
    views = []
    for picture in pictures:
        scene_from_camera = np.linalg.inv(picture.camera_from_map)
        scene_from_camera[:3, 3] /= scale
        views.append(dataset.View(
            image=picture.image, mask=np.ones(picture.image.shape, bool), matrix=picture.matrix,
            scene_from_camera=scene_from_camera, depth=None))
    return views * max(1, round(count / max(1, len(views))))


def most_tracked(config: MappingConfig) -> int:
    """How many views points are tracked through: matching them must not eat up the time."""
    return int(min(400, max(60, 60 * config.minutes)))


@dataclass(frozen=True)
class Checkpoint:
    """Where an interrupted training stands; only usable for the same frames and settings."""

    path: Path
    fingerprint: str

    def save(self, state: dict[str, Any]) -> None:
        """Replace the checkpoint at once; a full disk costs the checkpoint, not the training."""
        partial = self.path.with_name(self.path.name + '.partial')
        try:
            torch.save({**state, 'fingerprint': self.fingerprint}, partial)
            partial.replace(self.path)
        except (OSError, RuntimeError) as error:
            partial.unlink(missing_ok=True)
            log.warning('no checkpoint was written: %s', error)

    def load(self, device: str) -> dict[str, Any]:
        """The state, or MappingError where there is none for these frames and settings."""
        if not self.path.exists():
            raise MappingError(f'no checkpoint {self.path} to resume from; run without --resume')
        state = torch.load(self.path, map_location=device, weights_only=True)
        if state['fingerprint'] != self.fingerprint:
            raise MappingError(f'{self.path} is of other frames or settings; repeat the command '
                               'that was interrupted, or run without --resume')
        return state


def fingerprint(data: dataset.Dataset, config: MappingConfig, known: Map | None) -> str:
    """Hash of what a training depends on; the time budget may change on resume."""
    digest = hashlib.sha256(repr(replace(config, minutes=1.0)).encode())
    digest.update((known.id if known else '').encode())
    for view in data.views:
        digest.update(np.round(view.scene_from_camera, 6).tobytes())
    return digest.hexdigest()[:16]


def train_head(head: Head, patches: buffer.FeatureBuffer, config: MappingConfig,
               checkpoint: Checkpoint, resume: bool, progress: Report) -> dict[str, Any]:
    """Train the head on shuffled patches; returns what the map's header says of it."""
    device = patches.descriptors.device
    generator = torch.Generator(device=device).manual_seed(config.seed)
    # a CPU learns most from many small steps, a GPU computes a large one in the same time
    batch = config.batch or (5120 if device.type == 'cuda' else 2048)
    peak = config.learning_rate * math.sqrt(batch / 5120)
    optimizer = torch.optim.AdamW(head.parameters(), peak, fused=True)
    scaler = torch.amp.GradScaler(device.type, enabled=device.type == 'cuda')
    schedule, step = Schedule(config), 0
    if resume:
        state = checkpoint.load(str(device))
        head.load_state_dict(state['head'])
        optimizer.load_state_dict(state['optimizer'])
        generator.manual_seed(config.seed + state['step'])
        step, schedule = state['step'], Schedule(config, state['seconds'])
    losses = LossConfig()
    terms, saved = None, time.monotonic()
    order, cursor = torch.randperm(len(patches), generator=generator, device=device), 0
    try:
        while (done := schedule.at(step)) < 1.0:
            if cursor + batch > len(order):
                order, cursor = torch.randperm(len(patches), generator=generator, device=device), 0
            chosen = order[cursor:cursor + batch]
            cursor += batch
            for group in optimizer.param_groups:
                group['lr'] = learning_rate(done, peak)
            terms = train_step(head, optimizer, scaler, *patches.batch(chosen), done, losses)
            step += 1
            if step % 10 == 0:
                schedule.observe(terms.near.item(), step)
                progress(training_state(schedule, terms))
            if time.monotonic() - saved > CHECKPOINT_SECONDS:
                save_state(checkpoint, head, optimizer, step, schedule)
                saved = time.monotonic()
    except KeyboardInterrupt:
        save_state(checkpoint, head, optimizer, step, schedule)
        raise
    require_finite(terms)
    return {'steps': step, 'seconds': round(schedule.seconds(), 1),
            'valid': round(terms.valid.item(), 4), 'near': round(terms.near.item(), 4),
            'stopped_early': schedule.cooling is not None}


def require_finite(terms: LossTerms | None) -> None:
    """Raise MappingError where a training ended in NaN, or never began."""
    if terms is None or not torch.isfinite(terms.total):
        raise MappingError('the training diverged; check that poses are camera-to-world in the '
                           'optical frame (x right, y down, z forward) and intrinsics in pixels')


def train_step(head: Head, optimizer: torch.optim.Optimizer, scaler: torch.amp.GradScaler,
               descriptors: torch.Tensor, patches: Patches, done: float,
               losses: LossConfig) -> LossTerms:
    """One gradient step; half precision in the layers where the device is fast at it."""
    device = descriptors.device.type
    with torch.autocast(device, torch.float16, enabled=device == 'cuda'):
        points, sigma = head(descriptors)
    terms = curriculum_loss(points, sigma, patches, done, losses)
    optimizer.zero_grad(set_to_none=True)
    scaler.scale(terms.total).backward()
    scaler.step(optimizer)
    scaler.update()
    return terms


def save_state(checkpoint: Checkpoint, head: Head, optimizer: torch.optim.Optimizer, step: int,
               schedule: Schedule) -> None:
    """Write what `train_head` resumes from."""
    checkpoint.save({'head': head.state_dict(), 'optimizer': optimizer.state_dict(), 'step': step,
                     'seconds': schedule.seconds()})


def training_state(schedule: Schedule, terms: LossTerms) -> Progress:
    """The progress to show: time left from the pace so far."""
    done = schedule.progress
    left = schedule.seconds() * (1 - done) / done if done > 0.01 else math.nan
    return Progress('training', done, left, terms.total.item(), terms.valid.item())


def describe(data: dataset.Dataset, config: MappingConfig, encoder_id: str,
             name: str, map_frame: str) -> dict[str, Any]:
    """The header of a map, but for what is measured after the training."""
    low, high = data.bounds
    return {
        'name': name,
        'map_frame': map_frame,
        'created': datetime.now(timezone.utc).isoformat(timespec='seconds'),
        'frames': len(data.views) + len(data.held_out),
        'origin': data.origin.tolist(),
        'bounds': {'min': low, 'max': high},
        'keyframes': keyframes(data),
        'recipe': config.recipe,
        'encoder_id': encoder_id,
        'short_side': config.short_side,
        'image_size_wh': list(data.camera.size_wh),
        'focal_px': float(data.camera.matrix[0, 0]),
        'provenance': {'torch': torch.__version__, 'config': as_dict(config),
                       'depth': any(view.depth is not None for view in data.views)},
    }


def keyframes(data: dataset.Dataset) -> list[list[float]]:
    """Up to KEYFRAMES views for a picture of the map: position [m], camera's down and ahead."""
    rows = []
    digits = 3 - math.floor(math.log10(data.scale))  # whatever the unit is
    for view in data.views[::math.ceil(len(data.views) / KEYFRAMES)]:
        pose = view.scene_from_camera
        position = np.round(data.origin + data.scale * pose[:3, 3], digits)
        rows.append([*position.tolist(), *np.round(pose[:3, 1:3].T.ravel(), 3).tolist()])
    return rows
