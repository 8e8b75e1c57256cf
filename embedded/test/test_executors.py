# SPDX-License-Identifier: Apache-2.0
import signal
import sys
import threading
import time

import pytest
import rclpy
from rclpy.executors import (
    ExternalShutdownException,
    SingleThreadedExecutor,
)
from rclpy.task import Future

NODE = """
from embedded_ros import install
install()
import sys, rclpy
from rclpy.executors import ExternalShutdownException
rclpy.init()
node = rclpy.create_node('a')
print('spinning', flush=True)
try:
    rclpy.spin(node)
except KeyboardInterrupt:
    print('KeyboardInterrupt')
except ExternalShutdownException:
    print('ExternalShutdownException')
finally:
    node.destroy_node()
    rclpy.try_shutdown()
"""


@pytest.mark.parametrize(
    ('number', 'outcomes'),
    [(signal.SIGINT, {'KeyboardInterrupt'}), (signal.SIGTERM, {'ExternalShutdownException'})],
)
def test_signals_end_spin(run_process, number, outcomes):
    process = run_process([sys.executable, '-c', NODE])
    process.wait_for('spinning')
    time.sleep(0.2)
    assert process.stop(number) == 0
    assert process.lines[-1] in outcomes


def test_a_timer_keeps_its_period(make_node, spin_until):
    node, ticks = make_node('a'), []
    timer = node.create_timer(0.05, lambda: ticks.append(time.monotonic()))
    start = time.monotonic()
    assert spin_until(lambda: len(ticks) == 6)
    assert 0.25 < time.monotonic() - start < 3.0
    timer.cancel()
    count = len(ticks)
    spin_until(lambda: False, 0.15)
    assert len(ticks) == count
    assert timer.time_until_next_call() is None
    timer.reset()
    assert spin_until(lambda: len(ticks) > count)


def test_tasks_and_coroutines(executor, make_node):
    make_node('a')
    gate = Future()

    async def wait(value):
        return value + await gate

    task = executor.create_task(wait, 1)
    executor.spin_once(timeout_sec=0.1)
    assert not task.done()
    gate.set_result(2)
    executor.spin_until_future_complete(task, 5.0)
    assert task.result() == 3


def test_spin_until_future_complete_gives_up_in_time(executor, make_node):
    make_node('a')
    start = time.monotonic()
    executor.spin_until_future_complete(Future(), 0.2)
    assert 0.15 < time.monotonic() - start < 3.0


def test_shutdown_of_the_context_ends_a_waiting_spin(ros_context):
    node = rclpy.create_node('a', context=ros_context)
    executor = SingleThreadedExecutor(context=ros_context)
    executor.add_node(node)
    threading.Timer(0.2, ros_context.try_shutdown).start()
    with pytest.raises(ExternalShutdownException):
        executor.spin()


def test_logging_filters_hold_per_line(make_node, capfd):
    logger = make_node('a').get_logger()
    for i in range(3):
        logger.info(f'once {i}', once=True)
        logger.info(f'throttled {i}', throttle_duration_sec=10.0)
        logger.debug('not shown')
    shown = capfd.readouterr().err
    assert shown.count('once') == 1 and shown.count('throttled') == 1
    assert 'not shown' not in shown
    assert '[INFO] [' in shown and '] [a]: once 0' in shown
    with pytest.raises(TypeError, match='nonsense'):
        logger.info('x', nonsense=1)


def test_logs_reach_rosout(make_node, spin_until):
    from rcl_interfaces.msg import Log
    from rclpy.qos import DurabilityPolicy, QoSProfile

    node, logs = make_node('a'), []
    make_node('b').create_subscription(
        Log,
        '/rosout',
        logs.append,
        QoSProfile(depth=10, durability=DurabilityPolicy.TRANSIENT_LOCAL),
    )
    node.get_logger().warning('look')
    assert spin_until(lambda: logs)
    assert (logs[0].name, logs[0].msg, logs[0].level) == ('a', 'look', 30)


def test_using_ros_before_init_says_so():
    with pytest.raises(rclpy.exceptions.NotInitializedException, match='has not been called'):
        rclpy.create_node('a', context=rclpy.Context())


def test_a_guard_condition_runs_in_the_executor(make_node, spin_until):
    node, threads = make_node('a'), []
    guard = node.create_guard_condition(lambda: threads.append(threading.get_ident()))
    spin_until(lambda: threads, 0.1)
    assert not threads
    other = threading.Thread(target=lambda: [guard.trigger() for _ in range(3)])
    other.start()
    other.join()
    assert spin_until(lambda: threads)
    spin_until(lambda: False, 0.1)
    assert threads == [threading.get_ident()]  # once, and not in the thread that triggered
    guard.trigger()
    assert node.destroy_guard_condition(guard)
    spin_until(lambda: False, 0.1)
    assert len(threads) == 1


def test_one_line_of_code_logs_one_severity(make_node):
    logger = make_node('a').get_logger()
    with pytest.raises(ValueError, match='severity cannot be changed'):
        for log in (logger.info, logger.error):
            log('which?')
    for _ in range(2):
        logger.info('one')
        logger.error('two')
