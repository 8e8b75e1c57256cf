# SPDX-License-Identifier: Apache-2.0
"""Nothing of Fast DDS stays in shared memory, and what others use does."""

import fcntl

import pytest
import shared_memory

SEGMENT, PORT = 'fastrtps_0123456789abcdef', 'fastrtps_port7001'


def names(folder):
    return {path.name for path in folder.iterdir()}


def test_what_killed_processes_leave_is_removed(tmp_path):
    (tmp_path / 'fastrtps_port7000').touch()
    with shared_memory.left_as_it_was(tmp_path):
        for name in (SEGMENT, f'{SEGMENT}_el', PORT, f'{PORT}_el', f'sem.{PORT}_mutex', 'other'):
            (tmp_path / name).touch()
    assert names(tmp_path) == {'fastrtps_port7000', 'other'}


def test_a_port_without_its_lock_file_is_removed(tmp_path):
    with shared_memory.left_as_it_was(tmp_path):
        for name in (PORT, f'sem.{PORT}_mutex'):
            (tmp_path / name).touch()
    assert not names(tmp_path)


@pytest.mark.parametrize(('ending', 'mode'), [('_el', fcntl.LOCK_EX), ('_sl', fcntl.LOCK_SH)])
def test_what_a_process_uses_stays(tmp_path, ending, mode):
    files = {PORT, f'{PORT}{ending}', f'sem.{PORT}_mutex'}
    with shared_memory.left_as_it_was(tmp_path):
        for name in files:
            (tmp_path / name).touch()
        lock = (tmp_path / f'{PORT}{ending}').open()
        fcntl.flock(lock, mode)
    assert names(tmp_path) == files
    lock.close()


def test_also_where_the_tests_fail(tmp_path):
    with pytest.raises(KeyboardInterrupt), shared_memory.left_as_it_was(tmp_path):
        (tmp_path / PORT).touch()
        raise KeyboardInterrupt
    assert not names(tmp_path)
