# SPDX-License-Identifier: Apache-2.0
"""From posed frames to a map: prepare, fill the buffer, train the head, measure, write."""
from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from dsac_ros.alignment.landmarks import Picture
from dsac_ros.alignment.point_map import PointMap
from dsac_ros.config import EndToEndConfig, MappingConfig
from dsac_ros.device import choose_device
from dsac_ros.errors import MappingError
from dsac_ros.geometry.resample import network_resamplers
from dsac_ros.map_file import OWN_ENCODER, Map, save_map
from dsac_ros.mapping import buffer, dataset
from dsac_ros.mapping.checkpoint import Checkpoint, fingerprint
from dsac_ros.mapping.clusters import cluster_centres
from dsac_ros.mapping.encoder_tuning import make_learner
from dsac_ros.mapping.fine_tuning import fine_tune
from dsac_ros.mapping.focal_agreement import focal_error
from dsac_ros.mapping.head_training import new_head, train_head
from dsac_ros.mapping.header import describe
from dsac_ros.mapping.held_out import measure
from dsac_ros.mapping.matching import match
from dsac_ros.mapping.parallel import in_parallel
from dsac_ros.mapping.pictures import as_view, choose_pictures, coded
from dsac_ros.mapping.point_selection import point_map
from dsac_ros.mapping.pose_refinement import refined
from dsac_ros.mapping.progress import Report, Stages
from dsac_ros.mapping.track_depth import with_depth
from dsac_ros.mapping.tracks import MAX_ERROR_PX, linked
from dsac_ros.network.encoder import load_encoder
from dsac_ros.network.scene_network import SceneNetwork
from dsac_ros.types import PosedFrame

log = logging.getLogger(__name__)

UPDATE_RATE = 0.2  # of the learning rate, when a map is updated


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
    With end_to_end settings the head, or head and encoder, is fine-tuned through RANSAC at the
    end.
    Raises MappingError where the frames cannot be learned from.
    """
    clock = Stages(progress)
    device = choose_device(device)
    if known:
        config = replace(config, short_side=known.header['short_side'])
        map_frame = known.header['map_frame']
        if not known.pictures:
            log.warning('the map has no pictures to learn again, what it knows may be forgotten')
    generator = torch.Generator().manual_seed(config.seed)
    data = dataset.prepare(frames, config, total, clock.stage,
                           (known.origin, known.header['scale']) if known else None)
    if end_to_end and end_to_end.rgbd and all(view.depth is None for view in data.views):
        raise MappingError('rgbd=true trains for queries with depth and no frame has any; leave '
                           'it out, or use frames with depth')
    if config.refine_poses:
        data = refined(data, clock.stage('refining'))
    if known:
        encoder, encoder_id = known.network.encoder, known.header['encoder_id']
    else:
        encoder, encoder_id = load_encoder()
    encoder.to(device)
    tracked = [view for view in data.views if view.features is not None]
    kept = list(known.pictures) if known else []
    rehearsed = [as_view(picture, data.scale) for picture in kept]
    # held-out views come last: what is measured on them must not know them, the map may
    held = [view for view in data.held_out if view.features is not None]
    every_view = [*tracked, *rehearsed, *held]
    matches = match(every_view, MAX_ERROR_PX, clock.stage('matching'))
    tracks, every_track = in_parallel(
        lambda some: linked(every_view, some),
        (matches.of_first(len(tracked) + len(rehearsed)), matches))
    precise = tracks.precise()
    pictures = choose_pictures([*tracked, *rehearsed], precise, data.scale,
                               config.pictures_mb * 1e6, kept)
    points, every_point = (
        point_map(found, data.scale, config.points, known.points if known else None)
        for found in (tracks, every_track))
    views = list(data.views)
    if not (end_to_end and end_to_end.rgbd):  # there depth is what a sensor says
        views = with_depth(views, tracked, precise)
    if kept:  # what is learned again is kept
        views += rehearsed * max(1, round(len(views) / len(kept)))
    focal = (known.header['network_focal_px'] if known
             else dataset.network_focal(data, config.network_short_side))
    resamplers = network_resamplers(focal, config.short_side)
    data_seen = dataset.network_data(replace(data, views=views), resamplers)
    patches = buffer.fill(encoder, data_seen.views, config, generator, device,
                          clock.stage('encoding'))
    if known:
        head = known.network.head.requires_grad_(True).to(device)
        # smaller steps, so that what is not rehearsed is not lost either
        config = replace(config, learning_rate=UPDATE_RATE * config.learning_rate)
    else:
        head = new_head(encoder.config.descriptor, config, device)
        head.centres.copy_(cluster_centres(patches.descriptors, config.experts, generator))
    checkpoint = Checkpoint(output.with_name(output.name + '.checkpoint'),
                            fingerprint(data, config, known and known.id))
    clock.stage('training')
    trained = train_head(head, patches, config, checkpoint, resume, progress)
    network = SceneNetwork(encoder, head, data.scale)
    if end_to_end:
        learner = make_learner(network, patches, data_seen, config, end_to_end, device)
        told = fine_tune(learner, end_to_end, config.seed, clock.stage('fine-tuning'))
        trained['end_to_end'] = told
        if end_to_end.finetune_encoder and told['kept_step']:
            encoder_id = OWN_ENCODER
    del patches, views, data_seen
    pictures = coded(pictures, encoder, resamplers, device)

    header = describe(data, config, encoder_id, output.stem, map_frame, focal, known)
    header['training'] = trained
    return finish(network, header, pictures, data, output, checkpoint, device, clock, known,
                  points, every_point, focal_error([*tracked, *rehearsed], tracks))


def finish(network: SceneNetwork, header: dict[str, Any], pictures: Sequence[Picture],
           data: dataset.Dataset, output: Path, checkpoint: Checkpoint, device: str,
           clock: Stages, known: Map | None = None, points: PointMap | None = None,
           every_point: PointMap | None = None, focal_off: float = 0.0) -> Map:
    """Measure what was learned on the held-out block and write the map.

    It is measured with `points`, and written with those that held-out views saw as well. focal_off
    is the relative error of the frames' focal lengths.
    """
    candidate = Map(header={**header, 'id': ''}, network=network.eval(), pictures=pictures,
                    points=points)
    learned, held_out = ([dataset.as_posed_frame(view, data.origin, data.scale) for view in views]
                         for views in (data.views, data.held_out))
    header |= measure(candidate, learned, held_out, device, clock.stage('measuring'), known)
    before = header['calibration'].get('focal_error', 0.0)
    header['calibration'] = {**header['calibration'], 'focal_error': max(before, focal_off)}
    header['provenance'] |= {'seconds': clock.total(), 'stages': clock.seconds(), 'device': device}
    written = save_map(output, network, header, pictures, every_point)
    checkpoint.path.unlink(missing_ok=True)
    return written
