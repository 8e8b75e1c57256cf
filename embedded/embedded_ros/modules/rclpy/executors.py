# SPDX-License-Identifier: Apache-2.0
"""Executors: the threads in which callbacks run."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from rclpy.entity import Entity
from rclpy.task import Future, Task
from rclpy.utilities import get_default_context


class TimeoutException(Exception):
    """Nothing became ready in time."""


class ShutdownException(Exception):
    """The executor was shut down."""


class ExternalShutdownException(Exception):
    """The context was shut down while the executor waited, by a signal for example."""

    def __init__(self) -> None:
        super().__init__('Context has been shutdown.')


class Executor:
    """Finds ready entities of its nodes and runs their callbacks.

    Work is found by asking every entity; `wake()` says that asking again is worth while. Ready
    entities are served in the order they were found, so a busy topic starves nobody.
    """

    def __init__(self, *, context: Any = None) -> None:
        self._context = context or get_default_context()
        self._nodes: list[Any] = []
        self._tasks: deque[Task] = deque()
        self._found: deque[Entity] = deque()
        self._changed = threading.Condition()
        self._signalled = self._is_shutdown = False
        self._running = 0
        self._context.on_shutdown(self.wake)

    @property
    def context(self) -> Any:
        """Return the context of the nodes."""
        return self._context

    def add_node(self, node: Any) -> bool:
        """Take a node on; False when it is here already."""
        with self._changed:
            if node in self._nodes:
                return False
            self._nodes = [*self._nodes, node]
        node.executor = self
        self.wake()
        return True

    def remove_node(self, node: Any) -> None:
        """Let a node go."""
        with self._changed:
            self._nodes = [n for n in self._nodes if n is not node]
        self._found.clear()

    def get_nodes(self) -> list[Any]:
        """Return the nodes served."""
        return list(self._nodes)

    def create_task(self, callback: Any, *args: Any, **kwargs: Any) -> Task:
        """Run a callback or coroutine in this executor; the task is its future."""
        task = Task(callback, args, kwargs, executor=self)
        self._resume(task)
        return task

    def wake(self) -> None:
        """Look for work again; safe from any thread."""
        with self._changed:
            self._signalled = True
            self._changed.notify_all()

    def spin(self) -> None:
        """Run callbacks until shutdown."""
        while self._context.ok() and not self._is_shutdown:
            self.spin_once()

    def spin_once(self, timeout_sec: float | None = None) -> None:
        """Run one piece of work, or wait that long for some [s]; None waits for ever."""
        with contextlib.suppress(TimeoutException, ShutdownException):
            self._execute(self._wait_for_work(timeout_sec))

    def spin_until_future_complete(self, future: Future, timeout_sec: float | None = None) -> None:
        """Run callbacks until the future is done or time is up."""
        future.add_done_callback(lambda _: self.wake())
        endless = timeout_sec is None or timeout_sec < 0
        end = float('inf') if endless else time.monotonic() + timeout_sec
        while self._context.ok() and not self._is_shutdown and not future.done():
            left = end - time.monotonic()
            if left <= 0:
                return
            try:
                self._execute(self._wait_for_work(None if endless else left, future.done))
            except (TimeoutException, ShutdownException):
                return

    def shutdown(self, timeout_sec: float | None = None) -> bool:
        """Stop, and wait for running callbacks; False when they take longer than the timeout."""
        self._is_shutdown = True
        self.wake()
        with self._changed:
            finished = self._changed.wait_for(lambda: self._running == 0, timeout_sec)
        self._nodes = []
        return finished

    def __enter__(self) -> Executor:
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()

    def _execute(self, task: Task) -> None:
        """Run a piece of work; its exception leaves `spin`, as in rclpy."""
        self._run(task)
        error = task.exception()
        if error is not None:
            raise error

    def _run(self, task: Task) -> None:
        with self._changed:
            self._running += 1
        try:
            while True:
                awaited = task()
                if task.done() or awaited is None or not awaited.done():
                    break
        finally:
            with self._changed:
                self._running -= 1
        if not task.done():
            if awaited is None:
                self._resume(task)  # a bare yield: the others come first
            else:
                awaited.add_done_callback(lambda _: self._resume(task))
        elif task.entity is not None:
            task.entity.callback_group.ending_execution(task.entity)
        self.wake()

    def _resume(self, task: Task) -> None:
        self._tasks.append(task)
        self.wake()

    def _wait_for_work(
        self, timeout_sec: float | None, done: Callable[[], bool] = lambda: False
    ) -> Task:
        endless = timeout_sec is None or timeout_sec < 0
        end = float('inf') if endless else time.monotonic() + timeout_sec
        while True:
            self._signalled = False  # before the search: what comes after it is not missed
            task = self._claim()
            if task is not None:
                return task
            if self._is_shutdown or done():
                raise ShutdownException()
            if not self._context.ok():
                raise ExternalShutdownException()
            left = end - time.monotonic()
            if left <= 0:
                raise TimeoutException()
            with self._changed:
                if not self._signalled:
                    self._changed.wait(
                        min(left, self._seconds_to_next_timer(), threading.TIMEOUT_MAX)
                    )

    def _claim(self) -> Task | None:
        """Return the next piece of work; its callback group is claimed with it."""
        if self._tasks:
            return self._tasks.popleft()
        if not self._found:
            self._found.extend(e for n in self._nodes for e in n.entities() if e.is_ready())
        while self._found:
            entity = self._found.popleft()
            group = entity.callback_group
            if not entity.is_ready() or not group.beginning_execution(entity):
                continue
            work = self._take(entity)
            if work is not None:
                task = Task(work[0], work[1], executor=self)
                task.entity = entity
                return task
        return None

    @staticmethod
    def _take(entity: Entity) -> Any:
        work = None
        try:
            work = entity.take()
        finally:
            if work is None:
                entity.callback_group.ending_execution(entity)
        return work

    def _seconds_to_next_timer(self) -> float:
        left = (
            e.seconds_left()
            for n in self._nodes
            for e in n.timers
            if e.callback_group.can_execute(e)
        )
        return min((s for s in left if s is not None), default=float('inf'))


class SingleThreadedExecutor(Executor):
    """Runs callbacks in the thread that spins."""
