# SPDX-License-Identifier: Apache-2.0
"""`dsac doctor`: each requirement that is not met is a line, and the exit code says so."""

from __future__ import annotations

import json

import numpy as np
import pytest
from robot import BASE_FROM_CAMERA, CAMERA, LATCHED, LOOSE, camera_info, texture, untrained_map
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from tf2_msgs.msg import TFMessage

from dsac_ros.cli.main import main
from dsac_ros.errors import ImageError
from dsac_ros.nodes import conversions
from dsac_ros.nodes.doctor import machine
from dsac_ros.nodes.doctor.camera import CameraRecord, camera_findings, focal_finding
from dsac_ros.nodes.doctor.choice import Camera as ChosenCamera
from dsac_ros.nodes.doctor.choice import choose_camera
from dsac_ros.nodes.doctor.finding import Level, exit_code, fail, ok, summary, warn
from dsac_ros.nodes.doctor.map_checks import accuracy_finding
from dsac_ros.nodes.doctor.probe import listen
from dsac_ros.nodes.doctor.tf import Frames, TfRecord, tf_findings
from dsac_ros.nodes.missing_inputs import COMPRESSED_IMAGE, IMAGE, Publisher
from dsac_ros.nodes.tf_edges import TfEdges
from dsac_ros.sources.bag_topics import CAMERA_INFO
from dsac_ros.sources.bag_writer import BagWriter

START_NS, STEP_NS = 1_700_000_000 * 10**9, 100_000_000
FRAMES = Frames('camera_optical')


def levels(findings):
    return {one.subject: one.level.name for one in findings}


def text_of(findings, subject):
    return next(one.text for one in findings if one.subject == subject)


def test_the_worst_line_decides():
    found = [ok('a', 'x'), warn('b', 'y')]
    assert exit_code(found) == 0 and summary(found) == 'nothing failed, 1 warned'
    found.append(fail('c', 'z'))
    assert exit_code(found) == 1 and summary(found).startswith('1 failed, 1 warned')
    assert found[2].line == 'FAIL  c: z'
    assert summary([ok('a', 'x')]) == 'all is well'


# --- the camera ---


def recorded(**changes):
    head = conversions.header('camera_optical', START_NS)
    info = camera_info()
    info.header = head
    stamps = [START_NS + i * STEP_NS for i in range(5)]
    image = conversions.image_message(texture(0), head)
    return CameraRecord(
        **{'image_topic': '/image', 'info_topic': '/camera_info'}
        | {'image': image, 'info': info, 'stamps': stamps}
        | changes
    )


def of_camera(**changes):
    return camera_findings(recorded(**changes), conversions.image_from_message)[0]


def test_a_good_camera_is_described():
    found, camera = camera_findings(recorded(ages_s=[0.05]), conversions.image_from_message)
    assert levels(found) == {'images': 'OK', 'image stamps': 'OK', 'intrinsics': 'OK'}
    assert '128x96, mono8, 10.0 Hz' in text_of(found, 'images')
    assert 'fx 110.0, fy 110.0, centre (63.5, 47.5)' in text_of(found, 'intrinsics')
    np.testing.assert_allclose(camera.matrix, CAMERA.matrix)


@pytest.mark.parametrize(
    ('changes', 'subject', 'level', 'words'),
    [
        ({'image': None, 'missing_images': 'nobody'}, 'images', 'FAIL', 'nobody'),
        ({'info': None, 'missing_info': 'no info'}, 'intrinsics', 'FAIL', 'no info'),
        ({'mixed': '2 publishers'}, 'images', 'FAIL', '2 publishers'),
        ({'stamps': [0, 0]}, 'image stamps', 'FAIL', 'set header.stamp'),
        ({'stamps': [START_NS] * 3}, 'image stamps', 'WARN', '2 of 3 images are not newer'),
        ({'stamps': [START_NS]}, 'images', 'WARN', 'a single one'),
        ({'stamps': [START_NS, START_NS + 3 * 10**9]}, 'images', 'WARN', '0.3 Hz, expected 1 Hz'),
        ({'ages_s': [0.5]}, 'image stamps', 'WARN', '0.50 s old'),
        ({'ages_s': [2.0]}, 'image stamps', 'FAIL', 'max_image_age'),
        ({'ages_s': [1e6]}, 'image stamps', 'FAIL', 'use_sim_time:=true'),
        ({'ages_s': [-5.0]}, 'image stamps', 'FAIL', '5 s in the future'),
        ({'info': camera_info(k=[0.0] * 9)}, 'intrinsics', 'FAIL', '/camera_info: '),
        ({'info': camera_info(width=640, height=480)}, 'intrinsics', 'FAIL', '640x480'),
        ({'info': camera_info(d=[float('nan')] * 5)}, 'intrinsics', 'FAIL', '/camera_info: '),
    ],
)
def test_a_fault_of_the_camera_is_one_line(changes, subject, level, words):
    found = of_camera(**changes)
    assert any(
        one.subject == subject and one.level.name == level and words in one.text for one in found
    ), found


