# SPDX-License-Identifier: Apache-2.0
"""cli/main.py: exit codes, one line per known error, quick help."""

from __future__ import annotations

import errno
import resource
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from dsac_ros.cli import main as command
from dsac_ros.errors import SourceError


@pytest.fixture
def verb(monkeypatch):
    """Make the verb `localize` do what the test says; returns a setter of its `run`."""

    def set_run(run, **defaults):
        fake = SimpleNamespace(
            HELP='a fake', run=run, add_arguments=lambda parser: parser.set_defaults(**defaults)
        )
        monkeypatch.setitem(sys.modules, 'dsac_ros.cli.localize', fake)

    return set_run


def raising(error):
    def run(args):
        raise error

    return run


def test_the_verb_decides_the_exit_code(verb):
    verb(lambda args: 7)
    assert command.main(['localize']) == 7


def test_a_known_error_is_one_line(verb, capsys):
    verb(raising(SourceError('found a,\nexpected b')))
    assert command.main(['localize']) == 1
    assert capsys.readouterr().err == 'dsac: error: found a, expected b\n'


def test_an_unknown_error_keeps_its_traceback(verb):
    verb(raising(ZeroDivisionError('a bug')))
    with pytest.raises(ZeroDivisionError, match='a bug'):
        command.main(['localize'])


def test_a_full_disk_is_one_line(verb, capsys):
    verb(raising(OSError(errno.ENOSPC, 'No space left on device', 'big.map')))
    assert command.main(['localize']) == 1
    assert 'the disk of big.map is full' in capsys.readouterr().err


def test_a_file_beyond_the_limit_is_one_line(verb, capsys):
    verb(raising(OSError(errno.EFBIG, 'File too large')))
    assert command.main(['localize']) == 1
    assert 'a file grew beyond what the file system' in capsys.readouterr().err


def test_a_file_that_cannot_be_written_is_one_line(verb, capsys):
    verb(lambda args: Path('/proc/no_such_file').write_text(''))
    assert command.main(['localize']) == 1
    told = capsys.readouterr().err
    assert told.startswith('dsac: error: /proc/no_such_file cannot be read or written: ')
    assert told.count('\n') == 1


def test_os_error_without_a_file_keeps_its_traceback(verb):
    verb(raising(OSError(errno.EAGAIN, 'try again')))
    with pytest.raises(OSError, match='try again'):
        command.main(['localize'])


def test_a_package_that_is_missing_is_one_line(verb, capsys):
    verb(raising(ModuleNotFoundError("No module named 'cv2'", name='cv2')))
    assert command.main(['localize']) == 1
    assert capsys.readouterr().err == (
        'dsac: error: the Python package cv2 is not installed, and `dsac localize` needs it: pip '
        'install opencv-python-headless\n'
    )


def test_missing_module_of_ours_keeps_its_traceback(verb):
    verb(raising(ModuleNotFoundError('a bug', name='dsac_ros.nowhere')))
    with pytest.raises(ModuleNotFoundError, match='a bug'):
        command.main(['localize'])


def test_an_interrupt_says_how_to_go_on(verb, capsys):
    verb(raising(KeyboardInterrupt()), when_interrupted='use --resume')
    assert command.main(['localize']) == 130
    assert 'interrupted: use --resume' in capsys.readouterr().err


@pytest.mark.parametrize('words', [['no-such-verb'], [], ['map'], ['evaluate', 'one']])
def test_wrong_usage_exits_with_2(words, capsys):
    with pytest.raises(SystemExit) as caught:
        command.main(words)
    assert caught.value.code == 2
    assert 'usage: dsac' in capsys.readouterr().err


def processor_seconds():
    """Time that child processes took so far; other work on this machine does not count."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


@pytest.mark.parametrize('words', [[], *([verb] for verb in command.VERBS)])
def test_help_is_quick_and_pulls_nothing_heavy(words):
    code = (
        'import sys\nfrom dsac_ros.cli.main import main\n'
        'try:\n    main(sys.argv[1:])\n'
        'except SystemExit as end:\n    assert not end.code\n'
        "heavy = {'torch', 'cv2', 'numpy', 'rosbags', 'rclpy', 'matplotlib', 'scipy'}\n"
        "print('HEAVY', sorted(heavy & set(sys.modules)))\n"
    )
    before = processor_seconds()
    done = subprocess.run(
        [sys.executable, '-c', code, *words, '--help'], check=True, capture_output=True, text=True
    )
    seconds = processor_seconds() - before
    assert done.stdout.startswith('usage: dsac')
    assert 'HEAVY []' in done.stdout
    assert seconds < 2.0, 'an order of magnitude above what it takes'


def test_a_reader_that_leaves_early_is_no_error(tmp_path):
    code = (
        'import sys\nfrom types import SimpleNamespace\n'
        "sys.modules['dsac_ros.cli.localize'] = SimpleNamespace(HELP='', add_arguments="
        "lambda parser: None, run=lambda args: [print('x' * 100) for _ in range(9999)] and 0)"
        "\nfrom dsac_ros.cli.main import main\nsys.exit(main(['localize']))"
    )
    process = subprocess.Popen(
        [sys.executable, '-c', code], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    process.stdout.readline()
    process.stdout.close()
    assert process.stderr.read() == b''
    assert process.wait() == 0


def test_it_runs_as_a_module():
    done = subprocess.run(
        [sys.executable, '-m', 'dsac_ros.cli.main', 'inspect', 'nowhere.map'],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert done.stderr.startswith('dsac: error: nowhere.map does not exist')
    assert done.stderr.count('\n') == 1
