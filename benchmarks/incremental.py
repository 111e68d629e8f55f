"""What a run costs when little has changed: requests, seconds and the driver's memory, over many shards.

`python benchmarks/incremental.py --shards 10000` protects one small shard for real, gives it so many twins (inputs,
published shards, tables, profiles, ledger records), and then runs three times, each in a process of its own: once that
finds the twins, once with nothing to do, once with 1 % new shards. Requests are counted as an object store would bill
them: a listing is one for every 1,000 objects. Those of the workers for new shards are not among them.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.cluster.progress import Reporter
from pipeline.configuration.plans import ingest_plan, protect_plan
from pipeline.run.run import run
from pipeline.state.ledger import Ledger, identity_of
from pipeline.state.places import Places, shard_object
from schemas.config import Config
from schemas.records import GeneratorRecord, ShardProfile
from stages.io.images.encoding import encode_image
from stages.io.shards.tar import TarWriter
from stages.io.store.disk import Disk

PAGE = 1000
"""Objects that a store lists for one request."""


def configuration(root: Path) -> Config:
    """Tiny settings; nothing of them matters here."""
    return Config.model_validate(
        {
            "dataset": {"shards": f"{root}/raw/*.tar"},
            "tasks": [{"field": "cls", "classes": 2}],
            "train": {"rounds": 1, "resolution": 16, "batch_size": 4, "augment": ["crop"]},
            "output": f"{root}/public",
            "work": f"{root}/private",
            "compute": {"cpus": 2, "gpus": 0},
        }
    )


def write_shard(path: Path, samples: int = 4) -> None:
    """A shard of small pictures of noise, of two classes."""
    rng = np.random.default_rng(0)
    path.parent.mkdir(parents=True, exist_ok=True)
    with TarWriter(path) as tar:
        for number in range(samples):
            image = rng.integers(40 + 60 * (number % 2), 120 + 60 * (number % 2), (16, 16, 3), dtype=np.uint8)
            tar.add(f"s{number}.png", encode_image(image, "png"))
            tar.add(f"s{number}.cls", str(number % 2).encode())


def multiply(root: Path, shards: int) -> None:
    """Give the one shard of a finished run so many twins, and each twin what a run would have left of it."""
    config = configuration(root)
    first = Places(config).shards[0]
    for number in range(1, shards):
        os.link(root / "raw" / first.name, root / "raw" / name_of(number))
        os.link(root / "public" / first.name, root / "public" / name_of(number))
    places, private = Places(config), root / "private"
    generator = GeneratorRecord.model_validate_json((private / "generator.json").read_bytes())
    plan, settings = protect_plan(config, generator.content), ingest_plan(config).fingerprint
    (record,) = Ledger(places.work).done([first], plan, places.output.list())
    stored = private / shard_object("profiles", first, settings, "json")
    profile = ShardProfile.model_validate_json(stored.read_bytes())
    for ref in places.shards:
        if ref.name == first.name:
            continue
        table = shard_object("tables", ref, settings, "arrow")
        os.link(private / profile.cache, private / table)
        twin = profile.model_copy(update={"name": ref.name, "cache": table})
        (private / shard_object("profiles", ref, settings, "json")).write_text(twin.model_dump_json())
        identity = identity_of(ref, plan)
        done = record.model_copy(update={"name": ref.output_name, "identity": identity})
        (private / f"ledger/{done.name}.{identity}.json").write_text(done.model_dump_json())


def name_of(number: int) -> str:
    """Of the twins."""
    return f"train-{number:06d}.tar"


def counted(requests: Counter[str]) -> None:
    """Count every request to a store in this process."""
    inside = threading.local()  # a disk looks at each file that it lists; a store does not

    def wrap(verb: str, action: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            if getattr(inside, "verb", ""):
                return action(*arguments)
            inside.verb = verb
            try:
                result = action(*arguments)
            finally:
                inside.verb = ""
            requests[verb] += max(1, -(-len(result) // PAGE)) if verb == "list" else 1
            return result

        return call

    for verb in ("list", "stat", "read", "download", "upload", "write", "create", "delete"):
        setattr(Disk, verb, wrap(verb, getattr(Disk, verb)))


def one_run(root: Path) -> None:
    """Run once and print what it cost."""
    requests: Counter[str] = Counter()
    counted(requests)
    before, started = peak_megabytes(), time.monotonic()
    result = run(configuration(root), Reporter("json"))
    found = {
        "seconds": round(time.monotonic() - started, 1),
        "requests": sum(requests.values()),
        "by_verb": dict(sorted(requests.items())),
        "memory_mb": round(peak_megabytes()),
        "memory_before_mb": round(before),
        "shards": len(result.records),
        "done_before": result.done_before,
    }
    print(json.dumps(found), flush=True)


def peak_megabytes() -> float:
    """Largest resident memory of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measured(root: Path, what: str) -> None:
    """One run in a process of its own."""
    done = subprocess.run(
        [sys.executable, __file__, "--one", str(root)], stdout=subprocess.PIPE, text=True, check=True, env=os.environ
    )
    print(f"{what:<12}{done.stdout.splitlines()[-1]}", flush=True)


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shards", type=int, default=10_000)
    parser.add_argument("--one", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        one_run(arguments.one)
        return
    with tempfile.TemporaryDirectory(prefix="mtlue-benchmark-") as directory:
        root = Path(directory)
        write_shard(root / "raw" / name_of(0))
        measured(root, "first shard")
        multiply(root, arguments.shards)
        measured(root, "found")
        measured(root, "idle")
        for number in range(arguments.shards, arguments.shards + max(1, arguments.shards // 100)):
            write_shard(root / "raw" / name_of(number))
        measured(root, "1 % new")


if __name__ == "__main__":
    main()
