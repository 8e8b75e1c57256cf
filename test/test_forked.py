# SPDX-License-Identifier: Apache-2.0
"""A fork behaves as a new process does."""

import os
import signal
import subprocess
import sys
import time

import forked
import pytest

from embedded_ros.testing import RunningProcess, launch

pytestmark = pytest.mark.skipif(sys.platform != 'linux', reason='elsewhere nothing is forked')
PROGRAM = """
import json, os, signal, sys, time
print('as main', __name__ == '__main__', sys.argv[1:], os.environ['OF_A_TEST'], sys.path[0])
print('torch is here', 'torch' in sys.modules)
if sys.argv[1] == 'wait':
    print('waiting', flush=True)
    time.sleep(60)
sys.exit(int(sys.argv[1]))
"""


@pytest.fixture
def start(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'program.py').write_text(PROGRAM)
    started = []

    def run(*words, how=forked.launch, **environment):
        command = [sys.executable, '-m', 'program', *words]
        started.append(RunningProcess(command, launch=how, OF_A_TEST='said', **environment))
        return started[-1]

    yield run
    for process in started:
        process.kill()


def test_runs_the_module_as_a_new_process_would(start, tmp_path):
    process = start('0', 'word')
    assert process.wait() == 0
    said = process.lines
    again = start('0', 'word', how=launch)
    assert again.wait() == 0
    assert said[0] == again.lines[0] == f"as main True ['0', 'word'] said {tmp_path}"
    assert (said[1], again.lines[1]) == ('torch is here True', 'torch is here False')


def test_the_exit_code_is_that_of_the_program(start):
    assert start('3').wait() == start('3', how=launch).wait() == 3


def test_signals_end_it(start):
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
        codes = []
        for how in (forked.launch, launch):
            process = start('wait', how=how)
            process.wait_for('waiting')
            codes.append(process.stop(number))
        assert codes[0] == codes[1] == -number, number


def test_an_exception_is_told(start):
    process = start()
    assert process.wait() == 1 and 'IndexError' in process.lines[-1]


def test_waiting_has_an_end(start):
    process = start('wait')
    process.wait_for('waiting')
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.05)
    assert os.getpgid(process.pid) == process.pid != os.getpid()


def test_forks_end_with_their_server(tmp_path):
    """And the server with the process of the tests, however that ends."""
    (tmp_path / 'program.py').write_text(PROGRAM)
    script = (
        'import os, sys, forked, time\n'
        "fork = forked.launch([sys.executable, '-m', 'program', 'wait'], "
        "{**os.environ, 'OF_A_TEST': ''})\n"
        'print(fork.pid, flush=True)\n'
        'time.sleep(60)\n'
    )
    path = os.pathsep.join([os.path.dirname(forked.__file__), os.environ['PYTHONPATH']])
    owner = subprocess.Popen(
        [sys.executable, '-c', script],
        stdout=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        env={**os.environ, 'PYTHONPATH': path},
    )
    pid = int(owner.stdout.readline())
    assert is_alive(pid)
    owner.kill()
    owner.wait()
    end = time.monotonic() + 20.0
    while is_alive(pid) and time.monotonic() < end:
        time.sleep(0.02)
    assert not is_alive(pid)
    owner.stdout.close()


def is_alive(pid):
    """Neither gone nor a zombie."""
    try:
        with open(f'/proc/{pid}/stat') as file:
            return file.read().rsplit(')', 1)[1].split()[0] != 'Z'
    except (FileNotFoundError, ProcessLookupError):
        return False
