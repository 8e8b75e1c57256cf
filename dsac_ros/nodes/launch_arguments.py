# SPDX-License-Identifier: Apache-2.0
"""Arguments of the launch files: one table for all of them, and detection of misspelled ones.

Pure data: `launch_actions` makes actions of it, and tests read it without the launch library.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from dsac_ros.nodes.mapper_parameters import MapperParameters
from dsac_ros.nodes.parameters import NodeParameters, specs_of
from dsac_ros.nodes.relocalizer_parameters import RelocalizerParameters

MIN_SIMILARITY = 0.7


@dataclass(frozen=True)
class Argument:
    """An argument of a launch file; names are those of nav2_bringup where it has the same."""

    name: str
    default: str
    description: str


@dataclass(frozen=True)
class NodeLaunch:
    """One of our nodes as a launch file starts it.

    Attributes:
        executable: of `ros2 run dsac_ros`.
        name: of the node.
        config: file in config/ with its defaults.
        table: its parameters.
        parameters: those that are arguments; empty ones leave the value to params_file.
        topics: relative topic -> argument that remaps it.
    """

    executable: str
    name: str
    config: str
    table: type[NodeParameters]
    parameters: tuple[str, ...]
    topics: dict[str, str]

    def kind(self, parameter: str) -> type:
        """Return the type of a parameter."""
        return next(type(s.default) for s in specs_of(self.table) if s.name == parameter)

    def parameter_arguments(self, names: Iterable[str] = ()) -> list[Argument]:
        """Return the arguments that are parameters, described as `ros2 param describe` does.

        All of them, or those with the given names.
        """
        specs = {spec.name: spec for spec in specs_of(self.table)}
        return [
            Argument(name, '', f'{specs[name].text}; empty: as in params_file')
            for name in (names or self.parameters)
        ]

    def topic_arguments(self) -> list[Argument]:
        """Return the arguments that remap topics."""
        return [
            Argument(name, topic, f'topic that the node reads as `{topic}`')
            for topic, name in self.topics.items()
        ]


COMMON = (
    Argument('namespace', '', 'namespace of the node and its relative topics'),
    Argument('use_sim_time', 'false', 'take the time from /clock'),
    Argument('log_level', 'info', 'debug, info, warn, error or fatal'),
    Argument('use_respawn', 'false', 'start the node again when it ends'),
    Argument(
        'lifecycle_manager',
        'false',
        'start a nav2_lifecycle_manager with a bond for the node, which then does not start by '
        'itself',
    ),
    Argument('bond_timeout', '4.0', 'silence [s] after which the lifecycle manager gives up'),
)
#: Parameters of the camera that a driver or bag gets wrong, or does not tell.
CAMERA = ('camera_frame', 'camera_info_url', 'rectified', 'mask_path', 'exclude_border_px')
RELOCALIZER_CAMERA = (*CAMERA, 'rotate_180')
RELOCALIZER = NodeLaunch(
    'relocalizer_node',
    'dsac_relocalizer',
    'relocalizer.yaml',
    RelocalizerParameters,
    (
        'map',
        'device',
        'image_transport',
        *RELOCALIZER_CAMERA,
        'max_rate',
        'base_frame',
        'odom_frame',
        'map_frame',
        'tf_mode',
        'publish_initialpose',
        'autostart',
        'bond_heartbeat_period',
    ),
    {'image': 'image', 'camera_info': 'camera_info'},
)
MAPPER = NodeLaunch(
    'mapper_node',
    'dsac_mapper',
    'mapper.yaml',
    MapperParameters,
    (
        'dataset',
        'map',
        'record_on_start',
        'train_on_stop',
        'train_minutes',
        'pose_source',
        'image_transport',
        *CAMERA,
        'use_depth',
        'use_masks',
        'pose_frame',
        'map_frame',
        'autostart',
        'bond_heartbeat_period',
    ),
    {
        'image': 'image',
        'camera_info': 'camera_info',
        'depth/image': 'depth',
        'valid_mask': 'valid_mask',
        'pose': 'pose',
    },
)
#: Under a lifecycle manager: it configures and activates the node, and listens to its heartbeats.
MANAGED = {'autostart': False, 'bond_heartbeat_period': 0.25}

#: Arguments of nav2_bringup's bringup_launch.py that nav2_recovery.launch.py hands on.
NAV2 = (
    Argument('map', '', 'occupancy map of nav2, a YAML file'),
    Argument('params_file', '', 'parameters of nav2; empty: those of nav2_bringup'),
    Argument('slam', 'False', 'run slam_toolbox in place of AMCL'),
    Argument('use_localization', 'True', 'start AMCL or SLAM; False where one runs already'),
    Argument('autostart', 'true', 'let nav2 start by itself'),
    Argument('use_composition', 'True', 'run nav2 in one process'),
    Argument('use_respawn', 'False', 'start nodes again that end'),
    Argument('log_level', 'info', 'debug, info, warn, error or fatal'),
    Argument('use_sim_time', 'false', 'take the time from /clock'),
    Argument('namespace', '', 'namespace of all nodes'),
)
NAV2_RECOVERY = (
    Argument('visual_map', '', 'map that `dsac map` wrote; required'),
    Argument('image', 'image', 'image topic'),
    Argument('camera_info', 'camera_info', 'camera_info topic'),
    Argument('image_transport', 'raw', 'raw or compressed'),
    Argument('base_frame', 'base_link', 'frame of the robot, base_frame_id of the localizer'),
    Argument('device', 'auto', 'device of the network: auto, cpu, cuda'),
    Argument('relocalizer_params_file', '', 'parameters of dsac_relocalizer'),
    Argument(
        'behavior_tree', '', 'tree of NavigateToPose; empty: the one with visual relocalization'
    ),
    Argument('bond_timeout', '4.0', 'silence [s] after which the lifecycle manager gives up'),
    Argument('initialpose', 'initialpose', 'topic of the seeds; for an EKF its set_pose'),
    *RELOCALIZER.parameter_arguments(RELOCALIZER_CAMERA),
)
#: Parameters of dsac_relocalizer beside a localizer that holds map -> odom.
SEED_MODE = {'tf_mode': 'none', 'publish_initialpose': 'auto'}

#: Parameters of dsac_relocalizer in a replay: every image counts, and the covariance is that of
#: the map, without the floors for a robot, as `dsac evaluate` has it.
REPLAY = {
    'max_rate': 0.0,
    'max_image_age': 0.0,
    'std_xy': 0.001,
    'std_z': 0.001,
    'std_roll_pitch_deg': 0.01,
    'std_yaw_deg': 0.01,
}
EVALUATE_REPLAY = (
    Argument('bag', '', 'a rosbag2 with images, TF and poses; required'),
    Argument('map', '', 'map that `dsac map` wrote; required'),
    Argument('image', '', 'image topic of the bag; required'),
    Argument('camera_info', '', 'camera_info topic of the bag; required without camera_info_url'),
    Argument('image_transport', 'raw', 'raw or compressed'),
    Argument('base_frame', 'base_link', 'frame of the robot'),
    Argument('map_frame', 'map', 'frame of the poses, in the bag and of the map'),
    Argument('odom_frame', 'odom', 'frame of the odometry in the bag'),
    Argument('rate', '1.0', 'speed of the replay'),
    Argument('output', 'replay', 'folder for what the node answered, and its evaluation'),
    Argument('map_odom', 'drop', "what becomes of the bag's map -> odom: drop, rename or keep"),
    Argument('tf_mode', 'none', 'auto: the relocalizer holds map -> odom, as without AMCL'),
    Argument('device', 'auto', 'device of the network: auto, cpu, cuda'),
    Argument('player', 'auto', 'auto, rosbag2 (`ros2 bag play`) or dsac (`dsac play`)'),
    Argument('params_file', '', 'parameters of dsac_relocalizer; empty: its defaults'),
    Argument('poses', '', 'as --poses of `dsac evaluate`; empty: what the bag holds'),
    Argument('log_level', 'info', 'debug, info, warn, error or fatal'),
    *RELOCALIZER.parameter_arguments(RELOCALIZER_CAMERA),
)
#: Launch file -> its arguments.
LAUNCH_ARGUMENTS = {
    'relocalizer.launch.py': (
        *COMMON,
        Argument('rviz', 'false', 'start rviz2 with our configuration'),
        *RELOCALIZER.topic_arguments(),
        *RELOCALIZER.parameter_arguments(),
    ),
    'mapping.launch.py': (
        *COMMON,
        *MAPPER.topic_arguments(),
        *MAPPER.parameter_arguments(),
    ),
    'nav2_recovery.launch.py': (*NAV2, *NAV2_RECOVERY),
    'evaluate_replay.launch.py': EVALUATE_REPLAY,
}


def misspelled(words: Iterable[str], declared: Sequence[str]) -> list[str]:
    """Return a warning for each name:=value whose name resembles a declared argument.

    Other unknown names may belong to a launch file that includes this one.

    Args:
        words: the command line of `ros2 launch` after the file.
        declared: the arguments of the launch file.
    """
    names = [word.split(':=', 1)[0] for word in words if ':=' in word]
    close = {
        name: difflib.get_close_matches(name, declared, 1, MIN_SIMILARITY)
        for name in names
        if name not in declared
    }
    return [
        f'{name}:= is no argument of this launch file and has no effect: {match[0]}:= is one'
        for name, match in close.items()
        if match
    ]
