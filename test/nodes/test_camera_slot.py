# SPDX-License-Identifier: Apache-2.0
"""The newest image of each camera, taken in turns."""

from __future__ import annotations

import threading
import time

from dsac_ros.nodes.camera_slot import CameraSlot
from dsac_ros.nodes.worker import Worker


def slot_of(*items):
    slot = CameraSlot(lambda item: item[0])
    for item in items:
        slot.put(item)
    return slot


def test_only_images_of_the_same_camera_are_replaced():
    slot = slot_of(('a', 1), ('b', 1), ('a', 2), ('a', 3))
    assert slot.dropped == 2
    assert {slot.take(), slot.take()} == {('a', 3), ('b', 1)}


def test_cameras_take_turns():
    slot = slot_of(('a', 0), ('b', 0), ('c', 0))
    order = []
    for number in range(9):
        order.append(slot.take()[0])
        slot.put(('a', number))  # the fast one has always a new image
        slot.put((order[-1], number))
    assert sorted(order[:3]) == sorted(order[3:6]) == sorted(order[6:]) == ['a', 'b', 'c']


def test_a_fast_camera_does_not_starve_a_slow_one():
    """60 and 5 images a second; the worker manages 20."""
    served = {'fast': 0, 'slow': 0}

    def work(item):
        served[item[0]] += 1
        time.sleep(0.05)

    worker = Worker(work, lambda item, error: None, slot=CameraSlot(lambda item: item[0]))
    stop = threading.Event()

    def camera(name, rate):
        number = 0
        while not stop.wait(1.0 / rate):
            number += 1
            worker.slot.put((name, number))

    threads = [
        threading.Thread(target=camera, args=one) for one in (('fast', 60.0), ('slow', 5.0))
    ]
    begin = time.monotonic()
    for thread in threads:
        thread.start()
    while served['slow'] < 8 and time.monotonic() - begin < 10.0:
        time.sleep(0.01)
    took = time.monotonic() - begin
    stop.set()
    for thread in threads:
        thread.join()
    assert worker.stop()
    assert served['slow'] >= 8 and took < 4.0  # 1.6 s where nothing is missed
    assert served['fast'] >= served['slow'] and worker.slot.dropped > 0


def test_a_closed_slot_ends_the_wait():
    slot = slot_of()
    threading.Timer(0.05, slot.close).start()
    assert slot.take() is None