def test_an_image_without_content_is_one_line():
    def refuse(message):
        raise ImageError('encoding is zebra')

    found, camera = camera_findings(recorded(), refuse)
    assert camera is None and found[-1].text == '/image: encoding is zebra'
    head = conversions.header('camera_optical', START_NS)
    dark = conversions.image_message(np.zeros((96, 128), np.uint8), head)
    assert 'lens covered' in text_of(of_camera(image=dark), 'images')
    info = camera_info()
    info.header = conversions.header('other_camera', START_NS)
    assert 'of another camera' in text_of(of_camera(info=info), 'intrinsics')


@pytest.mark.parametrize(('focal', 'level'), [(110.0, 'OK'), (300.0, 'WARN'), (40.0, 'WARN')])
def test_the_lens_is_compared_with_the_map(focal, level):
    header = {'focal_px': 2 * focal, 'image_size_wh': [256, 192]}
    assert focal_finding(CAMERA, header).level.name == level
    assert focal_finding(CAMERA, {}).level is Level.WARN


# --- the transforms ---


def tree(*edges, rate_hz=50.0, count=50):
    """A record of transforms: (parent, child) moving, (parent, child, 'static') not."""
    found = TfEdges(60.0)
    for parent, child, *static in edges:
        for index in range(1 if static else count):
            stamp = START_NS + int(index * 1e9 / rate_hz)
            found.add(parent, child, stamp, bool(static), 0.0)
    return found


ROBOT = (
    ('map', 'odom'),
    ('odom', 'base_link'),
    ('base_link', 'camera_link', 'static'),
    ('camera_link', 'camera_optical', 'static'),
)


def of_tf(*edges, frames=FRAMES, **more):
    rate = more.pop('rate_hz', 50.0)
    return tf_findings(TfRecord(tree(*edges, rate_hz=rate), START_NS, 10.0, **more), frames)


def test_a_good_tree_is_described():
    found = of_tf(*ROBOT, lateness_s={'base_link': [0.01] * 9}, publishers=['/wheels', '/amcl'])
    assert set(levels(found).values()) == {'OK'}
    assert text_of(found, 'camera on the robot') == (
        'TF leads from camera_optical to base_link, fixed'
    )
    assert text_of(found, 'odometry') == 'odom -> base_link at 50 Hz, 10 ms late'
    assert 'map -> odom at 50 Hz by /amcl' in text_of(found, 'map -> odom')


