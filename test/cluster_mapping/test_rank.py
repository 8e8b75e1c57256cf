# SPDX-License-Identifier: Apache-2.0
"""A rank of a distributed job: its processes may die, and so may other ranks."""

from __future__ import annotations

import logging
import sys

import pytest
from torch.distributed import HashStore

from dsac_ros.cluster_mapping.job import Job, job_of, read_job
from dsac_ros.cluster_mapping.rank import Rank, shared_job
from dsac_ros.cluster_mapping.work_queue import WorkQueue
from dsac_ros.errors import MapError, MappingError

CLUSTERS = ((0, 1, 2), (2, 3), (4,))
WRITE = "import sys; open(sys.argv[1], 'w').write('map')"
DIE_ONCE = (
    'import os, signal, sys\n'
    "if not os.path.exists(sys.argv[1] + '.died'):\n"
    "    open(sys.argv[1] + '.died', 'w')\n"
    '    os.kill(os.getpid(), signal.SIGKILL)\n' + WRITE
)
REFUSE = "import sys; print('dsac: error: too few frames', file=sys.stderr); sys.exit(1)"


@pytest.fixture
def job(tmp_path):
    return Job(tmp_path / 'house.mapset', CLUSTERS)


def rank_of(job, store, scripts, rank=0, **options):
    def command(cluster):
        return [sys.executable, '-c', scripts[cluster], str(job.part(cluster))]

    return Rank(store, rank, job, command, **options)


def test_all_clusters_are_learned(job):
    rank_of(job, HashStore(), [WRITE] * 3).run()
    assert all(job.is_done(cluster) for cluster in range(3))


def test_a_finished_cluster_is_not_learned_again(job):
    job.part(1).write_text('an earlier run')
    rank_of(job, HashStore(), [WRITE] * 3).run()
    assert job.part(1).read_text() == 'an earlier run'


def test_a_dead_process_leaves_its_cluster_to_others(job, caplog):
    rank = rank_of(job, HashStore(), [WRITE, DIE_ONCE, WRITE])
    with caplog.at_level(logging.WARNING):
        rank.run()
    assert job.is_done(1)
    assert rank.queue.deaths() == [
        'rank 0: its process was ended by SIGKILL, while it learned cluster 1'
    ]
    assert 'rank 0 has died (SIGKILL) while it learned cluster 1' in caplog.text


def test_the_cluster_of_a_dead_rank_is_learned(job, caplog):
    store = HashStore()
    WorkQueue(store, 1, 3).claim()  # of which nothing is heard any more
    rank = rank_of(job, store, [WRITE] * 3, silent_s=3.0)
    with caplog.at_level(logging.WARNING):
        rank.run()
    assert all(job.is_done(cluster) for cluster in range(3))
    assert rank.queue.deaths() == ['rank 1: no sign of life for 3 s, while it learned cluster 0']


def test_what_cannot_be_learned_is_told(job):
    with pytest.raises(MappingError, match=r'1 of 3 clusters .* cluster 2: .*too few frames'):
        rank_of(job, HashStore(), [WRITE, WRITE, REFUSE]).run()


def test_maps_come_from_another_machine(job, tmp_path):
    """Its disk is another folder here."""
    store, there = HashStore(), tmp_path / 'there'
    there.mkdir()
    remote = rank_of(Job(there / 'house.mapset', CLUSTERS), store, [WRITE] * 3, rank=1)
    remote.run()
    local = rank_of(job, store, [REFUSE] * 3)
    local.run()
    local.finish(lambda: None)
    assert [job.part(cluster).read_text() for cluster in range(3)] == ['map'] * 3
    remote.finish(lambda: None)
    assert not list(there.iterdir())


def test_others_end_where_rank_0_has_died(job):
    store = HashStore()
    WorkQueue(store, 0, 3).claim()
    rank = rank_of(job, store, [WRITE] * 3, rank=1, silent_s=3.0)
    with pytest.raises(MappingError, match='rank 0, which collects the maps, has died'):
        rank.run()


def test_all_ranks_know_the_division(job, tmp_path):
    store, there = HashStore(), tmp_path / 'there'
    there.mkdir()
    assert shared_job(store, 0, lambda: job, job.output) == job
    other = shared_job(store, 1, lambda: job, there / 'house.mapset')
    assert other.clusters == CLUSTERS and other.id == job.id
    assert read_job(there / 'house.mapset') == other


def test_a_broken_division_is_named(tmp_path):
    with pytest.raises(MapError, match='is no division of a place'):
        job_of(tmp_path / 'house.mapset', '{"clusters": 3}')
