# SPDX-License-Identifier: Apache-2.0
"""One rank of a distributed job: claims clusters, has them learned, gives the maps to rank 0.

Each cluster is learned in a process of its own under the rank: where that dies, for want of memory
for example, the rank is still there to say so, and torchrun has no reason to end the others. A
rank that dies itself is noticed by the ranks of other machines; those of its own are ended by
torchrun, which starts all of them again with --max-restarts, and finished clusters stay.
"""

from __future__ import annotations

import logging
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from dsac_ros.cluster_mapping.job import Job, job_of
from dsac_ros.cluster_mapping.work_queue import SILENT_S, Claim, WorkQueue
from dsac_ros.errors import MappingError
from dsac_ros.map_container import write_atomically

log = logging.getLogger(__name__)

POLL_S, LIFE_S = 0.2, 2.0
TIMEOUT = timedelta(days=7)  # rank 0 may read a long source before it has divided it
MOST_ERROR = 300  # characters of a reason

#: cluster -> command line of the process that learns it
Command = Callable[[int], Sequence[str]]


def join() -> tuple[Any, int, int]:
    """Join the job that torchrun's variables describe; return store, rank and number of ranks."""
    from torch.distributed.rendezvous import rendezvous

    store, rank, world = next(iter(rendezvous('env://')))
    store.set_timeout(TIMEOUT)
    return store, rank, world


class Rank:
    """Work of one rank."""

    def __init__(
        self, store: Any, rank: int, job: Job, command: Command, silent_s: float = SILENT_S
    ) -> None:
        self._store, self.job, self._command = store, job, command
        self.queue = WorkQueue(store, rank, len(job.clusters), silent_s)
        self._last_life = -LIFE_S

    def run(self) -> None:
        """Learn clusters until all are done.

        Raises:
            MappingError: a cluster cannot be learned, or rank 0, which collects, has died.
        """
        avoided: frozenset[int] = frozenset()
        while not self.queue.all_done:
            self._tick()
            claim = self.queue.claim(avoided) or self.queue.claim()
            if claim is None:
                time.sleep(POLL_S)
            elif not self._learn(claim):
                avoided |= {claim.cluster}
                time.sleep(5 * POLL_S)  # others come first
        self._check()

    def finish(self, write: Callable[[], None]) -> None:
        """Let rank 0 collect and write the maps; the others wait for that and tidy up."""
        if self.queue.rank == 0:
            self._collect()
            write()
            self._store.set('finished', '1')
            return
        while not self._store.check(['finished']):
            self._tick()
            time.sleep(POLL_S)
        self.job.discard()  # on a disk of its own; on a shared one the maps have their names

    def _learn(self, claim: Claim) -> bool:
        """Let a process learn a cluster; return False if it died."""
        if not self.job.is_done(claim.cluster):
            code, error = self._watched(self._command(claim.cluster))
            if code < 0 or code > 128:
                name = signal.Signals(-code if code < 0 else code - 128).name
                self.queue.lose(claim, self.queue.rank, f'its process was ended by {name}')
                self._warn(claim, self.queue.rank, name)
                return False
            if code:
                self.queue.finish(claim, error)
                return True
        if self.queue.rank:
            data = self.job.part(claim.cluster).read_bytes()
            self._store.set(f'map/{claim.cluster}', data)
        self.queue.finish(claim)
        return True

    def _watched(self, command: Sequence[str]) -> tuple[int, str]:
        """Run a command and show signs of life; return its code and its last line of stderr."""
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
            with ended_with(process):
                while process.poll() is None:
                    self._tick()
                    time.sleep(POLL_S)
            assert process.stderr is not None
            lines = process.stderr.read().strip().splitlines()
        return process.returncode, lines[-1][:MOST_ERROR] if lines else 'no reason was told'

    def _tick(self) -> None:
        """Show life, and name the ranks that show none."""
        now = time.monotonic()
        if now - self._last_life < LIFE_S:
            return
        self._last_life = now
        self.queue.show_life()
        for claim, owner in self.queue.watch():
            self._warn(claim, owner, 'no sign of life')
        if self.queue.rank and self.queue.is_silent(0):
            raise MappingError(
                'rank 0, which collects the maps, has died: run the command again with --resume'
            )

    def _warn(self, claim: Claim, owner: int, why: str) -> None:
        log.warning(
            'rank %d has died (%s) while it learned cluster %d, which is learned again',
            owner,
            why,
            claim.cluster,
        )

    def _collect(self) -> None:
        """Write the maps that ranks of other machines learned."""
        for cluster in range(self.queue.count):
            key = f'map/{cluster}'
            if not self.job.is_done(cluster) and self._store.check([key]):
                write_atomically(self.job.part(cluster), self._store.get(key))

    def _check(self) -> None:
        failed = [
            f'cluster {cluster}: {error}'
            for cluster in range(self.queue.count)
            if (error := self.queue.outcome(cluster)[1])
        ]
        if failed:
            raise MappingError(
                f'{len(failed)} of {self.queue.count} clusters could not be learned; '
                + '; '.join(failed)
            )


def shared_job(store: Any, rank: int, make: Callable[[], Job], output: Any) -> Job:
    """Return the job that rank 0 makes and all ranks do, each with the division on its disk."""
    if rank == 0:
        job = make()
        store.set('division', job.as_text())
    else:
        job = job_of(output, store.get('division').decode())
    job.save()
    return job


@contextmanager
def ended_with(process: subprocess.Popen[str]) -> Iterator[None]:
    """End a process when this one is told to end."""

    def end(number: int, frame: object) -> None:
        process.terminate()
        raise SystemExit(128 + number)

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    except BaseException:
        process.kill()
        raise
    finally:
        signal.signal(signal.SIGTERM, before)