@pytest.mark.parametrize(
    ('edges', 'more', 'subject', 'level', 'words'),
    [
        ((), {}, 'camera on the robot', 'FAIL', 'no transform was received'),
        (ROBOT[:2], {}, 'camera on the robot', 'FAIL', "frame 'camera_optical'"),
        (ROBOT[2:], {}, 'odometry', 'WARN', "frame 'odom'"),
        (ROBOT[2:], {}, 'odometry', 'WARN', 'a kidnap cannot be told'),
        ((ROBOT[0], *ROBOT[2:]), {}, 'odometry', 'WARN', 'does not connect'),
        (ROBOT, {'rate_hz': 5.0}, 'odometry', 'WARN', '5 Hz, expected 10 Hz'),
        (ROBOT, {'lateness_s': {'base_link': [0.3] * 9}}, 'odometry', 'WARN', '300 ms late'),
        (ROBOT, {'lateness_s': {'base_link': [0.9] * 9}}, 'odometry', 'FAIL', '900 ms late'),
        (ROBOT[1:], {}, 'map -> odom', 'OK', 'nobody publishes it'),
        ((('earth', 'odom'), *ROBOT[1:]), {}, 'map -> odom', 'WARN', 'earth -> odom'),
        ((('map', 'odom', 'static'), *ROBOT[1:]), {}, 'map -> odom', 'WARN', 'is static'),
        ((('map', 'base_link'), *ROBOT[2:]), {}, 'map -> odom', 'WARN', 'tf_mode:=none'),
        (ROBOT, {'publishers': ['/a', '/b']}, 'map -> odom', 'OK', 'by one of /a, /b'),
        (
            (ROBOT[0], ('odom', 'base_link', 'static'), *ROBOT[2:]),
            {},
            'odometry',
            'WARN',
            'does not change',
        ),
    ],
)
def test_a_fault_of_the_tree_is_one_line(edges, more, subject, level, words):
    found = of_tf(*edges, **more)
    assert levels(found)[subject] == level
    assert words in text_of(found, subject)


def test_frames_of_a_body_mean_the_optical_one():
    found = of_tf(*ROBOT, frames=Frames('camera_link'))
    assert 'from camera_optical to base_link' in text_of(found, 'camera on the robot')
    found = of_tf(*ROBOT[:3], frames=Frames('camera_link'))
    assert 'no optical frame below it: set camera_frame' in text_of(found, 'camera on the robot')
    found = of_tf(*ROBOT, frames=Frames('camera_optical', base=''))
    assert 'camera on the robot' not in levels(found)


# --- the choice of a camera ---


@pytest.mark.parametrize(
    ('image', 'info', 'expected'),
    [
        (None, None, ('/front/image_raw', IMAGE, '/front/camera_info')),
        ('/web', None, ('/web/compressed', COMPRESSED_IMAGE, '/camera_info')),
        ('front/image_raw', '/x', ('/front/image_raw', IMAGE, '/x')),
        ('/nowhere/image', None, ('/nowhere/image', IMAGE, '/nowhere/camera_info')),
    ],
)
def test_the_likeliest_camera_is_taken(image, info, expected):
    publishers = [
        Publisher('/d', '/front/depth/image', IMAGE),
        Publisher('/w', '/web/compressed', COMPRESSED_IMAGE),
        Publisher('/f', '/front/image_raw', IMAGE),
        Publisher('/f', '/front/camera_info', CAMERA_INFO),
        Publisher('/d', '/front/depth/camera_info', CAMERA_INFO),
    ]
    assert choose_camera(publishers, image, info, ('/image', IMAGE)) == ChosenCamera(*expected)


# --- the machine ---


@pytest.mark.parametrize(
    ('environment', 'level'),
    [
        ({}, 'OK'),
        ({'ROS_DOMAIN_ID': '7'}, 'OK'),
        ({'ROS_DOMAIN_ID': '150'}, 'WARN'),
        ({'ROS_DOMAIN_ID': '300'}, 'FAIL'),
        ({'ROS_DOMAIN_ID': 'x'}, 'FAIL'),
    ],
)
def test_a_domain_is_a_number_that_dds_has(environment, level):
    assert machine.domain_finding(environment).level.name == level


def test_a_small_network_buffer_is_told(tmp_path):
    path = tmp_path / 'rmem_max'
    path.write_text('212992\n')
    (found,) = machine.buffer_finding(path)
    assert found.level is Level.WARN and 'sudo sysctl -w' in found.text
    path.write_text(str(2**25))
    assert machine.buffer_finding(path)[0].level is Level.OK
    assert machine.buffer_finding(tmp_path / 'none') == []


def test_a_gpu_without_cuda_is_told(tmp_path, monkeypatch):
    driver = tmp_path / 'version'
    monkeypatch.setattr(machine, 'GPU_DRIVER', driver)
    monkeypatch.setattr('torch.cuda.is_available', lambda: False)
    assert machine.device_finding().level is Level.OK
    driver.write_text('NVRM')
    assert 'install a CUDA build' in machine.device_finding().text


# --- a map ---


