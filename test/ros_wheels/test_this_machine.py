# SPDX-License-Identifier: Apache-2.0
"""`make test-ros` says in one line why it cannot be done here, and that is no failure."""

import platform
import sysconfig

import pytest
import run_tests
import this_machine


@pytest.fixture
def complete(monkeypatch, tmp_path):
    """A machine with everything, whatever this one has."""
    (tmp_path / 'Python.h').touch()
    monkeypatch.setattr(platform, 'system', lambda: 'Linux')
    monkeypatch.setattr(platform, 'machine', lambda: 'x86_64')
    monkeypatch.setattr(platform, 'libc_ver', lambda: ('glibc', '2.28'))
    monkeypatch.setattr(platform, 'python_version_tuple', lambda: ('3', '12', '1'))
    monkeypatch.setattr(sysconfig, 'get_path', lambda name: str(tmp_path))
    monkeypatch.setattr('shutil.which', lambda name: f'/usr/bin/{name}')
    monkeypatch.delenv('CC', raising=False)
    monkeypatch.delenv('CXX', raising=False)
    return tmp_path


def test_nothing_is_missing(complete):
    assert this_machine.what_is_missing() is None


@pytest.mark.parametrize(
    ('function', 'value', 'said'),
    [
        ('system', 'Darwin', 'this is Darwin on x86_64, and the wheels of ROS 2 are for Linux'),
        ('machine', 'aarch64', 'this is Linux on aarch64'),
        (
            'libc_ver',
            ('glibc', '2.27'),
            'this is glibc 2.27, and the wheels of ROS 2 need glibc 2.28',
        ),
        ('libc_ver', ('', ''), 'this is another C library'),
    ],
)
def test_another_platform(complete, monkeypatch, function, value, said):
    monkeypatch.setattr(platform, function, lambda: value)
    assert said in this_machine.what_is_missing()


@pytest.mark.parametrize('minor', ['9', '15'])
def test_another_python(complete, monkeypatch, minor):
    monkeypatch.setattr(platform, 'python_version_tuple', lambda: ('3', minor, '0'))
    assert 'the wheels of ROS 2 are for 3.10 to 3.14' in this_machine.what_is_missing()


@pytest.mark.parametrize(
    ('present', 'said'),
    [
        ('gcc', 'c++ or g++ is missing, which builds the messages: sudo apt install g++'),
        ('g++', 'cc or gcc is missing, which builds the messages: sudo apt install gcc'),
    ],
)
def test_no_compiler(complete, monkeypatch, present, said):
    monkeypatch.setattr('shutil.which', lambda name: name if name == present else None)
    assert this_machine.what_is_missing() == said


def test_the_compiler_that_the_user_names_counts(complete, monkeypatch):
    monkeypatch.setenv('CXX', 'clang++-99 -O1')
    monkeypatch.setattr('shutil.which', lambda name: None if name == 'clang++-99' else name)
    assert this_machine.what_is_missing().startswith('clang++-99 is missing')


def test_no_headers_of_python(complete):
    (complete / 'Python.h').unlink()
    assert 'sudo apt install python3-dev' in this_machine.what_is_missing()


def test_the_reason_is_one_line_and_no_failure(complete, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(platform, 'machine', lambda: 'aarch64')
    assert run_tests.main(str(tmp_path / 'environment')) == 0
    said = capsys.readouterr().out
    assert said.startswith('== no tests on rclpy: this is Linux on aarch64')
    assert said.count('\n') == 1
    assert not (tmp_path / 'environment').exists()
