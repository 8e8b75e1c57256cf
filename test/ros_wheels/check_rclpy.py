# SPDX-License-Identifier: Apache-2.0
"""In the environment: rclpy is the one of the wheels, over Fast DDS, with our messages.

embedded_ros stands in for an rclpy that cannot be imported: the tests would run on the wrong one.
"""

import sys

from embedded_ros import install

if install():
    sys.exit('rclpy of the wheels cannot be imported')
import rclpy.utilities
import tf2_msgs.msg

import dsac_ros.msg

rmw = rclpy.utilities.get_rmw_implementation_identifier()
if rmw != 'rmw_fastrtps_cpp':
    sys.exit(f'rclpy uses {rmw}, not rmw_fastrtps_cpp')
for module in (dsac_ros.msg.MapInfo, tf2_msgs.msg.TFMessage):
    module()
print(f'== tests on rclpy, {rmw}')
