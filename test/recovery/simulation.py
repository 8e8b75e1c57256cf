# SPDX-License-Identifier: Apache-2.0
"""A simulated robot on a real graph, in lock-step with the relocalizer.

Simulated time stands still until the node has answered an image: ten minutes of driving take one,
and what comes out does not depend on how busy the machine is.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import se2
from amcl_stand_in import AmclStandIn
from geometry_msgs.msg import PoseWithCovarianceStamped
from places import BASE_FROM_CAMERA, CAMERA, GOOD_VIEW_M, Place
from robot import LATCHED, LOOSE, Robot, camera_info
from rosgraph_msgs.msg import Clock
from simulated_robot import SimulatedRobot
from std_msgs.msg import Bool

from dsac_ros.msg import RelocalizationStatus as Status
from dsac_ros.nodes import conversions
from dsac_ros.sources.image_messages import stamp_ns
from dsac_ros.synthetic.drive import START_NS

TICK_NS = 100_000_000
# Real time that a tick takes at least: a second of the simulation is at least 50 ms.
TICK_S = 0.005
# An answer takes a tenth of a second, or a few on a busy machine; a node that is not there, none.
PATIENCE_S = 20.0
# A seed further off than this is wrong; AMCL would not find from there to the truth by itself.
WRONG_SEED_M, WRONG_SEED_DEG = 0.5, 15.0
FOUND_M, FOUND_DEG = 0.3, 10.0
IN_TIME_S = 10.0
# A kidnap puts the robot at least this far away, or turns it so far: well out of AMCL's basin.
KIDNAP_M, KIDNAP_DEG = 1.5, 60.0


@dataclass(frozen=True)
class View:
    """One image that was shown: its stamp [ns], the truth then, and if the place can be told."""

    stamp: int
    truth: np.ndarray
    good: bool


class Simulation(Robot):
    """A robot, its localizer and a relocalizer; `run` lets simulated seconds pass.

    `sends_info` and `sends_images` switch what the camera driver publishes. `views` are all images
    shown, `seeds` all that the relocalizer published on initialpose, `lost_images` those it never
    answered.
    """

    base_from_camera = BASE_FROM_CAMERA

    def __init__(
        self,
        robot: SimulatedRobot,
        *,
        image_period: float = 0.5,
        localizer: bool = True,
        **options,
    ) -> None:
        super().__init__(use_sim_time=True, max_rate=0.0, **options)
        self.robot, self.now_ns = robot, START_NS
        self.sends_info = self.sends_images = True
        self.views: list[View] = []
        self.lost_images = 0
        self._ticks = 0
        self._ticks_per_image = round(image_period * 1e9 / TICK_NS)
        self._truth_stamps: list[int] = []
        self._truths: list[np.ndarray] = []
        self._clock = self.node.create_publisher(Clock, '/clock', LOOSE)
        self.listen_to_relocalizer()
        self.seeds = self.listen(PoseWithCovarianceStamped, 'initialpose')
        self.kidnapped = self.listen(Bool, f'{self.me}/kidnapped', LATCHED)
        self.amcl: AmclStandIn | None = None
        if localizer:
            self.amcl = AmclStandIn(lambda: self.robot.truth, context=self.context)
            self.executor.add_node(self.amcl)

    def close(self) -> None:
        if self.amcl is not None:
            self.executor.remove_node(self.amcl)
            self.amcl.destroy_node()
        super().close()

    @property
    def status(self) -> list[Status]:
        """Every status heard."""
        return self.of('status')

    @property
    def states(self) -> list[int]:
        """The states heard, without repetitions in a row."""
        states = [message.state for message in self.status]
        return [state for k, state in enumerate(states) if k == 0 or state != states[k - 1]]

    @property
    def seconds(self) -> float:
        """Simulated time since the start [s]."""
        return (self.now_ns - START_NS) / 1e9

    def run(self, seconds: float, until: Callable[[], bool] = lambda: False) -> bool:
        """Let that much time pass, or less if the condition holds; return True if it does."""
        for _ in range(round(seconds * 1e9 / TICK_NS)):
            if until():
                break
            self.tick()
        return until()

    def tick(self) -> None:
        """Let a tenth of a second pass."""
        self.robot.advance(TICK_NS / 1e9)
        self.now_ns += TICK_NS
        self._truth_stamps.append(self.now_ns)
        self._truths.append(self.robot.truth.copy())
        self._clock.publish(Clock(clock=conversions.time_message(self.now_ns)))
        self._publish_odometry()
        if self.amcl is not None:
            self.amcl.scan(self.now_ns, self.robot.odometry.copy())
        self._ticks += 1
        if self._ticks % self._ticks_per_image == 0 and self.sends_images:
            self.show_view()
        self.spin(lambda: False, TICK_S)  # what the node does by a clock of its own

    def show_view(self) -> None:
        """Publish what the camera sees, and wait for the answer."""
        image, depth = self.robot.take_image()
        head = conversions.header('camera', self.now_ns)
        if self.sends_info:
            info = sent_info()
            info.header = head
            self.infos.publish(info)
        good = depth >= GOOD_VIEW_M and not self.robot.covered
        self.views.append(View(self.now_ns, self.robot.truth.copy(), good))
        before = len(self.status)
        self.images.publish(conversions.image_message(image, head))
        self.lost_images += not self.spin(lambda: self._answered(before), PATIENCE_S)

    def kidnap(self, rng: np.random.Generator, place: Place | None = None) -> None:
        """Put the robot anywhere else in its place, or in another one."""
        here = self.robot.truth
        while True:
            pose = (place or self.robot.place).random_pose(rng)
            metres, degrees = se2.difference(pose, here)
            if place is not None or metres > KIDNAP_M or degrees > KIDNAP_DEG:
                return self.robot.kidnap(pose, place)

    def seconds_to_recover(self, patience_s: float = 40.0) -> float:
        """Drive until the localizer knows where the robot is.

        Returns:
            The time since the first good view from now on [s]; infinity if it never does.
        """
        begin = self.now_ns
        if not self.run(patience_s, self.is_found):
            return math.inf
        first = next((v.stamp for v in self.views if v.good and v.stamp > begin), self.now_ns)
        return (self.now_ns - first) / 1e9

    def jump_back(self, seconds: float) -> None:
        """Set the clock back, as a simulator that is reset does."""
        self.now_ns -= int(seconds * 1e9)
        keep = bisect.bisect_right(self._truth_stamps, self.now_ns)
        del self._truth_stamps[keep:], self._truths[keep:]
        if self.amcl is not None:
            self.amcl.forget_time()

    def truth_at(self, stamp: int) -> np.ndarray:
        """The true pose at the tick next to a stamp."""
        return self._truths[
            min(bisect.bisect_left(self._truth_stamps, stamp), len(self._truths) - 1)
        ]

    def seed_errors(self) -> list[tuple[float, float]]:
        """Distance [m] and angle [deg] from the truth of each seed at its stamp."""
        return [
            se2.difference(
                se2.from_matrix(conversions.matrix_from_pose(seed.pose.pose)),
                self.truth_at(stamp_ns(seed.header.stamp)),
            )
            for seed in self.seeds
        ]

    def wrong_seeds(self) -> int:
        """Count the seeds that are not where the robot is."""
        return sum(m > WRONG_SEED_M or deg > WRONG_SEED_DEG for m, deg in self.seed_errors())

    def false_accepts(self) -> int:
        """Count the accepted images whose pose is not where the robot was."""
        count = 0
        for status in self.status:
            if status.result == Status.ACCEPTED:
                pose = se2.from_matrix(conversions.matrix_from_pose(status.pose.pose))
                metres, degrees = se2.difference(
                    pose, self.truth_at(stamp_ns(status.header.stamp))
                )
                count += metres > WRONG_SEED_M or degrees > WRONG_SEED_DEG
        return count

    def is_found(self) -> bool:
        """Return True while the localizer knows where the robot is."""
        metres, degrees = self.amcl.error()
        return metres < FOUND_M and degrees < FOUND_DEG

    def accepted_share(self, since: int = 0) -> float:
        """Share of the good views from a stamp on that were accepted."""
        good = {view.stamp for view in self.views if view.good and view.stamp >= since}
        accepted = {stamp_ns(m.header.stamp) for m in self.status if m.result == Status.ACCEPTED}
        return len(good & accepted) / max(len(good), 1)

    def is_localized(self) -> bool:
        """Return True if the relocalizer says so."""
        return bool(self.of('localized')) and self.of('localized')[-1].data

    def _publish_odometry(self) -> None:
        pose = se2.to_matrix(self.robot.odometry)
        self.tf.sendTransform(
            conversions.transform_message('odom', 'base_link', self.now_ns, pose)
        )

    def _answered(self, before: int) -> bool:
        return any(stamp_ns(m.header.stamp) == self.now_ns for m in self.status[before:])


def sent_info():
    """The camera_info of the simulated camera."""
    width, height = CAMERA.size_wh
    return camera_info(width=width, height=height, k=[float(v) for v in CAMERA.matrix.reshape(9)])
