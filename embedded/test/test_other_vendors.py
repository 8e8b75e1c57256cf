# SPDX-License-Identifier: Apache-2.0
"""Nodes whose rmw is of another DDS vendor, and bytes that mean nothing, harm nobody.

rmw_fastrtps uses the same DDS topics and type names for a service and another form of its samples.
Here DDS endpoints without the identity that rmw_cyclonedds announces stand for it.
"""

import pytest
from lifecycle_msgs.srv import GetState
from rcl_interfaces.srv import GetParameters
from rosbags.serde import SerdeError
from std_srvs.srv import SetBool, Trigger

pytestmark = pytest.mark.embedded
NAME = '/server/service'


class Foreigner:
    """A DDS participant that knows ROS' names, types and CDR, but not our form of services."""

    def __init__(self, domain_id):
        from embedded_ros.dds.participant import Participant

        self.participant = Participant(domain_id)
        self.received = []

    def writer(self, topic, data_type, user_data=''):
        from rclpy.dds_qos import dds_qos
        from rclpy.qos import qos_profile_services_default

        writer = self.participant.create_writer(
            topic, data_type, dds_qos(qos_profile_services_default, user_data)
        )
        return writer, lambda data: writer.write(data_type(data))

    def reader(self, topic, data_type):
        from rclpy.dds_qos import dds_qos
        from rclpy.qos import qos_profile_services_default

        return self.participant.create_reader(
            topic, data_type, dds_qos(qos_profile_services_default), self.received.append
        )

    def client(self, kind, user_data=''):
        """A writer of requests and a function that writes one."""
        from embedded_ros.dds.cdr_type import service_type
        from embedded_ros.dds.names import dds_request

        return self.writer(dds_request(NAME), service_type(kind.Request.TYPE_NAME), user_data)

    def server(self, kind):
        """A reader of requests and a writer of replies."""
        from embedded_ros.dds.cdr_type import service_type
        from embedded_ros.dds.names import dds_reply, dds_request

        reader = self.reader(dds_request(NAME), service_type(kind.Request.TYPE_NAME))
        return reader, self.writer(dds_reply(NAME), service_type(kind.Response.TYPE_NAME))


@pytest.fixture
def foreigner(domain_id):
    foreigner = Foreigner(domain_id)
    yield foreigner
    foreigner.participant.close()


@pytest.mark.parametrize(
    ('kind', 'request_of'),
    [
        (GetState, GetState.Request()),  # 8 bytes: struct.error once ended the node
        (GetParameters, GetParameters.Request(names=['use_sim_time', 'rate', 'map_frame'])),
    ],
)
def test_other_vendors_requests_are_dropped_and_logged(
    foreigner, make_node, spin_until, executor, capfd, kind, request_of
):
    from rclpy.serialization import serialize_message

    node, served = make_node('server'), []
    node.create_service(kind, NAME, lambda request, response: served.append(request) or response)
    writer, send = foreigner.client(kind)
    assert spin_until(writer.get_matched_subscriptions)
    send(serialize_message(request_of))
    shown = []
    assert spin_until(
        lambda: (
            shown.append(capfd.readouterr().err)
            or f'a request to {NAME} is dropped' in ''.join(shown)
        )
    )
    assert 'another DDS vendor' in ''.join(shown)
    # The next one of ours is served.
    client = node.create_client(kind, NAME)
    assert client.wait_for_service(5.0)
    executor.spin_until_future_complete(future := client.call_async(request_of), 5.0)
    assert future.done() and served == [request_of]


@pytest.mark.parametrize(
    'data',
    [
        b'\0\1\0\0' + bytes(4),
        b'\0\1\0\0' + bytes(12),
        b'\0\7\0\0' + bytes(40),
        b'\0\1\0\0' + bytes(16) + b'\xff' * 64,
    ],
)
def test_invalid_requests_are_dropped_and_logged(foreigner, make_node, spin_until, capfd, data):
    node, served = make_node('server'), []
    node.create_service(GetParameters, NAME, lambda request, response: served.append(request))
    writer, send = foreigner.client(GetParameters, 'clientid=00;')
    assert spin_until(writer.get_matched_subscriptions)
    send(data)
    shown = []
    assert spin_until(
        lambda: (
            shown.append(capfd.readouterr().err)
            or f'a request to {NAME} is dropped' in ''.join(shown)
        )
    )
    assert not served


def test_requests_of_clients_that_left_are_served(make_node):
    """Bytes that are no request of the type are an error."""
    from rclpy.serialization import serialize_message

    from embedded_ros.dds.service_header import wrap

    service = make_node('server').create_service(SetBool, NAME, print)
    request = SetBool.Request(data=True)
    ours = wrap(7, 3, serialize_message(request))
    assert service._read(ours, None) == (7, 3, request)
    # What another vendor sends happens to have bytes enough for a header and a bool.
    theirs = serialize_message(GetParameters.Request(names=['use_sim_time', 'rate']))
    with pytest.raises(SerdeError, match='size mismatch'):
        service._read(theirs, None)


def test_a_server_of_another_vendor_is_never_ready(foreigner, make_node, spin_until, capfd):
    client = make_node('caller').create_client(Trigger, NAME)
    reader, (writer, _) = foreigner.server(Trigger)
    assert spin_until(
        lambda: reader.get_matched_publications() and writer.get_matched_subscriptions()
    )
    assert client._writer.get_matched_subscriptions()
    assert not client.service_is_ready()
    assert not client.wait_for_service(0.2)
    shown = capfd.readouterr().err
    assert 'cannot be called: its server has an rmw of another DDS vendor' in shown


def test_a_server_of_another_vendor_is_sent_no_request(foreigner, make_node, spin_until):
    """Our header is the length of a sequence to it: it took 20 GB of memory."""
    node = make_node('caller')
    client = node.create_client(GetParameters, NAME)
    reader, _ = foreigner.server(GetParameters)
    assert spin_until(reader.get_matched_publications)
    assert spin_until(client._writer.get_matched_subscriptions)
    future = client.call_async(GetParameters.Request(names=['rate']))
    spin_until(lambda: False, 0.5)
    assert not foreigner.received and not future.done()


def test_other_vendors_get_nothing_beside_our_server(foreigner, make_node, spin_until):
    node = make_node('server')
    node.create_service(Trigger, NAME, lambda request, response: response)
    client = node.create_client(Trigger, NAME)
    assert client.wait_for_service(5.0)
    reader, _ = foreigner.server(Trigger)
    assert spin_until(lambda: len(client._writer.get_matched_subscriptions()) == 2)
    assert spin_until(reader.get_matched_publications)
    assert not client.service_is_ready()
    client.call_async(Trigger.Request())
    spin_until(lambda: False, 0.3)
    assert not foreigner.received


def test_a_reply_that_means_nothing_is_dropped(foreigner, make_node, spin_until, capfd):
    from embedded_ros.dds.service_header import wrap

    node = make_node('caller')
    client = node.create_client(SetBool, NAME)
    _, (writer, send) = foreigner.server(SetBool)
    assert spin_until(writer.get_matched_subscriptions)
    send(b'\0\1\0\0\1\0\0\0')
    send(wrap(client._id, 1, b'\0\1\0\0' + b'\xff' * 8))
    shown = []
    assert spin_until(
        lambda: (
            shown.append(capfd.readouterr().err)
            or f'a reply of {NAME} is dropped' in ''.join(shown)
        )
    )
    assert 'Traceback' not in ''.join(shown)
