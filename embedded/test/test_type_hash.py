# SPDX-License-Identifier: Apache-2.0
"""RIHS01 hashes of the embedded runtime against those that rosidl generated for ROS 2 Jazzy.

The expected values were read from `share/<package>/<kind>/<Type>.json` of a Jazzy built from
source (REP 2016).
"""

import pytest

from embedded_ros.typestore import type_hash

JAZZY = {
    'std_msgs/msg/String': 'RIHS01_df668c740482bbd48fb39d76a70dfd4bd59db1288021743503259e948f6b1a18',
    'std_msgs/msg/Empty': 'RIHS01_20b625256f32d5dbc0d04fee44f43c41e51c70d3502f84b4a08e7a9c26a96312',
    'std_msgs/msg/Char': 'RIHS01_3ad2d04dd29ba19d04b16659afa3ccaedd691914b02a64e82e252f2fa6a586a9',
    'sensor_msgs/msg/Image': 'RIHS01_d31d41a9a4c4bc8eae9be757b0beed306564f7526c88ea6a4588fb9582527d47',
    'sensor_msgs/msg/CameraInfo': 'RIHS01_b3dfd68ff46c9d56c80fd3bd4ed22c7a4ddce8c8348f2f59c299e73118e7e275',
    'geometry_msgs/msg/PoseWithCovarianceStamped': 'RIHS01_26432f9803e43727d3c8f668d1fdb3c630f548af631e2f4e31382371bfea3b6e',
    'tf2_msgs/msg/TFMessage': 'RIHS01_e369d0f05a23ae52508854b66f6aa0437f3449d652e8cbf22d5abe85d020f087',
    'diagnostic_msgs/msg/DiagnosticArray': 'RIHS01_5a8a36efb05fb25070fa0fb3810290c0e6cd4862b54a8fb975a1ee8dc55a333e',
    'rcl_interfaces/msg/ParameterEvent': 'RIHS01_043e627780fcad87a22d225bc2a037361dba713fca6a6b9f4b869a5aa0393204',
    'rmw_dds_common/msg/ParticipantEntitiesInfo': 'RIHS01_91a0593bacdcc50ea9bdcf849a938b128412cc1ea821245c663bcd26f83c295e',
    'std_srvs/srv/Trigger_Request': 'RIHS01_d010825374ce8918e72bfd826c82603e60f45419e932ea976f807b74a863a199',
    'std_srvs/srv/SetBool_Response': 'RIHS01_d0814e7f7b4880ab77e9c57426c7aa1562ab69f11eef8e2e968812f9cbd0b059',
    'lifecycle_msgs/srv/ChangeState_Request': 'RIHS01_d74c6f524e14cade7b67e7297190360ed749264af300524fc1456f27cc2a553a',
    'rcl_interfaces/srv/SetParameters_Request': 'RIHS01_130d46386b7e84ea9ecf60608a4d83cbe5e5cb7c6cc5b712b7a4e3a6c254e932',
    'nav2_msgs/srv/LoadMap_Request': 'RIHS01_31a494b051e07df8361b6af3c313a550abe7134e158835ce3563e5a126ef3f2b',
    'nav2_msgs/srv/LoadMap_Response': 'RIHS01_65d8d760c5a0a14cee1a761372ad99d0b163e6d5400a0c55c20fe8d7e38a05c0',
}


@pytest.mark.parametrize('type_name', sorted(JAZZY))
def test_hash_is_that_of_ros(type_name):
    assert type_hash(type_name) == JAZZY[type_name]
