"""Whether every node of a cluster that a run joins sees the local disks that the run names.

Neither addresses nor paths show it: one machine may have several nodes, and many machines may have mounted one file
system. So each node is asked for files that the driver has just seen or written, before anything else runs there.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeVar

import ray
from ray.exceptions import GetTimeoutError, RayError, TaskUnschedulableError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from pipeline.cluster import worker
from pipeline.cluster.executor import START_SECONDS, Executor
from pipeline.cluster.remote import submit
from pipeline.state.places import PROBE, Places
from schemas.errors import ConfigError, MtlueError, TransientError
from stages.io.store.store import Entry, Store
from stages.io.store.urls import LOCAL, split_url

T = TypeVar("T")

NOTICE_SECONDS = 60
"""How long Ray may take to notice that a node was lost (five health checks, 3 s apart), or here that one has joined."""


def on_other_nodes(executor: Executor, work: Callable[[], T]) -> list[tuple[str, T]]:
    """Do one short work once on every node but this process's own: each node's address and result.

    A node that was lost does no job, and is left out.

    Raises:
        TransientError: a node does not answer, or cannot run mtlue.
    """
    executor.start()
    mine = ray.get_runtime_context().get_node_id()
    others = {name: node for name, node in _alive().items() if name != mine}

    def call(name: str) -> Any:
        there = NodeAffinitySchedulingStrategy(name, soft=False)
        options = {"num_cpus": 0, "scheduling_strategy": there}
        return submit(options, worker.call, work, executor.directory, START_SECONDS)

    calls, deadline = {name: call(name) for name in others}, time.monotonic() + NOTICE_SECONDS
    found: list[tuple[str, T]] = []
    for name, node in others.items():
        address = node["NodeManagerAddress"]
        try:
            while True:
                try:
                    value = ray.get(calls[name], timeout=START_SECONDS)
                    break
                except TaskUnschedulableError:
                    if name not in _alive() or time.monotonic() > deadline:
                        raise
                    time.sleep(1)
                    calls[name] = call(name)
        except (GetTimeoutError, RayError) as error:
            if name not in _alive():
                continue  # it was lost before, and listed until Ray noticed
            problem = " ".join(str(error).split())[:300]
            raise TransientError(f"node {address} of {executor.compute.address} cannot be used: {problem}") from None
        if isinstance(value, MtlueError):
            raise value
        found.append((address, value))
    return found


def _alive() -> dict[str, dict[str, Any]]:
    """The nodes that Ray takes for alive now, by their names."""
    nodes: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]
    return {node["NodeID"]: node for node in nodes if node["Alive"]}


Seen = tuple[str, Store, Entry]
"""Key of the configuration, place, and a file in it as the driver sees it."""


def check_shared(executor: Executor, places: Places) -> None:
    """Make sure that each node reaches every place that lies on a local disk.

    Raises:
        ConfigError: a node does not; names the place and the node.
    """
    if executor.compute.address == "local":
        return
    seen: list[Seen] = []
    written = [(key, store) for key, store in (("output", places.output), ("work", places.work)) if _is_local(store)]
    try:
        seen += [(key, store, store.write(PROBE, b"")) for key, store in written]
        inputs = [("dataset.shards", places.source, places.shards)]
        if places.test_source is not None:
            inputs.append(("dataset.test_shards", places.test_source, places.test_shards))
        for key, store, shards in inputs:
            if _is_local(store):
                seen += [(key, store, entry) for ref in shards[:1] if (entry := store.stat(ref.name)) is not None]
        if not seen:
            return
        for node, missing in on_other_nodes(executor, partial(unseen, seen)):
            for key, url in missing:
                raise ConfigError(
                    f"{key} ({url}) lies on a disk that node {node} of {executor.compute.address} does not share. Name "
                    "an object store (s3://…) or a file system that every node has mounted there, or set "
                    "compute.address to local"
                )
    finally:
        for _, store in written:
            store.delete(PROBE)


def unseen(seen: Sequence[Seen]) -> list[tuple[str, str]]:
    """Key and URL of the places whose file this machine does not see as the driver does."""
    return [(key, store.url) for key, store, entry in seen if store.stat(entry.name) != entry]


def _is_local(store: Store) -> bool:
    return split_url(store.url)[0] == LOCAL
