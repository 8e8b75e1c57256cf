# SPDX-License-Identifier: Apache-2.0
"""The demo's two drives through one rendered room, drawn side by side in two processes."""

from __future__ import annotations

import multiprocessing
import queue
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dsac_ros.errors import SourceError

# A short route, so that a laptop learns it in two minutes; the second drive takes the same route
# at another pace and with another gaze, its camera a little higher.
ROUTE, SWING = 0, 0.25
MAPPING_HZ, RATE_HZ = 8.0, 4.0
MAPPING_HEIGHT_M, HELD_OUT_HEIGHT_M = 1.0, 1.05
SIZE_WH = (480, 360)


@dataclass(frozen=True)
class Recording:
    """One bag to be made: a drive of so many frames through the room of `world_seed`."""

    bag: Path
    world_seed: int
    drive_seed: int
    frames: int
    held_out: bool


def record(recording: Recording, done: Any) -> None:
    """Draw one drive into its bag, in a process of its own; `done` gets a word per frame."""
    # The terminal's Ctrl-C goes to all processes; the parent ends this one.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    import torch

    from dsac_ros.sources.rendered import robot_camera
    from dsac_ros.sources.rendered_recording import record_drive
    from dsac_ros.synthetic.drive import drive
    from dsac_ros.synthetic.world import RenderedWorld

    torch.set_num_threads(1)
    world = RenderedWorld(recording.world_seed)
    rate, height = (
        (RATE_HZ, HELD_OUT_HEIGHT_M) if recording.held_out else (MAPPING_HZ, MAPPING_HEIGHT_M)
    )
    path = drive(
        world, recording.drive_seed, recording.frames, rate, height, route=ROUTE, swing=SWING
    )
    record_drive(
        world,
        path,
        recording.bag,
        camera=robot_camera(SIZE_WH),
        seed=recording.drive_seed,
        held_out=recording.held_out,
        progress=lambda *_: done.put(None),
    )


def record_all(recordings: Sequence[Recording]) -> Iterator[None]:
    """Make the bags at the same time; yields once per frame drawn.

    Raises SourceError when one of the processes fails.
    """
    # spawn: torch's threads do not survive a fork.
    context = multiprocessing.get_context('spawn')
    done = context.Queue()
    with running([context.Process(target=record, args=(one, done)) for one in recordings]) as all_:
        for _ in range(sum(one.frames for one in recordings)):
            while True:
                try:
                    yield done.get(timeout=0.5)
                    break
                except queue.Empty:
                    check(all_)
        for process in all_:
            process.join()
        check(all_)


def check(processes: Sequence[Any]) -> None:
    """Raise SourceError when a process has failed."""
    failed = [process.exitcode for process in processes if process.exitcode]
    if failed:
        raise SourceError(f'drawing the room ended with code {failed[0]}; the reason stands above')


@contextmanager
def running(processes: Sequence[Any]) -> Iterator[Sequence[Any]]:
    """The processes, started; what still runs at the end is ended."""
    try:
        for process in processes:
            process.start()
        yield processes
    finally:
        for process in processes:
            if process.is_alive():
                process.terminate()
                process.join()
