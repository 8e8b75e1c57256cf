# SPDX-License-Identifier: Apache-2.0
"""Every field of our messages is filled by the node that publishes it, or it would have to go."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from robot import camera_info, texture

from dsac_ros.mapping.data.keyframes import Coverage, Verdict
from dsac_ros.msg import MappingStatus, PosedFrame, RelocalizationStatus
from dsac_ros.nodes import conversions
from dsac_ros.nodes.camera_subscriber import StampedImage
from dsac_ros.nodes.mapper_outputs import MapperOutputs
from dsac_ros.nodes.mapping_status import status_message
from dsac_ros.nodes.publishers import Publishers
from dsac_ros.nodes.recorder import Keyframe
from dsac_ros.nodes.relocalization import NodeOutput
from dsac_ros.nodes.training import TrainingState
from dsac_ros.recovery.state import Condition
from dsac_ros.types import Camera, Frame, Localization, PoseStatistics, Result

STAMP = 7_000_000_000
POSE = conversions.matrix_from_xyz_rpy([1.0, 2.0, 3.0, 0.1, 0.2, 0.3])


class Heard:
    """Stands in for a node whose publishers all have a listener; keeps what they publish."""

    def __init__(self):
        self.messages = []

    def create_publisher(self, kind, topic, qos):
        return SimpleNamespace(publish=self.messages.append, get_subscription_count=lambda: 1)

    def of(self, kind):
        return [message for message in self.messages if isinstance(message, kind)]


def unfilled(kind, messages):
    """The fields that have their default in all messages; those of poses one by one."""
    names = set(fields(kind()))
    assert messages
    for message in messages:
        told, default = fields(message), fields(kind())
        names -= {name for name in names if not np.array_equal(told[name], default[name])}
    return names


def fields(message):
    """Value by name; a pose with covariance has two."""
    found = {}
    for slot in message.__slots__:
        name = slot.lstrip('_')
        if name == 'check_fields':
            continue
        value = getattr(message, name)
        if hasattr(value, 'covariance'):
            found[f'{name}.covariance'] = np.array(value.covariance)
            value = value.pose
        found[name] = value
    return found


def test_relocalization_status():
    node = Heard()
    publishers = Publishers(node, 'map')
    good = Localization(
        Result.ACCEPTED,
        stamp_ns=STAMP,
        world_from_camera=POSE,
        covariance=np.eye(6),
        statistics=PoseStatistics(0.5, 100, 0.4, 0.9),
        reprojection_error_px=1.0,
        confidence=0.9,
        timings_ms={'network': 3.0},
    )
    bad = Localization(Result.BAD_IMAGE, 'dark', STAMP)
    for found in (good, bad):
        output = NodeOutput(found, STAMP, 'camera', POSE, POSE, np.eye(6))
        publishers.publish_status(
            output, 'id', 4, 2 * STAMP, Condition.LOCALIZED, 2, 'note', (0.1, 0.2)
        )
    assert unfilled(RelocalizationStatus, node.of(RelocalizationStatus)) == set()


def test_mapping_status():
    coverage = Coverage()
    for verdict in Verdict:
        coverage.add(verdict, verdict.value, POSE)
    coverage.add(Verdict.KEPT, '', POSE @ POSE)
    recorder = SimpleNamespace(
        coverage=coverage,
        keyframes=2,
        segments=SimpleNamespace(count=2),
        disk_bytes=5,
        dataset=Path('drive'),
        is_done=False,
    )
    training = TrainingState(True, None, 'network', 0.5, 0.1, 20.0, 'late')
    head = conversions.header('map', STAMP)
    status = status_message(head, recorder, Path('a.map'), training, 'no images')
    assert unfilled(MappingStatus, [status]) == set()


@pytest.mark.parametrize('covariance', [None, np.diag([1.0, 2, 3, 4, 5, 6])])
def test_posed_frame(covariance):
    node = Heard()
    outputs = MapperOutputs(node, 'map')
    outputs.activate()
    head = conversions.header('camera', STAMP)
    image = texture(0)
    frame = Frame(image, Camera((image.shape[1], image.shape[0]), np.eye(3)), STAMP)
    stamped = StampedImage(conversions.image_message(image, head), camera_info())
    outputs.publish_keyframe(Keyframe(stamped, frame, POSE, covariance))
    unknown = set() if covariance is not None else {'camera_in_map.covariance'}
    assert unfilled(PosedFrame, node.of(PosedFrame)) == unknown
