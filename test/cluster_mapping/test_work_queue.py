# SPDX-License-Identifier: Apache-2.0
"""The queue of clusters: each is learned once, and again where its rank dies."""

from __future__ import annotations

from threading import Thread

import pytest
from torch.distributed import HashStore

from dsac_ros.cluster_mapping.work_queue import MOST_LOSSES, Claim, WorkQueue


class Clock:
    """Time that a test sets."""

    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def queues(clock):
    store = HashStore()
    return [WorkQueue(store, rank, 3, silent_s=10.0, clock=clock) for rank in range(2)]


def test_each_cluster_is_claimed_once(queues):
    claims = [queue.claim() for queue in (*queues, *queues)]
    assert [one and one.cluster for one in claims] == [0, 1, 2, None]


def test_threads_never_share_a_cluster():
    store, found = HashStore(), []

    def work(rank):
        queue = WorkQueue(store, rank, 50)
        while claim := queue.claim():
            found.append(claim.cluster)
            queue.finish(claim)

    threads = [Thread(target=work, args=(rank,)) for rank in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == list(range(50))


def test_the_cluster_of_a_silent_rank_is_claimed_again(queues, clock):
    first, second = queues
    first.show_life()
    lost = first.claim()
    assert second.watch() == []
    clock.now = 9.0
    first.show_life()
    assert second.watch() == []
    clock.now = 20.0
    assert second.watch() == [(lost, 0)]
    assert second.watch() == []
    assert second.claim() == Claim(lost.cluster, 1)
    assert second.deaths() == ['rank 0: no sign of life for 10 s, while it learned cluster 0']


def test_two_watchers_put_a_cluster_back_once(clock):
    store = HashStore()
    dead, *alive = (WorkQueue(store, rank, 1, 10.0, clock) for rank in range(3))
    lost = dead.claim()
    assert [queue.watch() for queue in alive] == [[], []]
    clock.now = 11.0
    assert [queue.watch() for queue in alive] == [[(lost, 0)], []]


def test_a_cluster_that_kills_every_rank_is_given_up(queues):
    for losses in range(MOST_LOSSES):
        claim = queues[0].claim()
        assert claim == Claim(0, losses)
        assert queues[0].lose(claim, 0, 'SIGKILL')
    assert queues[0].is_done(0) and '3 ranks died of it' in queues[0].outcome(0)[1]
    assert len(queues[0].deaths()) == MOST_LOSSES


def test_the_outcome_names_rank_and_reason(queues):
    claim = queues[1].claim()
    queues[1].finish(claim, 'too few frames')
    assert queues[0].outcome(claim.cluster) == (1, 'too few frames')
    assert not queues[0].all_done
