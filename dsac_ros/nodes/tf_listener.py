# SPDX-License-Identifier: Apache-2.0
"""TF listener that records samples, feeds input watches, and tells when time starts over."""

from __future__ import annotations

import time
from collections.abc import Callable

from rclpy.node import Node
from tf2_msgs.msg import TFMessage
from tf2_ros import Buffer, TransformListener

from dsac_ros.nodes.conversions import SECOND_NS
from dsac_ros.nodes.input_watch import Feed
from dsac_ros.nodes.tf_edges import TfEdges
from dsac_ros.sources.image_messages import stamp_ns

COMPLAINT_PERIOD_S = 30.0


class TfListener(TransformListener):
    """Fills the buffer and the record of samples, and calls back after every message."""

    def __init__(
        self,
        buffer: Buffer,
        node: Node,
        edges: TfEdges,
        on_arrival: Callable[[], None],
        on_restart: Callable[[int], None],
    ) -> None:
        """Listen.

        Args:
            buffer: filled.
            node: subscribes.
            edges: filled.
            on_arrival: called when a message is in the buffer.
            on_restart: called before one whose stamps fell, with by how much [ns].
        """
        self._edges, self._on_arrival, self._on_restart = edges, on_arrival, on_restart
        self._logger = node.get_logger()
        self.feed: Feed | None = None
        self.static_feed: Feed | None = None
        super().__init__(buffer, node, spin_thread=False)

    def callback(self, data: TFMessage) -> None:
        """Record dynamic transforms."""
        if self.feed is not None:
            self.feed.arrived()
        self._drop_without_time(data)
        self._record(data, is_static=False)
        super().callback(data)
        self._on_arrival()

    def static_callback(self, data: TFMessage) -> None:
        """Record static transforms."""
        if self.static_feed is not None:
            self.static_feed.arrived()
        self._drop_without_time(data)
        self._record(data, is_static=True)
        super().static_callback(data)
        self._on_arrival()

    def _drop_without_time(self, data: TFMessage) -> None:
        """Drop transforms whose stamps are no times: what is looked up by them cannot be told."""
        wrong = [one for one in data.transforms if one.header.stamp.nanosec >= SECOND_NS]
        if wrong:
            data.transforms = [one for one in data.transforms if one not in wrong]
            self._logger.warning(
                f'{wrong[0].header.frame_id} -> {wrong[0].child_frame_id} is ignored: its stamp '
                f'has {wrong[0].header.stamp.nanosec} ns, expected less than {SECOND_NS}',
                throttle_duration_sec=COMPLAINT_PERIOD_S,
            )

    def _record(self, data: TFMessage, is_static: bool) -> None:
        now = time.monotonic()
        for one in data.transforms:
            sample = one.header.frame_id, one.child_frame_id, stamp_ns(one.header.stamp)
            fall = self._edges.add(*sample, is_static, now)
            if fall:
                self._on_restart(fall)
                self._edges.add(*sample, is_static, now)
