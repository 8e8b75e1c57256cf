# SPDX-License-Identifier: Apache-2.0
import sys
import threading

import pytest
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.task import Future
from std_srvs.srv import Empty, SetBool, Trigger

SERVER = """
from embedded_ros import install
install()
import rclpy
from std_srvs.srv import SetBool
rclpy.init()
node = rclpy.create_node('server')
def answer(request, response):
    response.success, response.message = not request.data, 'ü'
    return response
node.create_service(SetBool, '~/flip', answer)
print('serving', flush=True)
try:
    rclpy.spin(node)
except KeyboardInterrupt:
    pass
"""


def test_a_service_of_another_process(make_node, executor, run_process):
    process = run_process([sys.executable, '-c', SERVER])
    client = make_node('caller').create_client(SetBool, '/server/flip')
    assert client.wait_for_service(20.0)
    for data in (True, False):
        future = client.call_async(SetBool.Request(data=data))
        executor.spin_until_future_complete(future, 5.0)
        assert (future.result().success, future.result().message) == (not data, 'ü')
    assert process.stop() == 0


def test_an_async_callback_may_wait_for_a_thread(make_node, executor):
    node, pending = make_node('server'), []

    async def answer(request, response):
        future = Future()
        pending.append(future)
        threading.Timer(0.1, lambda: [future.set_result('done'), executor.wake()]).start()
        response.message = await future
        return response

    node.create_service(Trigger, 'go', answer, callback_group=ReentrantCallbackGroup())
    client = node.create_client(Trigger, 'go')
    assert client.wait_for_service(5.0)
    futures = [client.call_async(Trigger.Request()) for _ in range(2)]
    for future in futures:
        executor.spin_until_future_complete(future, 5.0)
    assert [f.result().message for f in futures] == ['done', 'done']
    assert len(pending) == 2


def test_an_empty_service_answers(make_node, executor):
    node = make_node('server')
    node.create_service(Empty, 'nothing', lambda request, response: response)
    client = node.create_client(Empty, 'nothing')
    assert client.wait_for_service(5.0)
    future = client.call_async(Empty.Request())
    executor.spin_until_future_complete(future, 5.0)
    assert future.result() == Empty.Response()


def test_two_clients_get_their_own_answers(make_node, spin_until):
    server, one, two = make_node('server'), make_node('one'), make_node('two')

    def answer(request, response):
        response.success = request.data
        return response

    server.create_service(SetBool, 'echo', answer)
    clients = [node.create_client(SetBool, 'echo') for node in (one, two)]
    assert all(client.wait_for_service(5.0) for client in clients)
    futures = [
        client.call_async(SetBool.Request(data=data))
        for client, data in zip(clients, (True, False), strict=True)
    ]
    assert spin_until(lambda: all(f.done() for f in futures))
    assert [f.result().success for f in futures] == [True, False]


def test_a_service_that_is_not_there(make_node):
    client = make_node('caller').create_client(Trigger, 'nobody')
    assert not client.service_is_ready()
    assert not client.wait_for_service(0.2)


def test_an_error_in_a_service_callback_leaves_spin(make_node, executor):
    node = make_node('server')

    def fail(request, response):
        raise ValueError('broken')

    node.create_service(Trigger, 'go', fail)
    client = node.create_client(Trigger, 'go')
    assert client.wait_for_service(5.0)
    future = client.call_async(Trigger.Request())
    with pytest.raises(ValueError, match='broken'):
        executor.spin_until_future_complete(future, 5.0)
