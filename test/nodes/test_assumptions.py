# SPDX-License-Identifier: Apache-2.0
"""Assumptions of a node about a camera stand in its log, once."""

from __future__ import annotations

from types import SimpleNamespace

from robot import camera_info, texture

from dsac_ros.nodes import conversions
from dsac_ros.nodes.assumptions import AssumptionLog


def test_an_assumption_is_logged_once():
    lines = []
    log = AssumptionLog(SimpleNamespace(get_logger=lambda: SimpleNamespace(warning=lines.append)))
    info = camera_info()
    log.log(conversions.camera_from_info(info, texture(0), rectified=False))
    assert lines == []
    info.distortion_model, info.d = '', [-0.3, 0.1, 0.0, 0.0, 0.0]
    for _ in range(3):
        camera = conversions.camera_from_info(info, texture(0), rectified=False)
        log.log(camera)
    assert camera.model == 'plumb_bob'
    assert lines == [
        'assumed: a calibration without a model has 5 distortion coefficients: taken as plumb_bob'
    ]
