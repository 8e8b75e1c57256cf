# SPDX-License-Identifier: Apache-2.0
"""Rules for the transforms of a replayed bag, so that one node holds each edge of the TF tree."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

ACTIONS = ('drop', 'rename', 'keep')


class Verdict(Enum):
    """Outcome for one transform."""

    PASS = 'pass'
    DROP = 'drop'
    INVERT = 'invert'


@dataclass(frozen=True)
class TfRule:
    """Rule for the transform map_frame -> odom_frame of the bag; all others pass.

    Attributes:
        map_odom: drop; rename: publish it as odom_frame -> reference_frame, inverted, since a
            frame has one parent and that of odom_frame is left to the node under test; keep.
        map_frame: its parent.
        odom_frame: its child.
        reference_frame: name of the bag's map frame after `rename`.
        leaf_frame: child of a relocalizer that ran during the recording, dropped in any case.
    """

    map_odom: str = 'drop'
    map_frame: str = 'map'
    odom_frame: str = 'odom'
    reference_frame: str = 'map_gt'
    leaf_frame: str = 'dsac_base_link'

    def verdict(self, parent: str, child: str) -> Verdict:
        """Return what becomes of a transform; leading slashes of old frames do not count."""
        parent, child = parent.lstrip('/'), child.lstrip('/')
        if self.leaf_frame and child == self.leaf_frame:
            return Verdict.DROP
        if (parent, child) != (self.map_frame, self.odom_frame) or self.map_odom == 'keep':
            return Verdict.PASS
        return Verdict.INVERT if self.map_odom == 'rename' else Verdict.DROP
