# SPDX-License-Identifier: Apache-2.0
"""A robot that is driven past places while the mapper, another process, listens."""

from __future__ import annotations

from functools import partial

import numpy as np
from geometry_msgs.msg import PoseArray
from robot import LATCHED, Robot, camera_info, texture
from std_srvs.srv import Trigger

from dsac_ros.msg import MappingStatus, PosedFrame
from dsac_ros.nodes import conversions
from dsac_ros.sources.image_messages import stamp_ns

SECOND = 1_000_000_000


class Driver(Robot):
    """A robot that is driven past places while the mapper listens."""

    def __init__(self, **parameters) -> None:
        super().__init__('mapper', **parameters)
        self.listen(MappingStatus, f'{self.me}/status')
        self.listen(PoseArray, f'{self.me}/keyframes', LATCHED)
        self.listen(PosedFrame, f'{self.me}/keyframe')
        assert self.spin(lambda: self.of('status'), 90.0), self.process.output
        assert self.spin(
            lambda: (
                self.images.get_subscription_count() > 0
                and self.infos.get_subscription_count() > 0
                and self.tf.pub_tf.get_subscription_count() > 1  # the robot listens as well
            )
        )

    def service(self, name: str) -> Trigger.Response:
        return self.call(Trigger, f'{self.me}/{name}', Trigger.Request())

    @property
    def status(self) -> MappingStatus:
        return self.of('status')[-1]

    def wait_for(self, condition, timeout: float = 30.0) -> MappingStatus:
        assert self.spin(lambda: condition(self.status), timeout), (
            f'{self.status}\n{self.process.output}'
        )
        return self.status

    def pose_at(self, place: float) -> np.ndarray:
        return conversions.matrix_from_xyz_rpy([place, 2.0, 0.0, 0.0, 0.0, 0.5 + 0.01 * place])

    def be_at(self, place: float, stamp: int) -> None:
        """Say by TF where the base is around a stamp."""
        for offset in (-SECOND // 10, 0, SECOND // 10):
            self.send('map', 'base_link', stamp + offset, self.pose_at(place))

    def send(self, parent: str, child: str, stamp: int, matrix: np.ndarray) -> None:
        """Say one transform by TF."""
        self.tf.sendTransform(conversions.transform_message(parent, child, stamp, matrix))

    def drive_past(self, places, image=texture) -> None:
        """One image at each place, until the mapper has judged it, and its status says so.

        The status comes once a second: that an image has become a keyframe is heard before.
        """
        judged = self.status.images
        for number, place in enumerate(places):
            for _ in range(5):
                stamp = self.now()
                self.be_at(place, stamp)
                self.show(image(number), camera_info(), stamp=stamp)
                if self.spin(partial(self.has_judged, judged + 1, stamp), 4.0):
                    judged = max(judged + 1, self.status.images)
                    break
        self.spin(partial(self.has_judged, judged), 4.0)

    def has_judged(self, count: int, stamp: int | None = None) -> bool:
        """So many images, or one that has become a keyframe."""
        return self.status.images >= count or stamp in map(stamp_of, self.of('keyframe')[-1:])


def stamp_of(message: PosedFrame) -> int:
    return stamp_ns(message.header.stamp)
