# SPDX-License-Identifier: Apache-2.0
"""compute/files.py: a file is the old one or the new one, whatever happens in between."""

from __future__ import annotations

import pytest

from dsac_ros.compute.files import replacing, write_whole


def test_a_file_is_replaced_when_it_is_complete(tmp_path):
    path = tmp_path / 'a.map'
    path.write_text('old')
    with replacing(path) as partial:
        partial.write_text('new')
        assert path.read_text() == 'old'
    assert path.read_text() == 'new' and list(tmp_path.iterdir()) == [path]


def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / 'a.map'
    path.write_text('old')
    with pytest.raises(KeyboardInterrupt), replacing(path) as partial:
        partial.write_text('half')
        raise KeyboardInterrupt
    assert path.read_text() == 'old' and list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize('data', ['text', b'bytes'])
def test_text_and_bytes(tmp_path, data):
    write_whole(tmp_path / 'a', data)
    assert (tmp_path / 'a').read_bytes() == (data if isinstance(data, bytes) else data.encode())


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(OSError):
        write_whole(tmp_path / 'none' / 'a', b'')
