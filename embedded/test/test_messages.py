# SPDX-License-Identifier: Apache-2.0
import array
import copy
import pickle
import time

import numpy as np
import pytest
from rclpy.serialization import deserialize_message, serialize_message


def test_a_message_has_defaults_keywords_and_constants():
    from diagnostic_msgs.msg import DiagnosticStatus
    from geometry_msgs.msg import Quaternion
    from sensor_msgs.msg import Image, PointField

    image = Image(height=2, encoding='mono8')
    assert (image.height, image.width, image.encoding) == (2, 0, 'mono8')
    assert isinstance(image.data, array.array) and len(image.data) == 0
    assert Quaternion().w == 1.0
    assert PointField.FLOAT32 == 7
    assert DiagnosticStatus.WARN == b'\x01' and DiagnosticStatus().level == b'\x00'
    assert repr(Quaternion(x=1.0)) == 'geometry_msgs.msg.Quaternion(x=1.0, y=0.0, z=0.0, w=1.0)'


def test_nested_messages_are_mutable_and_not_shared():
    from geometry_msgs.msg import PoseStamped

    one, other = PoseStamped(), PoseStamped()
    one.pose.position.x = 3.0
    one.header.stamp.sec = 7
    assert other.pose.position.x == 0.0
    assert one != other
    assert one == copy.deepcopy(one) == pickle.loads(pickle.dumps(one))


@pytest.mark.embedded
@pytest.mark.parametrize(
    ('field', 'value'), [('x', 1), ('x', '1'), ('x', np.float32(1)), ('x', None)]
)
def test_a_float_field_takes_floats_only(field, value):
    # A real rclpy without checks would send garbage here.
    from geometry_msgs.msg import Point

    with pytest.raises(AssertionError, match="'x' field must be of type 'float'"):
        setattr(Point(), field, value)


@pytest.mark.embedded
def test_wrong_values_are_refused_with_the_field_name():
    from diagnostic_msgs.msg import DiagnosticStatus
    from geometry_msgs.msg import PoseStamped, PoseWithCovariance
    from sensor_msgs.msg import CameraInfo, Image

    with pytest.raises(AssertionError, match="'height' field must be an integer in"):
        Image().height = -1
    with pytest.raises(AssertionError, match="'pose' field must be a sub message of type 'Pose'"):
        PoseStamped().pose = PoseStamped()
    with pytest.raises(AssertionError, match=r"'covariance' field must have the shape \(36,\)"):
        PoseWithCovariance().covariance = np.zeros((6, 6))
    with pytest.raises(AssertionError, match="'d' field takes a flat numpy array of float64"):
        CameraInfo().d = np.zeros(5, np.float32)
    with pytest.raises(AssertionError, match="'level' field must be of type 'bytes'"):
        DiagnosticStatus().level = 1
    with pytest.raises(AttributeError, match='nonsense'):
        Image().nonsense = 1
    with pytest.raises(AssertionError, match='Invalid arguments passed to constructor: nonsense'):
        Image(nonsense=1)


@pytest.mark.embedded
@pytest.mark.parametrize(
    'value',
    [
        b'abc',
        bytearray(b'abc'),
        memoryview(b'abc'),
        array.array('B', b'abc'),
        [97, 98, 99],
        np.frombuffer(b'abc', np.uint8),
    ],
)
def test_bytes_of_any_kind_fill_uint8_sequences(value):
    from sensor_msgs.msg import Image

    assert bytes(Image(data=value).data) == b'abc'


def test_what_is_sent_is_what_arrives():
    from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
    from geometry_msgs.msg import PoseWithCovarianceStamped
    from rcl_interfaces.msg import ParameterValue
    from sensor_msgs.msg import CameraInfo
    from std_srvs.srv import Empty

    covariant = PoseWithCovarianceStamped()
    covariant.pose.covariance[7] = 0.25
    status = DiagnosticStatus(level=b'\x02', name='ü', values=[KeyValue(key='a', value='b')])
    for message in (
        covariant,
        DiagnosticArray(status=[status, DiagnosticStatus()]),
        CameraInfo(d=[0.5, -1.0], width=640),
        Empty.Request(),
        ParameterValue(
            bool_array_value=[True, False],
            byte_array_value=[b'\x07'],
            string_array_value=['', 'x'],
            integer_array_value=[-1],
        ),
    ):
        received = deserialize_message(serialize_message(message), type(message))
        assert received == message
        assert type(received) is type(message)


def test_a_received_message_can_be_changed():
    from geometry_msgs.msg import PoseWithCovariance

    received = deserialize_message(serialize_message(PoseWithCovariance()), PoseWithCovariance)
    received.covariance[0] = 1.0
    received.pose.position.x = 2.0
    assert received.covariance[0] == 1.0


def test_an_image_passes_without_a_loop_over_its_bytes():
    from sensor_msgs.msg import Image

    pixels = np.zeros((480, 640, 3), np.uint8)
    start = time.process_time()
    for _ in range(20):
        deserialize_message(serialize_message(Image(data=pixels.tobytes())), Image)
    # A Python loop over the bytes takes 30 ms and more for each of the three steps.
    assert (time.process_time() - start) / 20 < 0.02
