# SPDX-License-Identifier: Apache-2.0
"""Milliseconds of stages, some of them inside of others."""

import pytest
import torch

from dsac_ros.compute import stopwatch
from dsac_ros.compute.stopwatch import Stopwatch


def test_a_stage_does_not_pay_for_those_inside_of_it(monkeypatch):
    now = iter((0.0, 1.0, 2.0, 5.0, 9.0, 12.0, 12.5, 13.0, 20.0))
    monkeypatch.setattr(stopwatch.time, 'perf_counter', lambda: next(now))
    clock = Stopwatch(torch.device('cpu'))
    with clock.stage('outer'):  # 1 to 20
        with clock.stage('inner'), clock.stage('again'):  # 2 to 12, 5 to 9
            pass
        with clock.stage('again'):  # 12.5 to 13
            pass
    assert clock.laps == pytest.approx({'again': 4500.0, 'inner': 6000.0, 'outer': 8500.0})
