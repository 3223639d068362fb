"""Work in threads that nothing waits for once the user wants it to stop, not the program's end."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future, wait
from typing import TypeVar

from kernelext.image.jobs import Check

LOOK_S = 0.1

T = TypeVar("T")


def begin(works: Iterable[Callable[[], T]], at_once: int = 1) -> list[Future[T]]:
    """Begin works, so many at once, in their order; what they will have made.

    An executor's threads are joined when the program ends, and what hangs there hangs it.
    """
    todo: queue.SimpleQueue[tuple[Callable[[], T], Future[T]]] = queue.SimpleQueue()
    jobs: list[Future[T]] = []
    for work in works:
        jobs.append(Future())
        todo.put((work, jobs[-1]))
    for _ in range(min(at_once, len(jobs))):
        threading.Thread(target=_work, args=(todo,), daemon=True).start()
    return jobs


def result(job: Future[T], check: Check) -> T:
    """Wait for what a work makes; `check` is asked ten times a second."""
    while wait([job], LOOK_S).not_done:
        check()
    return job.result()


def _work(todo: queue.SimpleQueue[tuple[Callable[[], T], Future[T]]]) -> None:
    while True:
        try:
            work, job = todo.get_nowait()
        except queue.Empty:
            return
        if job.set_running_or_notify_cancel():
            try:
                job.set_result(work())
            except BaseException as exc:  # it is told to whoever waits
                job.set_exception(exc)
