# SPDX-License-Identifier: Apache-2.0
"""One DDS participant per context, and the one thread that receives for it."""

from __future__ import annotations

import atexit
import ctypes
import logging
import threading
from collections.abc import Callable
from typing import Any

from cyclonedds.core import (
    DDSException,
    Entity,
    GuardCondition,
    InstanceState,
    Policy,
    Qos,
    ReadCondition,
    SampleState,
    ViewState,
    WaitSet,
)
from cyclonedds.domain import DomainParticipant
from cyclonedds.pub import DataWriter
from cyclonedds.sub import DataReader
from cyclonedds.topic import Topic
from cyclonedds.util import duration

from embedded_ros.dds.configuration import configure
from embedded_ros.errors import RCLError

BATCH = 64
MOST_SAMPLES = 10_000
CLOSE_TIMEOUT_S = 5.0
UNREAD = ViewState.Any | SampleState.NotRead | InstanceState.Any
OnSample = Callable[[Any], None]
logger = logging.getLogger(__name__)


class Participant:
    """Readers, writers, and the thread that hands arriving samples to their owners.

    `on_sample` callbacks run on that thread: they must be short and never block.
    """

    def __init__(self, domain_id: int, enclave: str = '/') -> None:
        configure()
        self.domain_id = domain_id
        user_data = Policy.Userdata(data=f'enclave={enclave};'.encode())
        self.entity = DomainParticipant(domain_id, qos=Qos(user_data))
        # What the thread waits for -> what it then does; a reader -> its condition.
        self._handlers: dict[Entity, Callable[[], None]] = {}
        self._conditions: dict[Entity, ReadCondition] = {}
        self._guids: dict[Entity, bytes] = {self.entity: self.entity.guid.bytes}
        self._chores: list[Callable[[], None]] = []
        self._lock = threading.Lock()
        self._closed = False
        self._left = threading.Event()
        self._waitset, self._guard = TellingWaitSet(self.entity), GuardCondition(self.entity)
        self._waitset.attach(self._guard)
        self._thread = threading.Thread(target=self._receive, name='dds', daemon=True)
        self._thread.start()
        # Cyclone's own threads must be gone before the interpreter takes itself apart.
        atexit.register(self.close)

    def create_writer(self, topic: str, data_type: Any, qos: Qos) -> DataWriter:
        """Return a writer on a DDS topic."""
        self.check_open()
        writer = DataWriter(self.entity, Topic(self.entity, topic, data_type), qos=qos)
        self._guids[writer] = writer.guid.bytes
        return writer

    def create_reader(
        self, topic: str, data_type: Any, qos: Qos, on_sample: OnSample
    ) -> DataReader:
        """Return a reader on a DDS topic whose samples go to `on_sample`."""
        self.check_open()
        reader = DataReader(self.entity, Topic(self.entity, topic, data_type), qos=qos)
        condition = ReadCondition(reader, UNREAD)
        self._guids[reader] = reader.guid.bytes
        self._conditions[reader] = condition
        self._attach(condition, lambda: self._take(reader, condition, on_sample))
        return reader

    def watch(self, entity: Entity, mask: int, on_status: Callable[[], None]) -> None:
        """Call `on_status` when one of the DDS statuses in the mask changes."""
        entity.set_status_mask(mask)
        self._attach(entity, on_status)

    def _attach(self, entity: Entity, handler: Callable[[], None]) -> None:
        with self._lock:
            self._handlers[entity] = handler
            self._waitset.attach(entity)
        self._guard.set(True)

    def delete(self, entity: Entity) -> None:
        """Take a reader or writer off the graph."""
        with self._lock:
            if self._closed:
                return
            self._guids.pop(entity, None)
            condition = self._conditions.pop(entity, None)
            for part in filter(None, (condition, entity)):
                if self._handlers.pop(part, None) is not None:
                    self._waitset.detach(part)
                _free(part)

    def take_all(self, reader: DataReader) -> list[Any]:
        """Take the samples of a reader without `on_sample`; none once the domain is left.

        Another thread may leave the domain meanwhile, and would free what is being read.
        """
        with self._lock:
            return [] if self._closed else reader.take(N=MOST_SAMPLES)

    def check_open(self) -> None:
        """Raise RCLError after `close`, as rcl does for a context that was shut down."""
        if self._closed:
            raise RCLError('the context is invalid: it was shut down')

    def guid(self, entity: Entity) -> bytes:
        """Return the 16 bytes that name a reader or writer; empty for a deleted one."""
        return self._guids.get(entity, b'')

    def call_soon(self, chore: Callable[[], None]) -> None:
        """Run `chore` on the receiving thread; the same chore waiting twice runs once."""
        with self._lock:
            if self._closed or chore in self._chores:
                return
            self._chores.append(chore)
        self._guard.set(True)

    def close(self) -> None:
        """Leave the domain; peers see all our entities go."""
        with self._lock:
            is_first, self._closed = not self._closed, True
        if not is_first:
            # At the end of the program another thread may be at it: it must not be cut short.
            self._left.wait(CLOSE_TIMEOUT_S)
            return
        self._guard.set(True)
        if threading.current_thread() is not self._thread:
            self._thread.join()
        with self._lock:
            _free(self.entity)
        self._left.set()
        atexit.unregister(self.close)

    def _receive(self) -> None:
        while not self._closed:
            triggered = self._waitset.wait_for_any(duration(seconds=1))
            self._guard.set(False)
            with self._lock:
                chores, self._chores = self._chores, []
                handlers = [self._handlers[e] for e in triggered if e in self._handlers]
            for work in chores + handlers:
                _guarded(work)

    def _take(self, reader: DataReader, condition: ReadCondition, on_sample: OnSample) -> None:
        for sample in reader.take(N=BATCH, condition=condition):
            if sample.sample_info.valid_data:
                _guarded(on_sample, sample)


class TellingWaitSet(WaitSet):
    """A WaitSet that says what has triggered; the binding's own only counts."""

    def wait_for_any(self, timeout_ns: int) -> list[Entity]:
        """Wait, and return the attached entities that are triggered."""
        # The binding attaches each entity with the address of a number of its own.
        names = {ctypes.addressof(number): entity for entity, number in list(self.attached)}
        found = (ctypes.c_void_p * len(names))()
        count = self._waitset_wait(self._ref, found, len(names), timeout_ns)
        return [names[address] for address in found[: max(0, count)] if address in names]


def _guarded(function: Callable[..., None], *args: Any) -> None:
    """Call a function; an error in it must not stop reception for all others."""
    try:
        function(*args)
    except DDSException as error:
        # Another thread deleted the entity a moment ago, or there is something to know.
        logger.debug('while receiving: %s', error)
    except Exception:
        logger.exception('error while receiving')


def _free(entity: Entity) -> None:
    # The binding frees an entity when Python collects it; we cannot wait for that.
    Entity._entities.pop(entity._ref, None)
    entity._delete(entity._ref)
