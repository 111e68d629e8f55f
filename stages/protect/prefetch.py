"""Run an iterator ahead in a thread, so that decoding, the generator and encoding overlap inside a shard."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Generator, Iterator
from itertools import islice
from typing import Generic, TypeVar

T = TypeVar("T")


class _Queue(Generic[T]):
    """Items between one producer and one consumer, bounded by their number and by their weight.

    An item weighs until the consumer asks for the next one: what it works on counts as well.
    """

    def __init__(self, depth: int, limit: int) -> None:
        self.depth, self.limit = depth, limit
        self.items: deque[tuple[T, int]] = deque()
        self.held = 0
        self.weight = 0
        self.ended = self.stopped = False
        self.error: BaseException | None = None
        self.changed = threading.Condition()

    def room(self) -> bool:
        """Wait until another item may be made; False when nobody wants it any more."""
        with self.changed:
            self.changed.wait_for(lambda: self.stopped or (len(self.items) <= self.depth and self.weight < self.limit))
            return not self.stopped

    def put(self, item: T, weight: int) -> bool:
        """Hand an item over, once fewer than `depth` wait; False when nobody wants it any more."""
        with self.changed:
            self.weight += weight
            self.changed.wait_for(lambda: self.stopped or len(self.items) < self.depth)
            self.items.append((item, weight))
            self.changed.notify_all()
            return not self.stopped

    def end(self, error: BaseException | None = None) -> None:
        """No more items; the consumer gets the error after the last one."""
        with self.changed:
            self.ended, self.error = True, error
            self.changed.notify_all()

    def get(self) -> list[T]:
        """The next item, alone in a list; an empty list at the end."""
        with self.changed:
            self.weight -= self.held
            self.held = 0
            self.changed.notify_all()
            self.changed.wait_for(lambda: self.items or self.ended)
            if not self.items:
                return []
            item, self.held = self.items.popleft()
            self.changed.notify_all()
            return [item]

    def stop(self) -> None:
        """The consumer wants no more."""
        with self.changed:
            self.stopped = True
            self.changed.notify_all()


def ahead(
    items: Iterator[T], *, depth: int, weight: Callable[[T], int] = lambda item: 0, limit: int = 1
) -> Generator[T, None, None]:
    """The same items in the same order, produced up to `depth` ahead by a thread; its errors are raised here.

    No item is begun while the finished ones that wait weigh `limit` or more, so that large items do not pile up. All of
    them together weigh less than `limit` and one more item. The codecs and torch release the interpreter's lock, so the
    threads really run side by side. The thread ends with the items, with an error, or when the generator is closed: use
    `contextlib.closing` where the consumer may fail.

    Args:
        items: what to produce.
        depth: items that may wait.
        weight: of an item, in any unit (bytes).
        limit: weight at which the thread waits.
    """
    queue: _Queue[T] = _Queue(depth, limit)

    def produce() -> None:
        try:
            while queue.room():
                made = list(islice(items, 1))
                if not made:
                    queue.end()
                    return
                heavy = weight(made[0])
                if not queue.put(made.pop(), heavy):
                    return
        except BaseException as error:
            queue.end(error)

    thread = threading.Thread(target=produce, name="mtlue-ahead", daemon=True)
    thread.start()
    try:
        while got := queue.get():
            yield got.pop()
        if queue.error is not None:
            raise queue.error
    finally:
        queue.stop()
        thread.join()
