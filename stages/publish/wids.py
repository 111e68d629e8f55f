"""The index for random access with `wids`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from schemas.records import Manifest


def wids_index(manifest: Manifest, md5s: Mapping[str, str] | None = None) -> str:
    """Write the index for random access with `wids` (shipped in webdataset 0.2.x): JSON text, names relative to it.

    Args:
        manifest: what was published.
        md5s: shard name → MD5 in hex. The reader needs `url` and `nsamples` only, so an unknown MD5 is left out.
    """
    shards = []
    for shard in manifest.shards:
        entry: dict[str, Any] = {"url": shard.name, "nsamples": shard.samples, "filesize": shard.bytes}
        if md5s and shard.name in md5s:
            entry["md5sum"] = md5s[shard.name]
        shards.append(entry)
    index = {"__kind__": "wids-shard-index-v1", "wids_version": 1, "name": manifest.name, "shardlist": shards}
    return json.dumps(index, indent=1, ensure_ascii=False) + "\n"