@pytest.mark.parametrize(
    ('held_out', 'level', 'words'),
    [
        ({'recall': {'0.25m_2deg': 0.97}, 'frames': 40, 'false_accepts': 0}, 'OK', '97%'),
        ({'recall': {'0.25m_2deg': 0.97}, 'frames': 40, 'false_accepts': 2}, 'WARN', '2 false'),
        ({'recall': {'0.25m_2deg': 0.4}, 'frames': 40, 'false_accepts': 0}, 'WARN', 'more views'),
        ({}, 'WARN', 'not measured'),
    ],
)
def test_a_map_is_judged_by_its_held_out_frames(held_out, level, words):
    found = accuracy_finding(held_out)
    assert found.level.name == level and words in found.text


def run(capsys, *words):
    """Exit code and lines of the command."""
    code = main(['doctor', *map(str, words)])
    return code, capsys.readouterr().out.splitlines()


def test_maps_that_cannot_be_used_fail(tmp_path, capsys, domain_id):
    good, bad = untrained_map(tmp_path / 'x.map'), tmp_path / 'bad.map'
    code, lines = run(capsys, '--map', good)
    assert code == 0 and any('7 frames' in line for line in lines)
    assert 'graph:' not in lines
    bad.write_bytes(good.read_bytes()[:1000])
    for path in (bad, tmp_path / 'none.map'):
        code, lines = run(capsys, '--map', path)
        assert code == 1
        assert any(line.startswith('  FAIL  map: ') and str(path) in line for line in lines)


# --- a bag ---


def write_bag(path, *, info=True, tf=True, stamp_offset_ns=0):
    with BagWriter(path) as bag:
        if tf:
            bag.transform('base_link', 'camera_optical', START_NS, BASE_FROM_CAMERA, static=True)
        for index in range(6):
            stamp = START_NS + index * STEP_NS
            if info:
                bag.camera_info('/cam/camera_info', 'camera_optical', stamp, CAMERA)
            bag.image('/cam/image_raw', 'camera_optical', stamp, texture(index))
            for part in range(2 if tf else 0):
                shifted = stamp + stamp_offset_ns + part * STEP_NS // 2
                bag.transform('odom', 'base_link', shifted, np.eye(4))
                bag.transform('map', 'odom', shifted, np.eye(4))
    return path


def test_a_good_bag_passes(tmp_path, capsys, domain_id):
    code, lines = run(capsys, '--bag', write_bag(tmp_path / 'good.mcap'))
    assert code == 0, lines
    text = '\n'.join(lines)
    for words in ('/cam/image_raw, 128x96, mono8, 10.0 Hz', 'fx 110.0', 'map -> odom at 20 Hz'):
        assert words in text
    assert 'graph:' not in lines


@pytest.mark.parametrize(
    ('options', 'words'),
    [
        ({'info': False}, 'FAIL  intrinsics: the bag holds no camera_info'),
        ({'tf': False}, 'WARN  TF: the bag holds no transforms'),
        ({'stamp_offset_ns': -10 * STEP_NS * 1000}, 'FAIL  clock: the newest transform is'),
    ],
)
def test_a_fault_of_a_bag_is_one_line(tmp_path, capsys, domain_id, options, words):
    code, lines = run(capsys, '--bag', write_bag(tmp_path / 'x.mcap', **options))
    assert any(words in line for line in lines), lines
    assert code == int('FAIL' in words)


def test_no_bag_is_one_line(tmp_path, capsys, domain_id):
    (tmp_path / 'x.mcap').write_bytes(b'nonsense')
    for name in ('x.mcap', 'none.mcap'):
        code, lines = run(capsys, '--bag', tmp_path / name)
        assert code == 1 and any('FAIL  bag: ' in line and name in line for line in lines)
    code, lines = run(capsys, '--bag', write_bag(tmp_path / 'y.mcap'), '--image', '/nope')
    assert code == 1 and any("no image topic '/nope'" in line for line in lines)


def test_the_report_as_json(tmp_path, capsys, domain_id):
    bag = write_bag(tmp_path / 'x.mcap', info=False)
    assert main(['doctor', '--bag', str(bag), '--json']) == 1
    report = json.loads(capsys.readouterr().out)
    assert report['ok'] is False and set(report) == {'ok', 'machine', 'bag'}
    assert {'level', 'subject', 'text'} == set(report['bag'][0])


