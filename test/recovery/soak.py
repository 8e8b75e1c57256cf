# SPDX-License-Identifier: Apache-2.0
"""Half an hour of driving with faults injected at random; not a test, run it by hand.

    python test/recovery/soak.py --minutes 30 --map room.map

Prints memory and threads of the relocalizer each minute. The exit code is 1 when memory grew,
a thread was lost, a seed was wrong or the node ended.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
TEST = HERE.parent
sys.path[:0] = [str(path) for path in (ROOT, ROOT / 'embedded', TEST, TEST / 'nodes', HERE)]

from dsac_ros.nodes.runtime import offer_runtime  # noqa: E402
from embedded_ros.testing import stay_on_this_machine  # noqa: E402

stay_on_this_machine()
offer_runtime()

from lifecycle_msgs.msg import Transition  # noqa: E402
from mapped_places import learn_room  # noqa: E402
from places import OTHER_ROOM, Place  # noqa: E402
from processes import memory_mb, thread_count  # noqa: E402
from robot import untrained_map  # noqa: E402
from simulated_robot import SimulatedRobot  # noqa: E402
from simulation import Simulation  # noqa: E402

# Allocators and caches fill in the first quarter; what grows after that leaks. Faults come at
# random, and two maps are held while one is loaded: compared are the largest values of two halves.
SETTLED = 0.25
MAX_GROWTH = 0.1
PARAMETERS = (
    ('num_hypotheses', (512, 2048)),
    ('max_image_age', (0.5, 1.0)),
    ('localization_timeout', (2.0, 5.0)),
    ('covariance_scale', (1.0, 3.0)),
)


class Faults:
    """Each method is a fault that ends by itself; simulated seconds pass meanwhile."""

    def __init__(self, simulation: Simulation, folder: Path, room: Path, seed: int) -> None:
        self._simulation, self._robot = simulation, simulation.robot
        self._rng = np.random.default_rng(seed)
        self._room, self._other = room, untrained_map(folder / 'untrained.map')
        self._home, self._away = Place(), Place(OTHER_ROOM)
        self.counts: dict[str, int] = {}

    def inject(self) -> None:
        """One fault, drawn at random."""
        names = [name for name in dir(Faults) if name.startswith('fault_')]
        name = str(self._rng.choice(names))
        self.counts[name] = self.counts.get(name, 0) + 1
        getattr(self, name)()

    def fault_kidnap(self) -> None:
        self._simulation.kidnap(self._rng)
        self._simulation.run(20.0, self._simulation.is_found)

    def fault_kidnap_off_the_map(self) -> None:
        self._simulation.kidnap(self._rng, self._away)
        self._simulation.run(10.0)
        self._simulation.kidnap(self._rng, self._home)
        self._simulation.run(20.0, self._simulation.is_found)

    def fault_cover(self) -> None:
        self._robot.covered = True
        self._simulation.run(float(self._rng.uniform(1.0, 10.0)))
        self._robot.covered = False

    def fault_no_camera_info(self) -> None:
        self._simulation.sends_info = False
        self._simulation.run(6.0)
        self._simulation.sends_info = True

    def fault_no_images(self) -> None:
        self._simulation.sends_images = False
        self._simulation.run(10.0)
        self._simulation.sends_images = True

    def fault_clock_jump(self) -> None:
        self._simulation.jump_back(float(self._rng.uniform(5.0, 60.0)))

    def fault_localizer_restarted(self) -> None:
        self._simulation.amcl.pose = None
        self._simulation.run(20.0, self._simulation.is_found)

    def fault_map_swap(self) -> None:
        for path in (self._other, self._room):
            self._simulation.set_parameter('map', str(path))
            self._simulation.run(5.0)

    def fault_parameter(self) -> None:
        name, values = PARAMETERS[int(self._rng.integers(len(PARAMETERS)))]
        self._simulation.set_parameter(name, values[int(self._rng.integers(2))])

    def fault_lifecycle(self) -> None:
        self._simulation.sends_images = False
        names = ['DEACTIVATE', 'ACTIVATE']
        if self._rng.uniform() < 0.5:
            names[1:1] = ['CLEANUP', 'CONFIGURE']
        for name in names:
            if not self._simulation.change_state(getattr(Transition, f'TRANSITION_{name}')):
                raise AssertionError(f'{name} was refused')
            self._simulation.run(1.0)
        if not self._simulation.spin(self._simulation.images.get_subscription_count, 10.0):
            raise AssertionError('no subscription to the images after activation')
        self._simulation.sends_images = True


def soak(room: Path, folder: Path, minutes: float, seed: int) -> int:
    """Return the exit code."""
    simulation = Simulation(
        SimulatedRobot(Place(), seed=seed),
        map=str(room),
        tf_mode='none',
        publish_initialpose='auto',
    )
    with contextlib.closing(simulation):
        simulation.wait_for_node()
        simulation.amcl.place_at(simulation.robot.truth)
        faults = Faults(simulation, folder, room, seed)
        pid, begin, rows = simulation.process.pid, time.monotonic(), []
        print('minute  simulated s  images  seeds  wrong  lost  memory MB  threads', flush=True)
        while time.monotonic() - begin < 60 * minutes:
            simulation.run(5.0)
            faults.inject()
            if time.monotonic() - begin >= 60 * (len(rows) + 1):
                rows.append((memory_mb(pid), thread_count(pid)))
                counts = (
                    f'{len(rows):6d}  {simulation.seconds:11.0f}  {len(simulation.status):6d}  '
                    f'{len(simulation.seeds):5d}  {simulation.wrong_seeds():5d}  '
                    f'{simulation.lost_images:4d}'
                )
                print(f'{counts}  {rows[-1][0]:9.1f}  {rows[-1][1]:7d}', flush=True)
        print(f'faults: {faults.counts}')
        return verdict(rows, simulation)


def verdict(rows: list[tuple[float, int]], simulation: Simulation) -> int:
    """Print what went wrong; return the exit code."""
    problems = []
    settled = rows[int(SETTLED * len(rows)) :]
    middle = len(settled) // 2
    before, after = (
        max(mb for mb, _ in half) for half in (settled[: middle + 1], settled[middle:])
    )
    if after > (1 + MAX_GROWTH) * before:
        problems.append(f'memory grew from {before:.0f} to {after:.0f} MB')
    if settled[-1][1] != settled[0][1]:
        problems.append(f'{settled[0][1]} threads became {settled[-1][1]}')
    if simulation.wrong_seeds():
        problems.append(f'{simulation.wrong_seeds()} wrong seeds')
    if 'Traceback' in simulation.process.output:
        problems.append(f'the node said:\n{simulation.process.output[-3000:]}')
    print('\n'.join(problems) or 'nothing went wrong')
    return int(bool(problems))


def main() -> int:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or '').splitlines()[0])
    parser.add_argument('--minutes', type=float, default=30.0, help='real time [min]')
    parser.add_argument('--map', type=Path, help='map of the room; without it one is learned')
    parser.add_argument('--seed', type=int, default=0, help='of the faults')
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        room = arguments.map or Path(folder) / 'room.map'
        if arguments.map is None:
            learn_room(room)
        return soak(room, Path(folder), arguments.minutes, arguments.seed)


if __name__ == '__main__':
    sys.exit(main())
