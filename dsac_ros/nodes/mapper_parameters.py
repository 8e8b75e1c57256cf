# SPDX-License-Identifier: Apache-2.0
"""Parameters of dsac_mapper."""

from __future__ import annotations

from dataclasses import dataclass, fields

from dsac_ros.config import MappingConfig
from dsac_ros.errors import ConfigError
from dsac_ros.mapping.data.keyframes import KeyframeConfig
from dsac_ros.nodes.image_mask import BorderConfig
from dsac_ros.nodes.parameters import from_setting, parameter, settings_from

GATES = {field.name: field.name for field in fields(KeyframeConfig)}


@dataclass(frozen=True)
class MapperParameters:
    """Values of the parameters; the field defaults describe them."""

    dataset: str = parameter(
        'dataset',
        '',
        'folder for the recorded keyframes; an existing dataset is continued; '
        'empty: ~/.ros/dsac_ros/dataset-DATE',
    )
    record_on_start: bool = parameter(
        'dataset', False, 'start recording when the node is activated'
    )

    map: str = parameter(
        'training',
        '',
        'map file that ~/save writes; empty: the path of the dataset with the suffix .map',
    )
    train_on_stop: bool = parameter('training', False, 'call ~/save on every ~/stop')
    train_minutes: float = from_setting('training', MappingConfig, 'minutes')
    refine_poses: bool = from_setting('training', MappingConfig, 'refine_poses')
    trust_poses: bool = from_setting('training', MappingConfig, 'trust_poses')
    device: str = parameter('training', 'auto', 'device for training: auto, cpu, cuda, cuda:1')
    offer_map_to: str = parameter(
        'training',
        '',
        'relocalizer node on this machine whose parameter `map` is set to each new map, '
        '/dsac_relocalizer for example; empty: none',
    )

    image_transport: str = parameter(
        'input',
        'raw',
        'raw subscribes to `image`, compressed to `image/compressed`',
        choices=('raw', 'compressed'),
        read_only=True,
    )
    camera_frame: str = parameter(
        'input', '', 'optical frame of the camera; empty: frame_id of the image', read_only=True
    )
    camera_info_url: str = parameter(
        'input',
        '',
        'calibration file to use in place of camera_info, where a driver or bag has none: a path, '
        'file:// or package:// URL of the YAML that camera_calibration writes',
        read_only=True,
    )
    rectified: str = parameter(
        'input',
        'auto',
        'yes for rectified images: use P of camera_info instead of K and D; '
        'auto: yes if rect is a word of the image topic',
        choices=('auto', 'yes', 'no'),
        read_only=True,
    )
    input_timeout: float = parameter(
        'input',
        5.0,
        'time without images, camera_info or poses after which the node logs which '
        'input is missing, what is published instead and which argument selects it; 0: never',
        's',
        low=0.0,
        high=3600.0,
        read_only=True,
    )
    mask_path: str = parameter(
        'input',
        '',
        'PNG of the size of the images as they are received, white where pixels are used: leaves '
        'the body of the robot out of the map; empty: all',
        read_only=True,
    )
    exclude_border_px: int = from_setting(
        'input', BorderConfig, 'exclude_border_px', read_only=True
    )
    use_masks: bool = parameter(
        'input',
        False,
        'leave pixels out that are 0 in the image on `valid_mask` (mono8) with the same stamp, '
        'such as people and vehicles that a detector found; images without one are not recorded',
        read_only=True,
    )
    use_depth: bool = parameter(
        'input',
        False,
        'store `depth/image` (16UC1 mm or 32FC1 m, registered to the image) with each keyframe',
        read_only=True,
    )

    pose_source: str = parameter(
        'poses',
        'tf',
        'source of the keyframe poses: tf (map_frame -> camera), or the topic '
        '`pose` of type PoseStamped, PoseWithCovarianceStamped or Odometry',
        choices=('tf', 'pose', 'pose_with_covariance', 'odometry'),
        read_only=True,
    )
    map_frame: str = parameter('poses', 'map', 'reference frame of the poses', read_only=True)
    pose_frame: str = parameter(
        'poses',
        '',
        'frame whose pose is published on `pose`; empty: child_frame_id of an '
        'Odometry, otherwise the camera if it has no parent frame in TF; unused with pose_source '
        'tf',
        read_only=True,
    )
    odom_frame: str = parameter(
        'poses',
        'odom',
        'frame of the odometry in TF: what it says of each keyframe is stored in odom.tum, and '
        'map_frame -> odom_frame in map_odom.tum, so that poses can be recomputed; empty: not '
        'stored',
        read_only=True,
    )
    pose_timeout: float = parameter(
        'poses',
        0.5,
        'longest wait for the pose of an image; must exceed the period of the poses',
        's',
        low=0.0,
        high=10.0,
    )
    pose_max_gap: float = parameter(
        'poses', 0.5, 'longest gap between two poses that is interpolated', 's', low=0.0, high=60.0
    )

    min_translation: float = from_setting('keyframes', KeyframeConfig, 'min_translation')
    min_rotation_deg: float = from_setting('keyframes', KeyframeConfig, 'min_rotation_deg')
    max_rotation_rate: float = from_setting('keyframes', KeyframeConfig, 'max_rotation_rate')
    min_sharpness: float = from_setting('keyframes', KeyframeConfig, 'min_sharpness')
    max_pose_std_xy: float = from_setting('keyframes', KeyframeConfig, 'max_pose_std_xy')
    max_pose_std_yaw: float = from_setting('keyframes', KeyframeConfig, 'max_pose_std_yaw')
    max_tf_jump: float = from_setting('keyframes', KeyframeConfig, 'max_tf_jump')
    # The window is allocated when a recording starts.
    sharpness_window: int = from_setting(
        'keyframes', KeyframeConfig, 'sharpness_window', read_only=True
    )

    autostart: bool = parameter(
        'misc', True, 'configure and activate the node without a lifecycle manager', read_only=True
    )
    bond_heartbeat_period: float = parameter(
        'misc',
        0.0,
        'time between heartbeats for the lifecycle manager of nav2; 0: none, which needs its '
        'bond_timeout to be 0',
        's',
        low=0.0,
        high=10.0,
        read_only=True,
    )


def training_options(values: MapperParameters) -> list[str]:
    """Return the command line options of `dsac map`."""
    return [
        '--minutes',
        str(values.train_minutes),
        '--device',
        values.device,
        *(['--refine-poses'] if values.refine_poses else []),
        *(['--trust-poses'] if values.trust_poses else []),
    ]


def check(values: MapperParameters) -> None:
    """Raise ConfigError for values that contradict one another."""
    for name in ('max_pose_std_xy', 'max_pose_std_yaw'):
        if getattr(values, name) > 0.0 and values.pose_source == 'pose':
            raise ConfigError(
                f'{name} is {getattr(values, name):g}, and poses of pose_source pose have no '
                f'covariance: set {name} to 0, or use pose_source pose_with_covariance'
            )


def keyframe_config(values: MapperParameters) -> KeyframeConfig:
    """Return the settings of the keyframe selection."""
    return settings_from(values, KeyframeConfig, GATES)
