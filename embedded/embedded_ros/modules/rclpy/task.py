# SPDX-License-Identifier: Apache-2.0
"""Futures, and tasks: callbacks and coroutines that an executor runs."""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable, Generator
from typing import Any


class Future:
    """The outcome of a task that may not be done yet; `await` it in a coroutine."""

    def __init__(self, *, executor: Any = None) -> None:
        self._executor = executor
        self._lock = threading.RLock()
        self._done = self._cancelled = False
        self._result: Any = None
        self._exception: BaseException | None = None
        self._callbacks: list[Callable[[Future], Any]] = []

    def __await__(self) -> Generator[Future, None, Any]:
        # Whoever runs the coroutine resumes it when the future it yields is done.
        while not self.done():
            yield self
        return self.result()

    def done(self) -> bool:
        """Return True if there is a result or an exception, or it was cancelled."""
        return self._done or self._cancelled

    def result(self) -> Any:
        """Return the result, None when not done; raises what the task raised."""
        if self._exception is not None:
            raise self._exception
        return self._result

    def exception(self) -> BaseException | None:
        """Return the exception that the task raised, or None."""
        return self._exception

    def cancel(self) -> None:
        """Give up waiting for the result."""
        with self._lock:
            if self.done():
                return
            self._cancelled = True
        self._run_callbacks()

    def set_result(self, result: Any) -> None:
        """Set the result and wake who waits."""
        with self._lock:
            self._result, self._done = result, True
        self._run_callbacks()

    def set_exception(self, exception: BaseException) -> None:
        """Set the exception and wake who waits."""
        with self._lock:
            self._exception, self._done = exception, True
        self._run_callbacks()

    def add_done_callback(self, callback: Callable[[Future], Any]) -> None:
        """Call `callback(future)` when done; at once when it already is."""
        with self._lock:
            if not self.done():
                self._callbacks.append(callback)
                return
        self._call(callback)

    def _run_callbacks(self) -> None:
        with self._lock:
            callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            self._call(callback)

    def _call(self, callback: Callable[[Future], Any]) -> None:
        if self._executor is not None:
            self._executor.create_task(callback, self)
        else:
            callback(self)


class Task(Future):
    """A callback or coroutine that an executor steps until it is done."""

    def __init__(
        self, handler: Any, args: tuple = (), kwargs: dict | None = None, executor: Any = None
    ) -> None:
        super().__init__(executor=executor)
        self._handler, self._args, self._kwargs = handler, args, kwargs or {}
        self.entity: Any = None  # whose callback group is held until the task is done
        if inspect.iscoroutinefunction(handler):
            self._handler = handler(*args, **self._kwargs)

    def __call__(self) -> Future | None:
        """Run until done or until it awaits something.

        Returns:
            The future that the coroutine waits for, or None.
        """
        if self.done():
            return None
        try:
            if inspect.iscoroutine(self._handler):
                return self._handler.send(None)
            self.set_result(self._handler(*self._args, **self._kwargs))
        except StopIteration as stop:
            self.set_result(stop.value)
        except Exception as error:
            self.set_exception(error)
        return None

    def cancel(self) -> None:
        """Stop the coroutine where it stands."""
        if inspect.iscoroutine(self._handler) and not self.done():
            self._handler.close()
        super().cancel()
