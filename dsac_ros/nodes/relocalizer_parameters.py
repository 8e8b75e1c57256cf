# SPDX-License-Identifier: Apache-2.0
"""Parameters of dsac_relocalizer."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

from dsac_ros.compute.device import PRECISIONS
from dsac_ros.config import AcceptConfig, CorrectionConfig, MapSetConfig, RansacConfig
from dsac_ros.nodes.image_mask import BorderConfig
from dsac_ros.nodes.parameters import from_setting, parameter, settings_from
from dsac_ros.recovery.config import RecoveryConfig, SeedConfig

RANSAC = {
    'hypotheses': 'num_hypotheses',
    'inlier_px': 'inlier_threshold_px',
    'refine_iterations': 'refine_iterations',
    'max_reprojection_px': 'max_reprojection_px',
    'seed': 'seed',
}
ACCEPT = {
    name: name
    for name in (
        'min_visible_inlier_ratio',
        'min_feature_inliers',
        'min_inlier_ratio',
        'min_inliers',
        'min_spread',
        'min_agreement',
        'max_position_sigma',
        'max_latency_ms',
        'max_focal_error',
    )
}
MAP_SET = {
    'maps': 'map_set_maps',
    'margin': 'map_set_margin',
    'ensemble': 'map_set_ensemble',
    'memory_mb': 'map_set_memory_mb',
}
RECOVERY = {field.name: field.name for field in fields(RecoveryConfig)}
SEED = {field.name: field.name for field in fields(SeedConfig)}
CORRECTION = {
    name: name
    for name in (
        'smoothing_tau',
        'max_jump',
        'jump_confirmations',
        'jump_agreement',
        'max_correction_rate',
        'viewpoint_change_xy',
        'viewpoint_change_yaw',
    )
}


@dataclass(frozen=True)
class RelocalizerParameters:
    """Values of the parameters; the field defaults describe them."""

    map: str = parameter(
        'map',
        '',
        'map or map set written by `dsac map`: a path, file:// or package:// URL; a new one is '
        'loaded in the background, and the old one is kept if that fails',
    )
    map_alignment: list[float] = parameter(
        'map',
        [0.0] * 6,
        'pose of the learned scene in the map frame: x, y, z [m], roll, pitch, yaw [rad]',
    )
    map_set_maps: int = from_setting('map', MapSetConfig, 'maps', read_only=True)
    map_set_margin: float = from_setting('map', MapSetConfig, 'margin', read_only=True)
    map_set_ensemble: bool = from_setting('map', MapSetConfig, 'ensemble', read_only=True)
    map_set_memory_mb: float = from_setting('map', MapSetConfig, 'memory_mb', read_only=True)

    device: str = parameter(
        'compute', 'auto', 'device for the network: auto, cpu, cuda, cuda:1', read_only=True
    )
    precision: str = parameter(
        'compute',
        'auto',
        'number format of the network and of descriptors: auto is fp16 on a GPU, bf16 on a CPU '
        'that multiplies it, else fp32; fp32 for results that do not differ between machines',
        choices=tuple(PRECISIONS),
        read_only=True,
    )
    warmup: bool = parameter(
        'compute', True, 'process one synthetic image before the first real one', read_only=True
    )
    num_hypotheses: int = from_setting('compute', RansacConfig, 'hypotheses')
    inlier_threshold_px: float = from_setting('compute', RansacConfig, 'inlier_px')
    refine_iterations: int = from_setting('compute', RansacConfig, 'refine_iterations')
    max_reprojection_px: float = from_setting('compute', RansacConfig, 'max_reprojection_px')
    seed: int = from_setting('compute', RansacConfig, 'seed')

    image_transport: str = parameter(
        'input',
        'raw',
        'raw subscribes to `image`, compressed to `image/compressed`',
        choices=('raw', 'compressed'),
        read_only=True,
    )
    max_rate: float = parameter(
        'input',
        5.0,
        'maximum rate of processed images, of all cameras together; 0: unlimited',
        'Hz',
        low=0.0,
        high=1000.0,
    )
    max_image_age: float = parameter(
        'input',
        1.0,
        'maximum age of an image; older ones are rejected as STALE; 0: unlimited',
        's',
        low=0.0,
    )
    cameras: list[str] = parameter(
        'input',
        [''],
        'names of several cameras, each with its own NAME/image and NAME/camera_info, which need '
        'not be synchronised; empty: one camera on `image`',
        read_only=True,
    )
    camera_frame: str = parameter(
        'input',
        '',
        'optical frame of the camera, {name} for its name in cameras; empty: frame_id of the '
        'image',
        read_only=True,
    )
    camera_info_url: str = parameter(
        'input',
        '',
        'calibration file to use in place of camera_info, where a driver or bag has none: a path, '
        'file:// or package:// URL of the YAML that camera_calibration writes; {name} for the '
        'name in cameras',
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
        'time without images or camera_info after which the node logs which input '
        'is missing, what is published instead and which argument selects it; 0: never',
        's',
        low=0.0,
        high=3600.0,
        read_only=True,
    )
    mask_path: str = parameter(
        'input',
        '',
        'PNG of the size of the images as they are received, white where pixels are used, such as '
        'around the body of the robot; {name} for the name in cameras; empty: all',
        read_only=True,
    )
    exclude_border_px: int = from_setting(
        'input', BorderConfig, 'exclude_border_px', read_only=True
    )
    rotate_180: bool = parameter(
        'input', False, 'rotate images by 180 deg, for a camera mounted upside down'
    )

    map_frame: str = parameter('frames', 'map', 'reference frame of the poses', read_only=True)
    odom_frame: str = parameter('frames', 'odom', 'odometry frame', read_only=True)
    base_frame: str = parameter(
        'frames', 'base_link', 'robot base frame; empty: the camera frame', read_only=True
    )

    tf_mode: str = parameter(
        'tf',
        'auto',
        'transform to publish in addition to pose_tf_child: map_odom, map_base, '
        'none, or auto: map_odom if odometry is available and no other node publishes a parent '
        'of odom_frame',
        choices=('auto', 'map_odom', 'map_base', 'none'),
        read_only=True,
    )
    pose_tf_child: str = parameter(
        'tf',
        'dsac_base_link',
        'child frame of a transform published for every accepted pose; empty: off',
        read_only=True,
    )
    tf_rate: float = parameter(
        'tf', 20.0, 'rate of map -> odom', 'Hz', low=0.1, high=200.0, read_only=True
    )
    transform_tolerance: float = parameter(
        'tf', 0.3, 'time by which map -> odom is stamped into the future', 's', low=0.0, high=10.0
    )
    tf_lookup_timeout: float = parameter(
        'tf',
        0.5,
        'longest wait of a localized image for the transform from the camera to base_frame at its '
        'stamp',
        's',
        low=0.0,
        high=5.0,
    )
    odometry_timeout: float = parameter(
        'tf',
        0.5,
        'longest wait of an accepted pose for odometry (odom_frame to base_frame) at the stamp of '
        'its image; the node continues meanwhile',
        's',
        low=0.0,
        high=5.0,
    )
    odometry_max_gap: float = parameter(
        'tf',
        1.0,
        'largest distance of the two samples of odometry between which it is interpolated',
        's',
        low=0.01,
        high=10.0,
    )
    two_d_mode: bool = parameter(
        'tf', True, 'restrict map -> odom and map -> base to x, y and yaw'
    )
    tf_conflict: str = parameter(
        'tf',
        'refuse',
        'reaction if another node publishes the transform of tf_mode map_odom or '
        'map_base: refuse stops publishing it, warn continues',
        choices=('refuse', 'warn'),
        read_only=True,
    )

    smoothing_tau: float = from_setting('own mode', CorrectionConfig, 'smoothing_tau')
    max_jump: float = from_setting('own mode', CorrectionConfig, 'max_jump')
    jump_confirmations: int = from_setting('own mode', CorrectionConfig, 'jump_confirmations')
    jump_agreement: float = from_setting('own mode', CorrectionConfig, 'jump_agreement')
    max_correction_rate: float = from_setting('own mode', CorrectionConfig, 'max_correction_rate')

    min_visible_inlier_ratio: float = from_setting(
        'accept', AcceptConfig, 'min_visible_inlier_ratio'
    )
    min_feature_inliers: int = from_setting('accept', AcceptConfig, 'min_feature_inliers')
    min_inlier_ratio: float = from_setting('accept', AcceptConfig, 'min_inlier_ratio')
    min_inliers: int = from_setting('accept', AcceptConfig, 'min_inliers')
    min_spread: float = from_setting('accept', AcceptConfig, 'min_spread')
    min_agreement: float = from_setting('accept', AcceptConfig, 'min_agreement')
    max_position_sigma: float = from_setting('accept', AcceptConfig, 'max_position_sigma')
    max_latency_ms: float = from_setting('accept', AcceptConfig, 'max_latency_ms')
    max_focal_error: float = from_setting('accept', AcceptConfig, 'max_focal_error')

    covariance_mode: str = parameter(
        'covariance',
        'calibrated',
        'calibrated: that of the refinement, widened as fitted for the map; gauss_newton: that of '
        'the refinement alone, too small for real errors; constant: the std_ values',
        choices=('calibrated', 'gauss_newton', 'constant'),
    )
    covariance_scale: float = parameter(
        'covariance',
        1.0,
        'factor on the calibrated covariance, or on that of gauss_newton',
        low=0.01,
        high=1e4,
    )
    std_xy: float = parameter(
        'covariance', 0.05, 'minimum standard deviation of x and y', 'm', low=0.0
    )
    std_z: float = parameter('covariance', 0.05, 'minimum standard deviation of z', 'm', low=0.0)
    std_roll_pitch_deg: float = parameter(
        'covariance', 1.0, 'minimum standard deviation of roll and pitch', 'deg', low=0.0
    )
    std_yaw_deg: float = parameter(
        'covariance', 1.0, 'minimum standard deviation of yaw', 'deg', low=0.0
    )

    publish_initialpose: str = parameter(
        'recovery',
        'on_request',
        'seed the localizer of the robot on `initialpose`: on_request of a service, an action or '
        'a trigger topic; auto: also where fixes agree that it is lost; or never',
        choices=('on_request', 'auto', 'never'),
    )
    min_agreeing_fixes: int = from_setting('recovery', RecoveryConfig, 'min_agreeing_fixes')
    recent_fixes: int = from_setting('recovery', RecoveryConfig, 'recent_fixes')
    evidence_time: float = from_setting('recovery', RecoveryConfig, 'evidence_time')
    consistency_xy: float = from_setting('recovery', RecoveryConfig, 'consistency_xy')
    consistency_yaw: float = from_setting('recovery', RecoveryConfig, 'consistency_yaw')
    viewpoint_change_xy: float = from_setting('recovery', RecoveryConfig, 'viewpoint_change_xy')
    viewpoint_change_yaw: float = from_setting('recovery', RecoveryConfig, 'viewpoint_change_yaw')
    kidnap_xy: float = from_setting('recovery', RecoveryConfig, 'kidnap_xy')
    kidnap_yaw: float = from_setting('recovery', RecoveryConfig, 'kidnap_yaw')
    localizer_timeout: float = from_setting('recovery', RecoveryConfig, 'localizer_timeout')
    localization_timeout: float = from_setting('recovery', RecoveryConfig, 'localization_timeout')
    settle_time: float = from_setting('recovery', RecoveryConfig, 'settle_time')
    max_attempts: int = from_setting('recovery', RecoveryConfig, 'max_attempts')
    min_seconds_between_attempts: float = from_setting(
        'recovery', RecoveryConfig, 'min_seconds_between_attempts'
    )
    require_stopped: bool = from_setting('recovery', RecoveryConfig, 'require_stopped')
    give_up_time: float = from_setting('recovery', RecoveryConfig, 'give_up_time')
    seed_std_scale: float = from_setting('recovery', SeedConfig, 'seed_std_scale')
    seed_min_std_xy: float = from_setting('recovery', SeedConfig, 'seed_min_std_xy')
    seed_min_std_yaw: float = from_setting('recovery', SeedConfig, 'seed_min_std_yaw')
    seed_max_std_xy: float = from_setting('recovery', SeedConfig, 'seed_max_std_xy')
    seed_max_std_yaw: float = from_setting('recovery', SeedConfig, 'seed_max_std_yaw')
    relocalize_timeout: float = parameter(
        'recovery',
        10.0,
        'longest time in which `~/trigger_relocalization` and the trigger topics expect a '
        'verified pose',
        's',
        low=0.1,
        high=3600.0,
    )
    reinitialize_timeout: float = parameter(
        'recovery',
        30.0,
        'the same of `~/reinitialize_global_localization`; longer than the server_timeout of the '
        'behaviour tree, which takes any answer for success',
        's',
        low=0.1,
        high=3600.0,
    )

    debug_rate: float = parameter(
        'misc',
        2.0,
        'maximum rate of debug images and point clouds, which are published only '
        'while subscribed to',
        'Hz',
        low=0.1,
        high=100.0,
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


def ransac_config(values: RelocalizerParameters) -> RansacConfig:
    """Return the settings of the pose estimation."""
    return settings_from(values, RansacConfig, RANSAC)


def accept_config(values: RelocalizerParameters) -> AcceptConfig:
    """Return the settings of the acceptance of poses.

    The recovery knows where the robot is expected, and asks for twins itself.
    """
    return replace(settings_from(values, AcceptConfig, ACCEPT), refuse_twins=False)


def map_set_config(values: RelocalizerParameters) -> MapSetConfig:
    """Return the settings of queries in a map set."""
    return settings_from(values, MapSetConfig, MAP_SET)


def recovery_config(values: RelocalizerParameters) -> RecoveryConfig:
    """Return the settings of the recovery."""
    return settings_from(values, RecoveryConfig, RECOVERY)


def seed_config(values: RelocalizerParameters) -> SeedConfig:
    """Return the settings of seeds."""
    return settings_from(values, SeedConfig, SEED)


def correction_config(values: RelocalizerParameters) -> CorrectionConfig:
    """Return the settings of map -> odom in own mode."""
    return settings_from(values, CorrectionConfig, CORRECTION)
