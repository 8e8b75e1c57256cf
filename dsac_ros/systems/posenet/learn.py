# SPDX-License-Identifier: Apache-2.0
"""Mapping by PoseNet: synthesise views, encode them, train the regression of their poses."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from dsac_ros.compute.device import choose_device
from dsac_ros.config import MappingConfig
from dsac_ros.map_container import StoredMap
from dsac_ros.map_file import OWN_ENCODER
from dsac_ros.mapping.data import dataset
from dsac_ros.mapping.data.dataset import Dataset
from dsac_ros.mapping.optim.checkpoint import Checkpoint, fingerprint
from dsac_ros.mapping.optim.progress import ProgressCallback, Stages
from dsac_ros.mapping.sfm.pose_refinement import refined
from dsac_ros.mapping.sfm.track_depth import with_depth
from dsac_ros.mapping.sfm.tracks import find_tracks
from dsac_ros.network.encoder import load_encoder
from dsac_ros.systems.mapping import finish, system_header
from dsac_ros.systems.posenet.config import PoseNetConfig
from dsac_ros.systems.posenet.left_out_region import far_estimates
from dsac_ros.systems.posenet.novelty import codes_of
from dsac_ros.systems.posenet.scene_points import (
    point_source,
    points_of_views,
    read_colmap_points,
    tracked,
)
from dsac_ros.systems.posenet.system import ENCODER, REFERENCES, REGRESSION
from dsac_ros.systems.posenet.training import PoseNet, new_regression, train_network
from dsac_ros.systems.posenet.view_bank import ENCODED, ViewBank, fill, network_camera
from dsac_ros.types import PosedFrame

REFERENCE_VIEWS = 1000  # whose codes a map keeps, at 1 kB each


def learn(
    frames: Iterable[PosedFrame],
    config: MappingConfig,
    own: PoseNetConfig,
    *,
    device: str,
    output: Path,
    total: int | None = None,
    map_frame: str = 'map',
    progress: ProgressCallback = lambda state: None,
    resume: bool = False,
) -> StoredMap:
    """Learn to regress the poses of a place; see `mapping.ace.learn_map`."""
    clock = Stages(progress)
    device = choose_device(device)
    data = dataset.prepare(frames, config, total, clock.stage, track=may_track(own))
    if config.refine_poses:
        data = refined(data, clock.stage('refining'))
    seen, points = with_points(data, config, own, clock)
    camera = network_camera(data, config.network_short_side)
    encoder, encoder_id = load_encoder()
    encoder.to(device)
    bank = fill(encoder, seen, points, camera, config, own, device, clock.stage('encoding'))
    focal = float(camera.matrix[0, 0])
    net = PoseNet(encoder, new_regression(bank, config, own), focal)
    checkpoint = Checkpoint(
        output.with_name(output.name + '.checkpoint'), fingerprint(data, config, own)
    )
    clock.stage('training')
    trained = train_network(net, bank, config, own, checkpoint, resume, progress)
    codes = codes_of_views(net, bank, len(data.views), own)
    further = far_estimates(
        net, bank, codes, data, config, own, clock.stage('leaving a region out')
    )
    header = {
        **system_header(data, config, own, output.stem, map_frame),
        'encoder_id': OWN_ENCODER if own.finetune_encoder else encoder_id,
        'network_focal_px': focal,
        'network_size_wh': list(camera.size_wh),
        'training': trained,
    }
    learned = finish(header, tensors_of(net, codes, own), data, output, device, clock, further)
    checkpoint.path.unlink(missing_ok=True)
    return learned


def may_track(own: PoseNetConfig) -> bool:
    """Return True if the points of the loss may come from tracks of features."""
    return own.loss == 'reprojection' and own.scene_points in ('auto', 'tracks')


def with_points(
    data: Dataset, config: MappingConfig, own: PoseNetConfig, clock: Stages
) -> tuple[Dataset, Sequence[np.ndarray]]:
    """Return the data, and the scene points of each view where the loss needs them.

    Views without measured depth get that of the tracks, if there are any, so that views can be
    synthesised from other places.
    """
    if own.loss != 'reprojection':
        return data, ()
    source = point_source(data, own)
    points = None
    if source == 'colmap':
        points = (read_colmap_points(Path(own.colmap_model)) - data.origin) / data.scale
    elif source == 'tracks':
        views = [view for view in data.views if view.features is not None]
        tracks = find_tracks(views, clock.stage('matching')).precise()
        points = tracked(views, tracks.points)
        data = replace(data, views=with_depth(data.views, views, tracks))
    return data, points_of_views(data, source, points, config.seed)


def codes_of_views(net: PoseNet, bank: ViewBank, count: int, own: PoseNetConfig) -> Tensor:
    """Return codes (V, D) of the mapping views, which are the first `count` of the bank."""
    encoder = net.encoder if own.finetune_encoder else None
    with torch.no_grad():
        return torch.cat(
            [
                codes_of(bank.batch(rows, encoder, own.grid).features)
                for rows in torch.arange(count, device=bank.source.device).split(ENCODED)
            ]
        )


def tensors_of(net: PoseNet, codes: Tensor, own: PoseNetConfig) -> dict[str, Tensor]:
    """Return the float16 tensors of a map: regression, codes of views, an encoder if tuned."""
    parts: dict[str, nn.Module] = {REGRESSION: net.regression}
    if own.finetune_encoder:
        parts[ENCODER] = net.encoder
    tensors = {
        beginning + name: value.detach().cpu().half().contiguous()
        for beginning, module in parts.items()
        for name, value in module.state_dict().items()
    }
    step = math.ceil(len(codes) / REFERENCE_VIEWS)
    return {**tensors, REFERENCES: codes[::step].cpu().half().contiguous()}
