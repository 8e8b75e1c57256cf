# SPDX-License-Identifier: Apache-2.0
"""Refused images that together may tell where the robot is, and those that may not."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest

from dsac_ros.localizer import Localizer
from dsac_ros.map_file import load_map
from dsac_ros.nodes.relocalization import DebugView, NodeOutput
from dsac_ros.nodes.rig_evidence import RigEvidence
from dsac_ros.nodes.transforms import TransformUnavailable
from dsac_ros.recovery.config import RecoveryConfig
from dsac_ros.types import Result

pytestmark = pytest.mark.slow


class LateOdometry:
    """Odometry that TF does not know yet; it counts the images that ask."""

    asked = 0

    def at(self, output):
        self.asked += 1
        raise TransformUnavailable('no odometry yet')


@pytest.mark.parametrize(('has_twins', 'kept'), [(False, 1), (True, 0)])
def test_images_of_a_twin_are_no_evidence(tiny_map, has_twins, kept):
    loaded = load_map(tiny_map.map)
    views = list(range(int(loaded.points.view.max()) + 1)) if has_twins else []
    localizer = Localizer(replace(loaded, header={**loaded.header, 'twin_views': views}), 'cpu')
    frame = tiny_map.queries[0].frame
    trace = localizer.trace(frame)
    weak = replace(trace.localization, result=Result.LOW_INLIERS)
    output = NodeOutput(weak, frame.stamp_ns, 'camera', view=DebugView(frame, trace))
    odometry = LateOdometry()
    evidence = RigEvidence(odometry)
    assert evidence.add(output, SimpleNamespace(localizer=localizer), RecoveryConfig()) is None
    assert odometry.asked == kept
