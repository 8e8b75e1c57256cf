# SPDX-License-Identifier: Apache-2.0
"""The parameters of dsac_mapper."""
from __future__ import annotations

from dataclasses import fields, replace
from types import SimpleNamespace

from dsac_ros.config import MappingConfig
from dsac_ros.mapping.keyframes import KeyframeConfig
from dsac_ros.nodes.parameters import Spec, from_setting, settings_from

GATES = {field.name: field.name for field in fields(KeyframeConfig)}

MAPPER = (
    Spec('dataset', 'dataset', '', 'folder of the recorded keyframes; one that holds some is '
         'continued; empty: ~/.ros/dsac_ros/dataset-DATE'),
    Spec('dataset', 'record_on_start', False, 'record as soon as the node is active'),

    Spec('training', 'map', '', 'map file that ~/save learns; empty: the name of the dataset '
         'with .map'),
    Spec('training', 'train_on_stop', False, '~/stop also does what ~/save does'),
    from_setting('training', MappingConfig, 'minutes', 'train_minutes'),
    from_setting('training', MappingConfig, 'refine_poses'),
    from_setting('training', MappingConfig, 'trust_poses'),
    Spec('training', 'device', 'auto', 'where the training runs: auto, cpu, cuda, cuda:1'),

    Spec('input', 'image_transport', 'raw', 'raw subscribes to `image`, compressed to '
         '`image/compressed`', choices=('raw', 'compressed'), read_only=True),
    Spec('input', 'camera_frame', '', 'optical frame of the camera; empty: frame_id of the image',
         read_only=True),
    Spec('input', 'rectified', 'auto', 'whether images are rectified, so that P of camera_info '
         'holds and not K and D; auto: when rect is a word of the image topic',
         choices=('auto', 'yes', 'no'), read_only=True),
    Spec('input', 'input_timeout', 5.0, 'without images, camera_info or poses for this long the '
         'node says what it waits for, who publishes what and which argument fits; 0: never', 's',
         low=0.0, high=3600.0, read_only=True),
    Spec('input', 'use_depth', False, 'store `depth/image` (16UC1 mm or 32FC1 m, registered to '
         'the image) beside each keyframe', read_only=True),

    Spec('poses', 'pose_source', 'tf', 'where the pose of a keyframe comes from: tf (map_frame -> '
         'camera), or a topic `pose` of type PoseStamped, PoseWithCovarianceStamped or Odometry',
         choices=('tf', 'pose', 'pose_with_covariance', 'odometry'), read_only=True),
    Spec('poses', 'map_frame', 'map', 'frame in which poses are given', read_only=True),
    Spec('poses', 'pose_frame', '', 'frame whose pose the topic `pose` gives; empty: '
         'child_frame_id of an Odometry, otherwise the camera where TF has no frame that carries '
         'it; without meaning for pose_source tf', read_only=True),
    Spec('poses', 'pose_timeout', 0.5, 'how long an image waits for its pose; longer than the '
         'time between two poses', 's', low=0.0, high=10.0),
    Spec('poses', 'pose_max_gap', 0.5, 'a pose is interpolated between two that are at most this '
         'far apart', 's', low=0.0, high=60.0),

    # The window of the sharpness is as long as the recording has begun it.
    *(replace(spec, read_only=spec.name == 'sharpness_window') for spec in (
        from_setting('keyframes', KeyframeConfig, field) for field in GATES)),

    Spec('misc', 'autostart', True, 'configure and activate without a lifecycle manager',
         read_only=True),
)


def training_options(values: SimpleNamespace) -> list[str]:
    """The options of `dsac map`."""
    return ['--minutes', str(values.train_minutes), '--device', values.device,
            *(['--refine-poses'] if values.refine_poses else []),
            *(['--trust-poses'] if values.trust_poses else [])]


def keyframe_config(values: SimpleNamespace) -> KeyframeConfig:
    """The gates' settings."""
    return settings_from(values, KeyframeConfig, GATES)
