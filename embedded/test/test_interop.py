# SPDX-License-Identifier: Apache-2.0
"""An rclpy of ROS 2 on another DDS vendor in this process, embedded nodes in another."""

import os
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from sensor_msgs.msg import Image
from std_srvs.srv import Trigger

pytestmark = pytest.mark.ros_wheels
# Embedded modules although this Python has others.
EMBEDDED = """
import embedded_ros.installation as installation
installation._is_complete = lambda name: False
assert installation.install()
import rclpy
from rcl_interfaces.srv import ListParameters
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image
from std_srvs.srv import Trigger
rclpy.init()
node = rclpy.create_node('embedded')
"""
SERVER = (
    EMBEDDED
    + """
node.create_service(Trigger, '/embedded/go', lambda request, response: response)
print('serving', flush=True)
try:
    rclpy.spin(node)
except KeyboardInterrupt:
    pass
"""
)
CLIENT = (
    EMBEDDED
    + """
client = node.create_client(ListParameters, '/real/list_parameters')
print('ready' if client.wait_for_service(10.0) else 'not ready', flush=True)
future = client.call_async(ListParameters.Request(prefixes=['a', 'bc'], depth=3))
rclpy.spin_until_future_complete(node, future, timeout_sec=2.0)
print('answered' if future.done() else 'no answer', flush=True)
"""
)
CAMERA = (
    EMBEDDED
    + """
import sys
publisher = node.create_publisher(Image, '/image', QoSProfile(
    depth=5, reliability=ReliabilityPolicy[sys.argv[1]]))
image = Image(height=480, width=640, step=1920, encoding='rgb8', data=bytes(480 * 1920))
node.create_timer(1 / 30, lambda: publisher.publish(image))
try:
    rclpy.spin(node)
except KeyboardInterrupt:
    pass
"""
)
# The rclpy of this Python; a line a second as long as it lives.
READER = """
import sys, threading, time
import rclpy
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image
rclpy.init()
node, images = rclpy.create_node('real'), []
node.create_subscription(Image, '/image', images.append, QoSProfile(
    depth=5, reliability=ReliabilityPolicy[sys.argv[1]]))
def tell():
    while True:
        time.sleep(0.5)
        print(len(images), flush=True)
threading.Thread(target=tell, daemon=True).start()
rclpy.spin(node)
"""


def resident_mb():
    """Memory of this process [MB]."""
    pages = int(Path('/proc/self/statm').read_text().split()[1])
    return pages * 4096 / 1e6


def run(run_process, script, *words):
    return run_process([sys.executable, '-c', script, *words])


def test_embedded_modules_work_beside_it():
    from cv_bridge import CvBridge

    import embedded_ros

    assert 'rclpy' not in embedded_ros.offered() and 'cv_bridge' in embedded_ros.offered()
    pixels = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    message = CvBridge().cv2_to_imgmsg(pixels, 'rgb8')
    assert isinstance(message, Image)
    assert (CvBridge().imgmsg_to_cv2(message) == pixels).all()


def test_rclpy_request_does_not_end_an_embedded_node(make_node, spin_until, run_process):
    from rcl_interfaces.srv import ListParameters

    node = make_node('real')
    process = run(run_process, SERVER)
    process.wait_for('serving')
    for kind, name, request in (
        (Trigger, '/embedded/go', Trigger.Request()),
        (
            ListParameters,
            '/embedded/list_parameters',
            ListParameters.Request(prefixes=['a', 'bc', 'def'], depth=3),
        ),
    ):
        client = node.create_client(kind, name)
        assert client.wait_for_service(10.0)
        for _ in range(10):  # a client may be ready before the server knows of it
            client.call_async(request)
            if spin_until(
                lambda line=f'a request to {name} is dropped': line in process.output, 1.0
            ):
                break
        else:
            pytest.fail(process.output)
    assert process.stop() == 0


def test_an_embedded_client_sends_no_request_there(make_node, spin_until, run_process):
    make_node('real')
    before = resident_mb()
    process = run(run_process, CLIENT)
    assert spin_until(lambda: 'answer' in process.output, 40.0)
    assert process.lines[-2:] == ['not ready', 'no answer']
    assert 'cannot be called: its server has an rmw of another DDS vendor' in process.output
    assert resident_mb() < before + 200


@pytest.mark.parametrize('reliability', ['RELIABLE', 'BEST_EFFORT'])
def test_large_embedded_images_do_not_hang_a_reader(run_process, reliability):
    # A busy machine loses packets, and a reader that has lost some is what once hung.
    for _ in range(os.cpu_count() or 1):
        run_process([sys.executable, '-c', 'while True: sum(range(10000))'])
    reader = run(run_process, READER, reliability)
    camera = run(run_process, CAMERA, reliability)
    time.sleep(15.0)
    said = len(reader.lines)
    time.sleep(2.0)
    assert len(reader.lines) > said, reader.output
    assert int(reader.lines[-1]) > 10, reader.output
    assert 'Traceback' not in camera.output
