# SPDX-License-Identifier: Apache-2.0
"""The parameters of dsac_relocalizer."""
from __future__ import annotations

from types import SimpleNamespace

from dsac_ros.config import AcceptConfig, RansacConfig
from dsac_ros.nodes.parameters import Spec, from_setting, settings_from

RANSAC = {'hypotheses': 'num_hypotheses', 'inlier_px': 'inlier_threshold_px',
          'refine_iterations': 'refine_iterations', 'max_reprojection_px': 'max_reprojection_px',
          'seed': 'seed'}
ACCEPT = {name: name for name in ('min_visible_inlier_ratio', 'min_feature_inliers',
                                  'min_inlier_ratio', 'min_inliers', 'min_spread', 'min_agreement',
                                  'max_position_sigma', 'max_latency_ms', 'max_focal_error')}

RELOCALIZER = (
    Spec('map', 'map', '', 'map file that `dsac map` wrote; setting it loads the new map first '
         'and keeps the old one when that fails'),
    Spec('map', 'map_alignment', [0.0] * 6, 'pose of the learned scene in the map frame: x, y, z '
         '[m], roll, pitch, yaw [rad]'),

    Spec('compute', 'device', 'auto', 'where the network runs: auto, cpu, cuda, cuda:1',
         read_only=True),
    Spec('compute', 'warmup', True, 'run one blank image through everything before the first '
         'real one', read_only=True),
    *(from_setting('compute', RansacConfig, field, name) for field, name in RANSAC.items()),

    Spec('input', 'image_transport', 'raw', 'raw subscribes to `image`, compressed to '
         '`image/compressed`', choices=('raw', 'compressed'), read_only=True),
    Spec('input', 'max_rate', 5.0, 'most images processed per second; 0: as many as possible',
         'Hz', low=0.0, high=1000.0),
    Spec('input', 'max_image_age', 1.0, 'older images are refused as STALE; 0: any age', 's',
         low=0.0),
    Spec('input', 'camera_frame', '', 'optical frame of the camera; empty: frame_id of the image',
         read_only=True),
    Spec('input', 'rectified', 'auto', 'whether images are rectified, so that P of camera_info '
         'holds and not K and D; auto: when rect is a word of the image topic',
         choices=('auto', 'yes', 'no'), read_only=True),
    Spec('input', 'input_timeout', 5.0, 'without images, camera_info or poses for this long the '
         'node says what it waits for, who publishes what and which argument fits; 0: never', 's',
         low=0.0, high=3600.0, read_only=True),
    Spec('input', 'rotate_180', False, 'the camera hangs upside down: turn images before use'),

    Spec('frames', 'map_frame', 'map', 'frame in which poses are given', read_only=True),
    Spec('frames', 'odom_frame', 'odom', 'frame of the odometry', read_only=True),
    Spec('frames', 'base_frame', 'base_link', 'frame of the robot; empty: the camera itself',
         read_only=True),

    Spec('tf', 'tf_mode', 'auto', 'what is published beside pose_tf_child: map_odom, map_base, '
         'none, or auto: map_odom when there is odometry and nobody else gives odom a parent',
         choices=('auto', 'map_odom', 'map_base', 'none'), read_only=True),
    Spec('tf', 'pose_tf_child', 'dsac_base_link', 'leaf frame that shows every accepted pose in '
         'TF; empty: off', read_only=True),
    Spec('tf', 'tf_rate', 20.0, 'rate of map -> odom', 'Hz', low=0.1, high=200.0,
         read_only=True),
    Spec('tf', 'transform_tolerance', 0.3, 'how far map -> odom is stamped into the future', 's',
         low=0.0, high=10.0),
    Spec('tf', 'tf_lookup_timeout', 0.1, 'how long to wait for a transform at the stamp of the '
         'image', 's', low=0.0, high=5.0),
    Spec('tf', 'two_d_mode', True, 'keep only x, y and yaw of map -> odom and map -> base'),
    Spec('tf', 'tf_conflict', 'refuse', 'when another node gives the same transform as tf_mode '
         'map_odom or map_base asks for: refuse stops ours, warn goes on beside it',
         choices=('refuse', 'warn'), read_only=True),

    *(from_setting('accept', AcceptConfig, field) for field in ACCEPT),

    Spec('covariance', 'covariance_mode', 'calibrated', 'calibrated: from the image, with the '
         "map's own calibration; constant: the std_ values", choices=('calibrated', 'constant')),
    Spec('covariance', 'covariance_scale', 1.0, 'factor on the calibrated covariance', low=0.01,
         high=1e4),
    Spec('covariance', 'std_xy', 0.05, 'least standard deviation of x and y', 'm', low=0.0),
    Spec('covariance', 'std_z', 0.05, 'least standard deviation of z', 'm', low=0.0),
    Spec('covariance', 'std_roll_pitch_deg', 1.0, 'least standard deviation of roll and pitch',
         'deg', low=0.0),
    Spec('covariance', 'std_yaw_deg', 1.0, 'least standard deviation of yaw', 'deg', low=0.0),

    Spec('misc', 'localization_timeout', 5.0, '`~/localized` becomes false this long after the '
         'last accepted image', 's', low=0.1),
    Spec('misc', 'debug_rate', 2.0, 'most debug images and point clouds per second, published '
         'only to subscribers', 'Hz', low=0.1, high=100.0),
    Spec('misc', 'autostart', True, 'configure and activate without a lifecycle manager',
         read_only=True),
)


def ransac_config(values: SimpleNamespace) -> RansacConfig:
    """The estimator's settings."""
    return settings_from(values, RansacConfig, RANSAC)


def accept_config(values: SimpleNamespace) -> AcceptConfig:
    """The acceptance's settings."""
    return settings_from(values, AcceptConfig, ACCEPT)
