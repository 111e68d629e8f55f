"""Peak memory of a worker that ingests and protects one shard, by the size of its images and of the shard.

    python benchmarks/memory.py            # 1, 12 and 64 Mpx, then shards of 100 MB and 1 GB
    python benchmarks/memory.py --rows flat-64 photo-64

Each row is a process of its own: its peak (`ru_maxrss`) counts the libraries too, which `start` shows alone. `flat` is
a PNG of one colour, the most pixels for its bytes; `photo` is a JPEG, whose protected PNG hardly compresses.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

SIDES = {"1": (1000, 1000), "12": (3000, 4000), "64": (8192, 8192)}
SHARDS = {"shard-100MB": 100 * 10**6, "shard-1GB": 10**9}
ROWS = ["start", *(f"{kind}-{size}" for size in SIDES for kind in ("flat", "photo")), *SHARDS]


def image(kind: str, height: int, width: int) -> bytes:
    """An encoded image of one colour, or of smooth colours with noise."""
    import cv2
    import numpy as np

    if kind == "flat":
        return cv2.imencode(".png", np.full((height, width, 3), 128, np.uint8))[1].tobytes()
    rng = np.random.default_rng(0)
    small = rng.integers(60, 196, (16, 16, 3), dtype=np.uint8)
    smooth = cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)
    for rows in range(0, height, 256):
        part = smooth[rows : rows + 256]
        part += rng.integers(0, 12, part.shape, dtype=np.uint8)
    return cv2.imencode(".jpg", smooth, [cv2.IMWRITE_JPEG_QUALITY, 92])[1].tobytes()


def write_shard(path: Path, row: str) -> None:
    """Three images of one size, or as many of 512 px as a shard holds."""
    from stages.io.shards.tar import TarWriter

    kind, _, size = row.partition("-")
    data = image("photo", 512, 512) if row in SHARDS else image(kind, *SIDES[size])
    count = SHARDS[row] // len(data) if row in SHARDS else 3
    with TarWriter(path) as tar:
        for number in range(count):
            tar.add(f"s{number:06d}.{'png' if kind == 'flat' else 'jpg'}", data)
            tar.add(f"s{number:06d}.cls", b"1")


def measure(path: Path) -> None:
    """Ingest and protect the shard, as a worker does; print the peaks in MB."""
    import ray  # noqa: F401 - a worker has it loaded
    import torch

    from pipeline.run.protect import protect_step  # noqa: F401 - and this
    from pipeline.run.tables import return_memory
    from schemas.dataset import Layout
    from schemas.plans import GeneratorSpec, IngestPlan, ProtectPlan
    from schemas.tasks import Task
    from stages.ingest.ingest import profile_shard
    from stages.perturbers.codes import ClassCodes
    from stages.perturbers.perturber import GeneratorPerturber
    from stages.protect.protect import write_protected
    from stages.protect.validate import validate_shard

    torch.set_num_threads(1)
    return_memory()
    layout, tasks, epsilon = Layout(), [Task(field="cls", classes=3)], 8 / 255
    peaks = {"start": peak()}
    if path.stat().st_size:
        ingest = IngestPlan(layout=layout, tasks=tasks, resolution=64)
        profile_shard(path, "train-0.tar", path.with_name("table"), ingest, 100)
        peaks["ingest"] = peak()
        spec = GeneratorSpec(network="codes", resolution=64, epsilon=epsilon, tasks=tasks, protected=[True])
        perturber = GeneratorPerturber(ClassCodes(spec).eval().requires_grad_(False), "codes")
        protected = path.with_name("protected.tar")
        plan = ProtectPlan(
            layout=layout, tasks=tasks, epsilon=epsilon, encoding="png", on_error="fail", generator="codes"
        )
        write_protected(path, "train-0.tar", protected, plan, perturber)
        peaks["protect"] = peak()
        validate_shard(path, "train-0.tar", protected, layout, epsilon=epsilon, encoding="png")
    peaks["validate"] = peak()
    print(json.dumps({"shard": round(path.stat().st_size / 1e6, 1), **peaks}))


def peak() -> int:
    """Largest resident size of this process so far, in MB (Linux counts it in KiB)."""
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6)


def main() -> None:
    """Measure every row in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", nargs="*", default=ROWS, choices=ROWS)
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.measure:
        measure(given.measure)
        return
    print(f"{'row':>12} {'shard':>9} {'start':>7} {'ingest':>7} {'protect':>8} {'validate':>9}   MB, peak so far")
    for row in given.rows:
        with tempfile.TemporaryDirectory(prefix="mtlue-memory-") as directory:
            path = Path(directory, "train-0.tar")
            write_shard(path, row) if row != "start" else path.touch()
            done = subprocess.run([sys.executable, __file__, "--measure", path], stdout=subprocess.PIPE, check=True)
            found = json.loads(done.stdout)
        cells = [found.get(name, "") for name in ("start", "ingest", "protect", "validate")]
        print(f"{row:>12} {found['shard']:>9} {cells[0]:>7} {cells[1]:>7} {cells[2]:>8} {cells[3]:>9}", flush=True)


if __name__ == "__main__":
    main()
