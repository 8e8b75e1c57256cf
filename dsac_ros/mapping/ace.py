# SPDX-License-Identifier: Apache-2.0
"""Mapping with the shared encoder: prepare, reconstruct, train the head, validate, write."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from dsac_ros.compute.device import choose_device
from dsac_ros.config import EndToEndConfig, MappingConfig
from dsac_ros.errors import MappingError
from dsac_ros.geometry.resample import Resamplers, network_resamplers
from dsac_ros.map_file import OWN_ENCODER, Map, save_map
from dsac_ros.mapping.acceptance.validation import validate
from dsac_ros.mapping.clusters import cluster_centres
from dsac_ros.mapping.data import buffer, dataset
from dsac_ros.mapping.data.dataset import Dataset
from dsac_ros.mapping.data.view import View
from dsac_ros.mapping.encoder_tuning import make_learner
from dsac_ros.mapping.end_to_end import fine_tune
from dsac_ros.mapping.head_training import new_head, train_head
from dsac_ros.mapping.header import make_header
from dsac_ros.mapping.optim.checkpoint import Checkpoint, fingerprint
from dsac_ros.mapping.optim.progress import ProgressCallback, Stages
from dsac_ros.mapping.sfm.pose_refinement import refined
from dsac_ros.mapping.sfm.reconstruction import MapParts, reconstruct
from dsac_ros.mapping.sfm.reference_selection import with_global_descriptors
from dsac_ros.mapping.twins import twin_views
from dsac_ros.network.encoder import Encoder, load_encoder
from dsac_ros.network.head import Head
from dsac_ros.network.scene_network import SceneNetwork
from dsac_ros.types import PosedFrame

log = logging.getLogger(__name__)

UPDATE_RATE = 0.2  # of the learning rate, when a map is updated


def learn_map(
    frames: Iterable[PosedFrame],
    config: MappingConfig,
    *,
    device: str,
    output: Path,
    total: int | None = None,
    map_frame: str = 'map',
    progress: ProgressCallback = lambda state: None,
    resume: bool = False,
    base_map: Map | None = None,
    end_to_end: EndToEndConfig | None = None,
) -> Map:
    """Learn a scene and write its map to `output`; nothing half-written stands under that name.

    While it trains, a checkpoint stands beside the output (`.checkpoint`); it is removed when the
    map is written. The same frames, seed and number of steps give the same map on one machine.

    Args:
        frames: posed frames of the scene.
        config: settings of the mapping.
        device: auto, cpu or cuda.
        output: path of the map.
        total: number of frames, if known.
        map_frame: name of the frame that the poses are in.
        progress: called with the state of the training.
        resume: continue from the checkpoint.
        base_map: map to update: its head is the start, its reference images are learned again
            beside the new frames and stay.
        end_to_end: settings to fine-tune the head, or head and encoder, through RANSAC at the end.

    Raises:
        MappingError: if the frames cannot be learned from.
    """
    clock = Stages(progress)
    device = choose_device(device)
    if base_map:
        # smaller steps, so that what is not learned again is not lost
        config = replace(
            config,
            short_side=base_map.header['short_side'],
            learning_rate=UPDATE_RATE * config.learning_rate,
        )
        map_frame = base_map.header['map_frame']
        if not base_map.reference_images:
            log.warning(
                'the map has no reference images to learn again, what it knows may be forgotten'
            )
    rgbd = bool(end_to_end and end_to_end.rgbd)
    data = prepared(frames, config, total, base_map, rgbd, clock)
    structure = reconstruct(data, config, base_map, clock.stage('matching'))
    checkpoint = Checkpoint(
        output.with_name(output.name + '.checkpoint'),
        fingerprint(data, config, base_map and base_map.id),
    )
    trained = train_network(
        data,
        structure.mapping_views(data, measured_depth_only=rgbd),
        config,
        base_map,
        end_to_end,
        checkpoint=checkpoint,
        resume=resume,
        device=device,
        clock=clock,
        progress=progress,
    )
    header = make_header(
        data, config, trained.encoder_id, output.stem, map_frame, trained.focal_px, base_map
    )
    header['training'] = trained.report
    candidate, complete = (
        map_of(parts, trained, header, device) for parts in (structure.measured, structure.parts)
    )
    header |= validated(
        candidate, data, device, clock, base_map, structure.left_out, written=complete
    )
    before = header['acceptance'].get('focal_error', 0.0)
    header['acceptance'] = {
        **header['acceptance'],
        'focal_error': max(before, structure.focal_error),
    }
    header['twin_views'] = twin_views(complete.points, data.scale)
    if header['twin_views']:
        log.warning(
            '%d views show places that stand in the map twice, such as rooms that look the same: '
            'their images are AMBIGUOUS unless a guess, odometry or a localizer tells which',
            len(header['twin_views']),
        )
    return write(replace(complete, header=header), output, checkpoint, device, clock)


def prepared(
    frames: Iterable[PosedFrame],
    config: MappingConfig,
    total: int | None,
    base_map: Map | None,
    rgbd: bool,
    clock: Stages,
) -> Dataset:
    """Read the frames in the units of the scene, with poses refined where settings say so."""
    units = (base_map.origin, base_map.header['scale']) if base_map else None
    data = dataset.prepare(frames, config, total, clock.stage, units)
    if rgbd and all(view.depth is None for view in data.views):
        raise MappingError(
            'rgbd=true trains for queries with depth and no frame has any; leave '
            'it out, or use frames with depth'
        )
    return refined(data, clock.stage('refining')) if config.refine_poses else data


@dataclass(frozen=True)
class TrainedNetwork:
    """A trained scene network.

    resamplers make the images that it sees, at focal_px pixels per radian; report is what the
    header of the map says of the training.
    """

    network: SceneNetwork
    encoder_id: str
    resamplers: Resamplers
    focal_px: float
    report: dict[str, Any]


def train_network(
    data: Dataset,
    views: Sequence[View],
    config: MappingConfig,
    base_map: Map | None,
    end_to_end: EndToEndConfig | None,
    *,
    checkpoint: Checkpoint,
    resume: bool,
    device: str,
    clock: Stages,
    progress: ProgressCallback,
) -> TrainedNetwork:
    """Encode the views, train the head on their patches, and fine-tune where settings say so."""
    generator = torch.Generator().manual_seed(config.seed)
    encoder: nn.Module
    head: nn.Module
    if base_map:
        encoder, encoder_id = base_map.network.encoder, base_map.header['encoder_id']
        focal_px = base_map.header['network_focal_px']
    else:
        encoder, encoder_id = load_encoder()
        focal_px = dataset.network_focal(data, config.network_short_side)
    assert isinstance(encoder, Encoder)
    encoder.to(device)
    resamplers = network_resamplers(focal_px, config.short_side)
    seen = dataset.network_data(replace(data, views=list(views)), resamplers)
    patches = buffer.fill(encoder, seen.views, config, generator, device, clock.stage('encoding'))
    if base_map:
        head = base_map.network.head.requires_grad_(True).to(device)
        assert isinstance(head, Head)
    else:
        head = new_head(encoder.config.descriptor, config, device)
        head.centres.copy_(cluster_centres(patches.descriptors, config.experts, generator))
    clock.stage('training')
    report = train_head(head, patches, config, checkpoint, resume, progress)
    network = SceneNetwork(encoder, head, data.scale)
    if end_to_end:
        learner = make_learner(network, patches, seen, config, end_to_end, device)
        tuned = fine_tune(learner, end_to_end, config.seed, clock.stage('fine-tuning'))
        report['end_to_end'] = tuned
        if end_to_end.finetune_encoder and tuned['kept_step']:
            encoder_id = OWN_ENCODER
    return TrainedNetwork(network, encoder_id, resamplers, focal_px, report)


def map_of(parts: MapParts, trained: TrainedNetwork, header: dict[str, Any], device: str) -> Map:
    """Return the map of a trained network and these parts, which has no id yet."""
    references = with_global_descriptors(
        parts.references, trained.network.encoder, trained.resamplers, device
    )
    return Map(
        {**header, 'id': ''},
        trained.network.eval(),
        reference_images=references,
        points=parts.points,
    )


def validated(
    candidate: Map,
    data: Dataset,
    device: str,
    clock: Stages,
    base_map: Map | None = None,
    left_out: Sequence[View] = (),
    written: Map | None = None,
) -> dict[str, Any]:
    """Validate a map on views of its data: see `validation.validate`."""
    learned, held_out, others = (
        [dataset.as_posed_frame(view, data.origin, data.scale) for view in views]
        for views in (data.views, data.held_out, left_out)
    )
    return validate(
        candidate, learned, held_out, device, clock.stage('measuring'), base_map, others, written
    )


def write(learned: Map, output: Path, checkpoint: Checkpoint, device: str, clock: Stages) -> Map:
    """Write a map with its provenance, and remove the checkpoint."""
    learned.header['provenance'] |= {
        'seconds': clock.total(),
        'stages': clock.seconds(),
        'device': device,
    }
    written = save_map(
        output, learned.network, learned.header, learned.reference_images, learned.points
    )
    checkpoint.path.unlink(missing_ok=True)
    return written
