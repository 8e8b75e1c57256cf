# SPDX-License-Identifier: Apache-2.0
"""Our RIHS01 hashes against those that rosidl generated for ROS 2 Jazzy.

The expected values were read from `share/<package>/<kind>/<Type>.json` of a Jazzy built from
source (REP 2016).
"""
import json
import os
from pathlib import Path

import pytest

from dsac_ros.embedded.packages import own_type_names
from dsac_ros.embedded.typestore import message_folder, type_hash

JAZZY = {
    'std_msgs/msg/String':
        'RIHS01_df668c740482bbd48fb39d76a70dfd4bd59db1288021743503259e948f6b1a18',
    'std_msgs/msg/Empty':
        'RIHS01_20b625256f32d5dbc0d04fee44f43c41e51c70d3502f84b4a08e7a9c26a96312',
    'std_msgs/msg/Char':
        'RIHS01_3ad2d04dd29ba19d04b16659afa3ccaedd691914b02a64e82e252f2fa6a586a9',
    'sensor_msgs/msg/Image':
        'RIHS01_d31d41a9a4c4bc8eae9be757b0beed306564f7526c88ea6a4588fb9582527d47',
    'sensor_msgs/msg/CameraInfo':
        'RIHS01_b3dfd68ff46c9d56c80fd3bd4ed22c7a4ddce8c8348f2f59c299e73118e7e275',
    'geometry_msgs/msg/PoseWithCovarianceStamped':
        'RIHS01_26432f9803e43727d3c8f668d1fdb3c630f548af631e2f4e31382371bfea3b6e',
    'tf2_msgs/msg/TFMessage':
        'RIHS01_e369d0f05a23ae52508854b66f6aa0437f3449d652e8cbf22d5abe85d020f087',
    'diagnostic_msgs/msg/DiagnosticArray':
        'RIHS01_5a8a36efb05fb25070fa0fb3810290c0e6cd4862b54a8fb975a1ee8dc55a333e',
    'rcl_interfaces/msg/ParameterEvent':
        'RIHS01_043e627780fcad87a22d225bc2a037361dba713fca6a6b9f4b869a5aa0393204',
    'rmw_dds_common/msg/ParticipantEntitiesInfo':
        'RIHS01_91a0593bacdcc50ea9bdcf849a938b128412cc1ea821245c663bcd26f83c295e',
    'std_srvs/srv/Trigger_Request':
        'RIHS01_d010825374ce8918e72bfd826c82603e60f45419e932ea976f807b74a863a199',
    'std_srvs/srv/SetBool_Response':
        'RIHS01_d0814e7f7b4880ab77e9c57426c7aa1562ab69f11eef8e2e968812f9cbd0b059',
    'lifecycle_msgs/srv/ChangeState_Request':
        'RIHS01_d74c6f524e14cade7b67e7297190360ed749264af300524fc1456f27cc2a553a',
    'rcl_interfaces/srv/SetParameters_Request':
        'RIHS01_130d46386b7e84ea9ecf60608a4d83cbe5e5cb7c6cc5b712b7a4e3a6c254e932',
}


# Read from a colcon build of this package; a change of msg/*.msg needs a new build to read from.
OURS = {
    'dsac_ros/msg/MapInfo':
        'RIHS01_0d92b69841678b2f9b0fb327b1a40e23da0ab522ef14519b22ab4c392decab54',
    'dsac_ros/msg/MappingStatus':
        'RIHS01_3b5c3f0d9ab2ade9526002f0145ba92a5a73e8b1ee91cdacb50c78f7d88d4eea',
    'dsac_ros/msg/PosedFrame':
        'RIHS01_801652bf0e86be1c8101e4e8018ec06df22d1be0de1042e0b2d37a8a6a1000f1',
    'dsac_ros/msg/RelocalizationStatus':
        'RIHS01_f8e5e19705a7c32034121f64a65bf489d8a2c2e83f11da8b8c59d3b78f308c08',
}


@pytest.mark.parametrize('type_name', sorted({**JAZZY, **OURS}))
def test_hash_is_that_of_ros(type_name):
    assert type_hash(type_name) == {**JAZZY, **OURS}[type_name]


@pytest.mark.ros
def test_hash_is_that_of_the_installed_package():
    found = [Path(prefix, 'share/dsac_ros/msg') for prefix in
             os.environ.get('AMENT_PREFIX_PATH', '').split(os.pathsep) if prefix]
    described = [json.loads(file.read_text()) for folder in found for file in
                 folder.glob('*.json')]
    hashes = {entry['type_name']: entry['hash_string'] for description in described
              for entry in description['type_hashes']}
    assert {name: type_hash(name) for name in OURS} == {name: hashes[name] for name in OURS}


def test_our_own_messages_are_those_of_the_msg_folder():
    stems = sorted(path.stem for path in message_folder().glob('*.msg'))
    assert own_type_names() == sorted(OURS) == [f'dsac_ros/msg/{stem}' for stem in stems]


def test_our_own_messages_can_be_imported():
    import dsac_ros.msg
    for type_name in OURS:
        message = getattr(dsac_ros.msg, type_name.split('/')[2])()
        assert message.header.frame_id == ''
