# SPDX-License-Identifier: Apache-2.0
"""ROS 2 modules for machines without ROS: the part of rclpy and its family that nodes use.

`install()` offers those of the modules below that cannot be imported here; programs then
`import rclpy` as ever. What leaves the machine is what a ROS 2 node sends: a robot with ROS 2 on
the same network and domain sees the topics, services, parameters and lifecycle.

How a ROS node speaks DDS, from the wire upwards:

1. `typestore.py`: a message type is a list of fields. `rosbags` turns values into CDR bytes and
   back and hashes the type (RIHS01); registered .msg files join its ROS 2 Jazzy types.
2. `messages.py`, `packages.py`: the Python classes, `std_msgs.msg.String` and its family.
3. `dds/cdr_type.py`: Cyclone DDS gets the genuine type description (so that any DDS program
   matches) but passes our bytes through untouched: a 640x480 image costs no Python loop.
4. `dds/participant.py`: one DomainParticipant for all nodes of a process. ONE thread with a
   WaitSet takes what arrives and hands it on (DDS listeners would run on DDS' own threads, need
   the GIL there and crash an interpreter that is about to end).
5. Names (`dds/names.py`): topic /a/b is the DDS topic `rt/a/b`; service /s is two topics,
   `rq/sRequest` and `rr/sReply`, whose samples carry a client id and a sequence number in front
   of the body (`dds/service_header.py`).
6. `modules/`: what is offered, each under its own name. `modules/rclpy/dds_qos.py`: a QoSProfile
   is a DDS QoS, plus the user data `typehash=RIHS01_...;`. `modules/rclpy/graph.py`: the latched
   topic `ros_discovery_info` says which node owns which reader and writer; that is all
   `ros2 node list` needs. Who else is there comes from DDS discovery itself.

Environment: `ROS_DOMAIN_ID`, `ROS_LOCALHOST_ONLY=1` or `ROS_AUTOMATIC_DISCOVERY_RANGE=LOCALHOST`
(loopback only), `CYCLONEDDS_URI` (replaces our settings, see `dds/configuration.py`).
"""

from __future__ import annotations

from embedded_ros.installation import install, offered, register_messages

__all__ = ['install', 'offered', 'register_messages']