# --- the graph ---


@pytest.fixture
def drive(make_node, executor):
    """A robot that publishes at 20 Hz while the doctor listens."""

    def start(transport='raw'):
        node = make_node('robot')
        kind, topic = {
            'raw': (Image, '/front/image_raw'),
            'compressed': (CompressedImage, '/front/image_raw/compressed'),
        }[transport]
        images = node.create_publisher(kind, topic, LOOSE)
        infos = node.create_publisher(CameraInfo, '/front/camera_info', LATCHED)
        tf = node.create_publisher(TFMessage, '/tf', 10)
        static = node.create_publisher(TFMessage, '/tf_static', LATCHED)
        mount = conversions.transform_message('base_link', 'camera_optical', 0, BASE_FROM_CAMERA)
        static.publish(TFMessage(transforms=[mount]))
        info = camera_info()
        info.header = conversions.header('camera_optical', 5)
        infos.publish(info)

        def tick():
            now = node.get_clock().now().nanoseconds
            head = conversions.header('camera_optical', now)
            if transport == 'raw':
                images.publish(conversions.image_message(texture(0), head))
            else:
                images.publish(
                    CompressedImage(header=head, format='mono8; png', data=PNG.tobytes())
                )
            edges = (('map', 'odom'), ('odom', 'base_link'))
            tf.publish(
                TFMessage(
                    transforms=[
                        conversions.transform_message(parent, child, now, np.eye(4))
                        for parent, child in edges
                    ]
                )
            )

        node.create_timer(0.05, tick)
        return node

    import cv2

    PNG = cv2.imencode('.png', texture(0))[1].reshape(-1)
    return start


@pytest.fixture
def look(executor, ros_context):
    """Listen as `dsac doctor` does, beside the nodes of the test; the findings."""
    import threading

    from rclpy.node import Node

    def listen_beside(seconds=2.0, **options):
        stop = threading.Event()
        thread = threading.Thread(
            target=lambda: [executor.spin_once(0.02) for _ in iter(stop.is_set, True)]
        )
        thread.start()
        node = Node('dsac_doctor', context=ros_context)
        try:
            return listen(node, options.get('image'), options.get('info'), seconds, Frames(''))
        finally:
            stop.set()
            thread.join()
            node.destroy_node()

    return listen_beside


@pytest.mark.parametrize('transport', ['raw', 'compressed'])
def test_a_good_graph_passes(drive, look, make_node, transport):
    from geometry_msgs.msg import PoseWithCovarianceStamped

    drive(transport)
    make_node('amcl').create_subscription(
        PoseWithCovarianceStamped, '/initialpose', lambda _: None, 10
    )
    found = look()
    assert exit_code(found) == 0, found
    assert '128x96' in text_of(found, 'images')
    arguments = 'image:=/front/image_raw camera_info:=/front/camera_info'
    more = ' image_transport:=compressed' if transport == 'compressed' else ''
    assert text_of(found, 'arguments') == arguments + more
    assert 'odom -> base_link at ' in text_of(found, 'odometry')
    assert text_of(found, 'recovery') == '/initialpose is read by amcl'
    assert 'map -> odom' in text_of(found, 'map -> odom')


def test_an_empty_graph_says_what_is_missing(look):
    found = look(0.2)
    assert exit_code(found) == 1
    assert {'images': 'FAIL', 'intrinsics': 'FAIL', 'recovery': 'WARN'}.items() <= levels(
        found
    ).items()
    assert 'is its node running' in text_of(found, 'images')


def test_a_silent_clock_is_told(look, make_node):
    from rosgraph_msgs.msg import Clock

    make_node('simulator').create_publisher(Clock, '/clock', 10)
    found = look(0.2)
    assert levels(found)['clock'] == 'FAIL'
    assert 'paused?' in text_of(found, 'clock')


def test_the_command_listens_to_the_graph(capsys, domain_id):
    code, lines = run(capsys, '--seconds', '0.2', '--ros-args', '-r', 'image:=/web')
    assert code == 1
    assert any('FAIL  images: no images on /web: nobody publishes it' in line for line in lines)
