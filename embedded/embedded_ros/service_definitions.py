# SPDX-License-Identifier: Apache-2.0
"""The service types that nodes use, as the fields of request and response.

The interfaces are facts of ROS 2 (std_srvs, lifecycle_msgs, rcl_interfaces, nav2_msgs);
`rosbags` knows messages only, so they stand here. `---` separates request and response, as in a
.srv file.
"""

from __future__ import annotations

SERVICES: dict[str, str] = {
    'std_srvs/srv/Empty': '---',
    'std_srvs/srv/SetBool': """
        bool data
        ---
        bool success
        string message""",
    'std_srvs/srv/Trigger': """
        ---
        bool success
        string message""",
    'lifecycle_msgs/srv/ChangeState': """
        lifecycle_msgs/Transition transition
        ---
        bool success""",
    'lifecycle_msgs/srv/GetState': """
        ---
        lifecycle_msgs/State current_state""",
    'lifecycle_msgs/srv/GetAvailableStates': """
        ---
        lifecycle_msgs/State[] available_states""",
    'lifecycle_msgs/srv/GetAvailableTransitions': """
        ---
        lifecycle_msgs/TransitionDescription[] available_transitions""",
    'rcl_interfaces/srv/ListParameters': """
        uint64 DEPTH_RECURSIVE=0
        string[] prefixes
        uint64 depth
        ---
        rcl_interfaces/ListParametersResult result""",
    'rcl_interfaces/srv/GetParameters': """
        string[] names
        ---
        rcl_interfaces/ParameterValue[] values""",
    'rcl_interfaces/srv/GetParameterTypes': """
        string[] names
        ---
        uint8[] types""",
    'rcl_interfaces/srv/DescribeParameters': """
        string[] names
        ---
        rcl_interfaces/ParameterDescriptor[] descriptors""",
    'rcl_interfaces/srv/SetParameters': """
        rcl_interfaces/Parameter[] parameters
        ---
        rcl_interfaces/SetParametersResult[] results""",
    'rcl_interfaces/srv/SetParametersAtomically': """
        rcl_interfaces/Parameter[] parameters
        ---
        rcl_interfaces/SetParametersResult result""",
    'nav2_msgs/srv/LoadMap': """
        string map_url
        ---
        uint8 RESULT_SUCCESS=0
        uint8 RESULT_MAP_DOES_NOT_EXIST=1
        uint8 RESULT_INVALID_MAP_DATA=2
        uint8 RESULT_INVALID_MAP_METADATA=3
        uint8 RESULT_UNDEFINED_FAILURE=255
        nav_msgs/OccupancyGrid map
        uint8 result""",
}
