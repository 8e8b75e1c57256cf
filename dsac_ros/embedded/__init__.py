# SPDX-License-Identifier: Apache-2.0
"""A ROS 2 node without ROS: the part of the rclpy family that ordinary nodes use, over DDS.

`install()` puts the modules below into `sys.modules` when `rclpy` cannot be imported; the nodes
then `import rclpy` as ever. What leaves the machine is what a ROS 2 node sends: a robot with
ROS 2 on the same network and domain sees the topics, services, parameters and lifecycle.

How a ROS node speaks DDS, from the wire upwards:

1. `typestore.py`: a message type is a list of fields. `rosbags` turns values into CDR bytes and
   back and hashes the type (RIHS01); our own msg/*.msg files join its ROS 2 Jazzy types.
2. `messages.py`, `packages.py`: the Python classes, `std_msgs.msg.String` and its family.
3. `dds/cdr_type.py`: Cyclone DDS gets the genuine type description (so that any DDS program
   matches) but passes our bytes through untouched: a 640x480 image costs no Python loop.
4. `dds/qos.py`: a QoSProfile is a DDS QoS, plus the user data `typehash=RIHS01_...;`.
5. `dds/participant.py`: one DomainParticipant for all nodes of a process. ONE thread with a
   WaitSet takes what arrives and hands it on (DDS listeners would run on DDS' own threads, need
   the GIL there and crash an interpreter that is about to end).
6. Names (`dds/names.py`): topic /a/b is the DDS topic `rt/a/b`; service /s is two topics,
   `rq/sRequest` and `rr/sReply`, whose samples carry a client id and a sequence number in front
   of the body (`dds/service_header.py`).
7. `dds/graph.py`: the latched topic `ros_discovery_info` says which node owns which reader and
   writer; that is all `ros2 node list` needs. Who else is there comes from DDS discovery itself.
8. `rclpy/`: executors, callback groups, nodes, parameters, time, lifecycle: one module per
   rclpy module, the same names and the same behaviour. `tf2_ros/`, `tf_transformations/`,
   `cv_bridge/`, `sensor_msgs_py/` stand beside it.

Environment: `ROS_DOMAIN_ID`, `ROS_LOCALHOST_ONLY=1` or `ROS_AUTOMATIC_DISCOVERY_RANGE=LOCALHOST`
(loopback only), `CYCLONEDDS_URI` (replaces our settings, see `dds/configuration.py`).

What is not offered: actions, message_filters, the composition of nodes, security enclaves. Nodes
of another DDS vendor (rmw_fastrtps) exchange topics with these; services need rmw_cyclonedds on
the other side, because each vendor's rmw maps a service to DDS in its own way.
"""
from __future__ import annotations

from dsac_ros.embedded.installation import install, is_installed, is_needed

__all__ = ['install', 'is_installed', 'is_needed']
