# SPDX-License-Identifier: Apache-2.0
"""ROS names and their DDS counterparts."""

from __future__ import annotations

TOPIC, REQUEST, REPLY = 'rt', 'rq', 'rr'


def dds_topic(topic: str) -> str:
    """Convert /a/b to rt/a/b."""
    return TOPIC + topic


def dds_request(service: str) -> str:
    """Convert /s to rq/sRequest."""
    return f'{REQUEST}{service}Request'


def dds_reply(service: str) -> str:
    """Convert /s to rr/sReply."""
    return f'{REPLY}{service}Reply'


def ros_topic(dds_name: str) -> str | None:
    """Convert rt/a/b to /a/b; None for a DDS topic that is not a ROS topic."""
    return dds_name[len(TOPIC) :] if dds_name.startswith(TOPIC + '/') else None


def ros_service(dds_name: str) -> str | None:
    """Convert rq/sRequest or rr/sReply to /s; None for anything else."""
    for prefix, suffix in ((REQUEST, 'Request'), (REPLY, 'Reply')):
        if dds_name.startswith(prefix + '/') and dds_name.endswith(suffix):
            return dds_name[len(prefix) : -len(suffix)]
    return None


def dds_type(type_name: str) -> str:
    """Convert std_msgs/msg/String to std_msgs::msg::dds_::String_."""
    package, kind, name = type_name.split('/')
    return f'{package}::{kind}::dds_::{name}_'


def ros_type(dds_name: str) -> str:
    """Convert std_msgs::msg::dds_::String_ to std_msgs/msg/String; keep foreign names."""
    parts = dds_name.split('::')
    if len(parts) == 4 and parts[2] == 'dds_':
        return f'{parts[0]}/{parts[1]}/{parts[3].removesuffix("_")}'
    return dds_name


def ros_service_type(dds_name: str) -> str:
    """Convert std_srvs::srv::dds_::Trigger_Request_ to std_srvs/srv/Trigger."""
    return ros_type(dds_name).removesuffix('_Request').removesuffix('_Response')
