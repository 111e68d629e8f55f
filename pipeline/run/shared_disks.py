"""Whether every node of a cluster that a run joins sees the local disks that the run names.

Neither addresses nor paths can tell: one machine may hold several nodes, and many machines may have mounted one file
system. So each node is asked for files that the driver has just seen or written, before anything else runs there.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from pipeline.cluster.executor import Executor
from pipeline.cluster.nodes import on_other_nodes
from pipeline.state.places import PROBE, Places
from schemas.errors import ConfigError
from stages.io.store.store import Entry, Store
from stages.io.store.urls import LOCAL, split_url

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
                    f"{key} ({url}) lies on a disk that node {node} of {executor.compute.address} does not share; name "
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
