"""One function, once on every other node of a cluster that was joined."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

import ray
from ray.exceptions import GetTimeoutError, RayError, TaskUnschedulableError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from pipeline.cluster.executor import START_SECONDS, Executor
from pipeline.cluster.worker import remote_call
from schemas.errors import MtlueError, TransientError

T = TypeVar("T")

JOIN_SECONDS = 60
"""How long this process's Ray may take to hear of a node that has just joined."""


def on_other_nodes(executor: Executor, function: Callable[..., T], arguments: tuple[Any, ...]) -> list[tuple[str, T]]:
    """Run one short function once on every node but this process's own: each node's address and result.

    Raises:
        TransientError: a node does not answer, or cannot run mtlue.
    """
    executor.start()
    mine = ray.get_runtime_context().get_node_id()
    nodes: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]
    others = [node for node in nodes if node["Alive"] and node["NodeID"] != mine]

    def call(node: dict[str, Any]) -> Any:
        there = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
        options = {"num_cpus": 0, "scheduling_strategy": there}
        return remote_call.options(**options).remote(function, arguments, executor.directory, START_SECONDS)

    calls, deadline = [call(node) for node in others], time.monotonic() + JOIN_SECONDS
    found: list[tuple[str, T]] = []
    for node, reference in zip(others, calls, strict=True):
        address = node["NodeManagerAddress"]
        try:
            value = _answer(partial(call, node), reference, deadline)
        except (GetTimeoutError, RayError) as error:
            told = " ".join(str(error).split())[:300]
            raise TransientError(f"node {address} of {executor.compute.address} cannot be used: {told}") from None
        if isinstance(value, MtlueError):
            raise value
        found.append((address, value))
    return found


def _answer(again: Callable[[], Any], reference: Any, deadline: float) -> Any:
    """What a call returns; one for a node that is not known here yet is made again until the deadline."""
    while True:
        try:
            return ray.get(reference, timeout=START_SECONDS)
        except TaskUnschedulableError:
            if time.monotonic() > deadline:
                raise
            time.sleep(1)
            reference = again()
