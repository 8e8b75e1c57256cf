# SPDX-License-Identifier: Apache-2.0
"""Settings of the recipes posenet, posenet_learned and posenet_reprojection."""

from __future__ import annotations

from dataclasses import dataclass

from dsac_ros.config import setting
from dsac_ros.geometry.distances import DISTANCES
from dsac_ros.geometry.representations import REPRESENTATIONS

LOSSES = ('weighted', 'learned', 'reprojection')
POINT_SOURCES = ('auto', 'depth', 'tracks', 'colmap')


@dataclass(frozen=True)
class PoseNetConfig:
    """Loss, regression head, and the views that it learns from."""

    loss: str = setting(
        'learned',
        'weighted: |x| + beta d(q) (2015); learned: both weights are learned (2017); '
        'reprojection: of scene points, after a start with learned weights (2017)',
        choices=LOSSES,
    )
    pretraining: float = setting(
        0.6,
        "share of the training with learned weights, before 'reprojection'; without it that "
        'does not converge',
        low=0.0,
        high=0.95,
    )
    rotation_weight: float = setting(
        3.0,
        "beta of 'weighted': position counts in units of the scene's depth / 2.5",
        unit='m per unit of distance',
        low=0.0,
    )
    rotation_distance: str = setting(
        'quaternion', 'rotation error of the losses', choices=tuple(DISTANCES)
    )
    representation: str = setting(
        'gram_schmidt', 'output of the network for a rotation', choices=tuple(REPRESENTATIONS)
    )
    grid: int = setting(7, 'descriptors are averaged in grid x grid parts of the image', low=1)
    channels: int = setting(32, 'channels that each part is reduced to', low=1)
    hidden: int = setting(256, 'channels of the hidden layers', low=8)
    layers: int = setting(2, 'hidden layers', low=1, high=8)
    dropout: float = setting(0.5, 'share of hidden channels that are left out', low=0.0, high=0.95)
    reach: float = setting(
        0.4,
        "largest displacement of a synthesised view, as a share of the scene's depth; only from "
        'frames with depth',
        low=0.0,
        high=2.0,
    )
    scene_points: str = setting(
        'auto',
        "points of 'reprojection': measured depth, tracks of features, or a COLMAP model; auto: "
        'the model if one is named, else depth where frames have it, else tracks',
        choices=POINT_SOURCES,
    )
    colmap_model: str = setting(
        '', 'folder with points3D.bin or points3D.txt of a COLMAP model in the frame of the poses'
    )
    finetune_encoder: bool = setting(
        False, 'train the encoder as well at the end; it is then stored in the map (2 MB)'
    )
    finetune_share: float = setting(
        0.2, 'share of the steps in which the encoder is trained', low=0.01, high=1.0
    )
    finetune_rate: float = setting(1e-4, 'peak learning rate of the encoder', low=1e-9)
    samples: int = setting(
        32, 'network outputs under dropout, whose spread is the covariance', low=2
    )
