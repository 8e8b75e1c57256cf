# SPDX-License-Identifier: Apache-2.0
"""Queue of clusters in the store of torch.distributed, which outlives the ranks that die.

No collective is used: a group of gloo or nccl breaks with any of its ranks. A rank claims one
cluster after another and shows signs of life meanwhile; the others watch those signs. A cluster
whose rank has died is claimed again, under a new number of its attempt.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

SILENT_S = 60.0  # without a sign of life, after which a rank has died
MOST_LOSSES = 3  # ranks that may die of one cluster


class Store(Protocol):
    """The part of a torch.distributed.Store that a queue uses."""

    def add(self, key: str, amount: int) -> int:
        """Add to a counter and return its value."""

    def set(self, key: str, value: str) -> None:
        """Set a value."""

    def compare_set(self, key: str, expected: str, value: str) -> bytes:
        """Set a value that is as expected, '' for one that is not set; return what it is now."""

    def get(self, key: str) -> bytes:
        """Return a value that is set."""

    def check(self, keys: list[str]) -> bool:
        """Return True if all of the keys are set."""


@dataclass(frozen=True)
class Claim:
    """A cluster that a rank learns, and how many ranks lost it before."""

    cluster: int
    losses: int


class WorkQueue:
    """Queue of `count` clusters as one rank sees it."""

    def __init__(
        self,
        store: Store,
        rank: int,
        count: int,
        silent_s: float = SILENT_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store, self.rank, self.count = store, rank, count
        self._silent_s, self._clock = silent_s, clock
        self._signs: dict[int, tuple[int, float]] = {}
        # A rank that was started again may claim what it owned before; none claims a thing twice.
        self._claimed: set[Claim] = set()

    def show_life(self) -> None:
        """Show that this rank is alive; call it every few seconds."""
        self._store.add(f'alive/{self.rank}', 1)

    def claim(self, avoided: frozenset[int] = frozenset()) -> Claim | None:
        """Claim a cluster that nobody learns; None if there is none.

        Args:
            avoided: clusters that are left to others.
        """
        for cluster in range(self.count):
            losses = self._losses(cluster)
            claim = Claim(cluster, losses)
            if cluster in avoided or claim in self._claimed or self.is_done(cluster):
                continue
            me = str(self.rank)
            if self._store.compare_set(f'owner/{cluster}/{losses}', '', me) == me.encode():
                self._claimed.add(claim)
                return claim
        return None

    def finish(self, claim: Claim, error: str = '') -> None:
        """Mark a cluster as learned, or as one that cannot be learned."""
        self._store.set(f'done/{claim.cluster}', json.dumps({'rank': self.rank, 'error': error}))

    def lose(self, claim: Claim, owner: int, reason: str) -> bool:
        """Put back a cluster whose owner died; return True if nobody else did before.

        A cluster of which several ranks died is given up.
        """
        if self._store.add(f'lost/{claim.cluster}/{claim.losses}', 1) != 1:
            return False
        if claim.losses + 1 >= MOST_LOSSES:
            self.finish(claim, f'{claim.losses + 1} ranks died of it, the last: {reason}')
        self._store.set(f'death/{claim.cluster}/{claim.losses}', f'rank {owner}: {reason}')
        self._store.add(f'losses/{claim.cluster}', 1)
        return True

    def watch(self) -> list[tuple[Claim, int]]:
        """Put back the clusters of silent ranks; return those and their owners, once each."""
        found = []
        for cluster in range(self.count):
            claim = Claim(cluster, self._losses(cluster))
            key = f'owner/{cluster}/{claim.losses}'
            if self.is_done(cluster) or not self._store.check([key]):
                continue
            owner = int(self._store.get(key))
            if owner != self.rank and self.is_silent(owner):
                reason = f'no sign of life for {self._silent_s:.0f} s'
                if self.lose(claim, owner, reason):
                    found.append((claim, owner))
        return found

    def is_silent(self, rank: int) -> bool:
        """Return True if a rank has shown no sign of life for too long, by this rank's clock."""
        sign, now = self._store.add(f'alive/{rank}', 0), self._clock()
        last, since = self._signs.get(rank, (-1, now))
        if sign != last:
            since = now
        self._signs[rank] = (sign, since)
        return now - since > self._silent_s

    def is_done(self, cluster: int) -> bool:
        """Return True if a cluster is learned, or given up."""
        return self._store.check([f'done/{cluster}'])

    @property
    def all_done(self) -> bool:
        """True if nothing is left to do."""
        return all(self.is_done(cluster) for cluster in range(self.count))

    def outcome(self, cluster: int) -> tuple[int, str]:
        """Return the rank that ended a cluster, and why it could not be learned; '' if it was."""
        told = json.loads(self._store.get(f'done/{cluster}'))
        return int(told['rank']), str(told['error'])

    def deaths(self) -> list[str]:
        """Return a line for each rank that died, and what it was learning."""
        lines = []
        for cluster in range(self.count):
            for losses in range(self._losses(cluster)):
                told = self._store.get(f'death/{cluster}/{losses}').decode()
                lines.append(f'{told}, while it learned cluster {cluster}')
        return lines

    def _losses(self, cluster: int) -> int:
        return self._store.add(f'losses/{cluster}', 0)
