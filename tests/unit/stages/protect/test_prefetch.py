"""Running ahead in a thread: the same items in the same order, errors raised here, and no thread left behind."""

import threading
import time
from collections.abc import Iterator
from contextlib import closing

import pytest

from stages.protect.prefetch import ahead


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "mtlue-ahead"]


def no_thread_is_left() -> bool:
    """Whether every thread ends soon (a stopped one may be in its last tenth of a second)."""
    end = time.monotonic() + 10
    while threads() and time.monotonic() < end:
        time.sleep(0.02)
    return not threads()


@pytest.mark.parametrize("depth", [1, 2, 64])
@pytest.mark.parametrize("count", [0, 1, 2, 500])
def test_every_item_comes_once_and_in_order(depth: int, count: int) -> None:
    assert list(ahead(iter(range(count)), depth=depth)) == list(range(count))
    assert no_thread_is_left()


def test_items_that_look_like_nothing_are_items() -> None:
    items = [None, False, 0, ValueError("an item, not an error"), None]
    assert list(ahead(iter(items), depth=1)) == items


def test_items_are_made_in_another_thread_and_only_as_far_ahead_as_asked() -> None:
    made: list[int] = []
    makers: set[int] = set()

    def items() -> Iterator[int]:
        for number in range(50):
            made.append(number)
            makers.add(threading.get_ident())
            yield number

    for number in ahead(items(), depth=3):
        # One is in hand, `depth` wait, and the producer holds the one that does not fit.
        assert len(made) <= number + 1 + 3 + 1
    assert made == list(range(50))
    assert makers
    assert threading.get_ident() not in makers


@pytest.mark.parametrize("position", [0, 1, 7])
def test_an_error_is_raised_after_the_items_before_it(position: int) -> None:
    def items() -> Iterator[int]:
        yield from range(position)
        raise LookupError("shard 3 is damaged")

    running = ahead(items(), depth=2)
    assert [next(running) for _ in range(position)] == list(range(position))
    with pytest.raises(LookupError, match="shard 3 is damaged"):
        next(running)
    assert no_thread_is_left()


@pytest.mark.parametrize("taken", [1, 5])
def test_closing_early_ends_the_thread_and_the_items(taken: int) -> None:
    closed = threading.Event()

    def items() -> Iterator[int]:
        try:
            number = 0
            while True:
                yield number
                number += 1
        finally:
            closed.set()

    running = ahead(items(), depth=2)
    assert [next(running) for _ in range(taken)] == list(range(taken))
    running.close()
    del running
    assert no_thread_is_left()
    assert closed.wait(10)


def test_an_error_of_the_consumer_ends_the_thread() -> None:
    def consume() -> None:
        for number in ahead(iter(range(10_000)), depth=1):
            if number == 3:
                raise KeyError("consumer")

    with pytest.raises(KeyError):
        consume()
    assert no_thread_is_left()


def test_one_after_the_other_they_keep_order_and_end_together() -> None:
    def doubled(items: Iterator[int]) -> Iterator[int]:
        for number in items:
            yield 2 * number

    chained = ahead(doubled(ahead(iter(range(300)), depth=1)), depth=8)
    assert [next(chained) for _ in range(100)] == list(range(0, 200, 2))
    chained.close()
    del chained
    assert no_thread_is_left()


def test_an_error_in_the_middle_of_a_chain_reaches_the_end_and_a_closed_start_stops() -> None:
    def failing(items: Iterator[int]) -> Iterator[int]:
        for number in items:
            if number == 5:
                raise LookupError("in the middle")
            yield number

    with closing(ahead(iter(range(10_000)), depth=1)) as start, closing(ahead(failing(start), depth=4)) as end:
        assert [next(end) for _ in range(5)] == [0, 1, 2, 3, 4]
        with pytest.raises(LookupError, match="in the middle"):
            next(end)
    assert no_thread_is_left()


def test_nothing_runs_before_the_first_item_is_asked_for() -> None:
    running = ahead(iter([1]), depth=1)
    assert not threads()
    assert list(running) == [1]
