# SPDX-License-Identifier: Apache-2.0
"""nodes/reconsidered.py: what becomes of an output after its image was localized."""

from __future__ import annotations

import numpy as np
import pytest

from dsac_ros.confidence import REFUSED_MOST
from dsac_ros.nodes.reconsidered import jump_rejected, out_of_map, voided
from dsac_ros.nodes.relocalization import NodeOutput
from dsac_ros.types import Localization, Result

ACCEPTED = NodeOutput(
    Localization(Result.ACCEPTED, stamp_ns=7, world_from_camera=np.eye(4), confidence=0.9),
    7,
    'optical',
    map_from_camera=np.eye(4),
    map_from_base=np.eye(4),
    covariance=np.eye(6),
    camera='front',
)


@pytest.mark.parametrize(
    ('output', 'result'),
    [(jump_rejected(ACCEPTED, 'far'), Result.JUMP_REJECTED), (voided(ACCEPTED), Result.STALE)],
)
def test_a_refused_output_has_no_pose(output, result):
    assert output.localization.result is result and output.localization.reason
    assert output.map_from_camera is None and output.map_from_base is None
    assert output.localization.confidence <= REFUSED_MOST
    assert (output.stamp, output.camera_frame, output.camera) == (7, 'optical', 'front')


@pytest.mark.parametrize('result', list(Result))
def test_only_too_few_inliers_are_out_of_the_map(result):
    found = out_of_map(NodeOutput(Localization(result, 'why'), 7, 'optical')).localization
    few = result in (Result.LOW_INLIERS, Result.LOW_SPREAD)
    assert found.result is (Result.OUT_OF_MAP if few else result)
    assert found.reason == 'why'
