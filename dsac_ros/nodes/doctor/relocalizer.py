# SPDX-License-Identifier: Apache-2.0
"""Check of a relocalizer that runs: what it made of the images while the doctor listened."""

from __future__ import annotations

from rclpy.node import Node

from dsac_ros.msg import RelocalizationStatus
from dsac_ros.nodes.doctor.finding import Finding, ok, warn
from dsac_ros.types import Result

NAME = 'dsac_relocalizer'
SUBJECT = 'relocalizer'


class RelocalizerRecord:
    """Statuses of a relocalizer on the graph."""

    def __init__(self, node: Node) -> None:
        """Find it, and listen to its status."""
        self.place = next(
            (
                (name, namespace)
                for name, namespace in node.get_node_names_and_namespaces()
                if name == NAME
            ),
            None,
        )
        self._results: list[tuple[int, str]] = []
        if self.place is not None:
            node.create_subscription(
                RelocalizationStatus, f'{self.full_name}/status', self._on_status, 10
            )

    @property
    def full_name(self) -> str:
        """Name with the namespace; '' if none runs."""
        if self.place is None:
            return ''
        name, namespace = self.place
        return f'{namespace.rstrip("/")}/{name}'

    def finding(self) -> Finding:
        """Return what it made of the images."""
        if self.place is None:
            return ok(SUBJECT, 'not running yet: start it with the arguments above')
        if not self._results:
            return warn(
                SUBJECT,
                f'{self.full_name} processed no image meanwhile: its log says what it waits for; '
                'is it active?',
            )
        accepted = sum(result == Result.ACCEPTED for result, _ in self._results)
        text = f'{self.full_name} accepted {accepted} of {len(self._results)} images'
        if accepted:
            return ok(SUBJECT, text)
        result, reason = self._results[-1]
        named = Result(result).name if result in list(Result) else str(result)
        return warn(SUBJECT, f'{text}; the last one was {named}: {reason}')

    def _on_status(self, status: RelocalizationStatus) -> None:
        self._results.append((status.result, status.reason))
