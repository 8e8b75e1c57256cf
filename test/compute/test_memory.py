# SPDX-License-Identifier: Apache-2.0
"""Memory that is left, as the machine, a container (cgroup 1 and 2) and a service tell it."""

import math

import pytest

from dsac_ros.compute.memory import available_memory

MEMINFO = 'MemTotal:       64000 kB\nMemAvailable:   40000 kB\nHugePages_Total:  0\n'
MOST = 40000 * 1024


def machine(root, files):
    for name, text in {'proc/meminfo': MEMINFO, **files}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def group(limit, used, cache, version=2):
    names = {
        2: ('memory.max', 'memory.current', 'inactive_file'),
        1: ('memory.limit_in_bytes', 'memory.usage_in_bytes', 'total_inactive_file'),
    }[version]
    return {
        names[0]: f'{limit}\n',
        names[1]: f'{used}\n',
        'memory.stat': f'anon 5\n{names[2]} {cache}\n',
    }


def under(folder, files):
    return {f'sys/fs/cgroup/{folder}/{name}': text for name, text in files.items()}


def test_without_groups_it_is_what_the_machine_has(tmp_path):
    assert available_memory(machine(tmp_path, {})) == MOST


def test_where_nothing_tells_it_is_without_bounds(tmp_path):
    assert available_memory(tmp_path) == math.inf


def test_a_group_without_limit_leaves_all(tmp_path):
    files = {'proc/self/cgroup': '0::/user.slice\n', **under('user.slice', group('max', 7, 3))}
    assert available_memory(machine(tmp_path, files)) == MOST


@pytest.mark.parametrize('folder', ['service', 'service/session', '.'])
def test_the_limit_of_a_cgroup_or_its_parent_counts(tmp_path, folder):
    files = {'proc/self/cgroup': '0::/service/session\n', **under(folder, group(9000, 5000, 1000))}
    assert available_memory(machine(tmp_path, files)) == 5000


def test_a_container_finds_its_limit_at_the_root(tmp_path):
    """The container is told the path of its cgroup on the host."""
    files = {
        'proc/self/cgroup': '9:name=systemd:/\n4:memory:/docker/0123\n0::/\n',
        **under('memory', group(9000, 5000, 1000, version=1)),
    }
    assert available_memory(machine(tmp_path, files)) == 5000


def test_more_taken_than_allowed_is_nothing_left(tmp_path):
    files = {'proc/self/cgroup': '0::/\n', **under('.', group(9000, 9500, 0))}
    assert available_memory(machine(tmp_path, files)) == 0


def test_a_limit_above_the_physical_memory_is_ignored(tmp_path):
    unlimited = 0x7FFFFFFFFFFFF000
    files = {
        'proc/self/cgroup': '4:cpu,memory:/\n',
        **under('memory', group(unlimited, 5, 0, version=1)),
    }
    assert available_memory(machine(tmp_path, files)) == MOST
