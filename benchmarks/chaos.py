"""Chaos: processes of real runs are killed until enough are dead; what gets through must be what an unbroken run makes.

    python benchmarks/chaos.py                    # 50 deaths, as `make chaos`
    python benchmarks/chaos.py --kills 10 --seed 3

Two thirds of the runs meet failpoints: two of their workers and their driver die at drawn steps. The others lose their
driver or a worker at a random moment. Every life has an `output` and a `work` of its own, on a disk or on an S3 server
that is started here, and is trained in one of two ways; it ends with a run that nobody disturbs, whose bytes, names and
records are compared (`tests/chaos.py`).
"""

from __future__ import annotations

import argparse
import os
import random
import tempfile
import time
from pathlib import Path

from schemas.dataset import Storage
from tests.chaos import SETTINGS, Killed, Scene, live, scene
from tests.servers import FULL, S3Server


def main() -> None:
    """Live until enough processes are dead; print each life and the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    os.environ |= {
        "AWS_ACCESS_KEY_ID": FULL[0],
        "AWS_SECRET_ACCESS_KEY": FULL[1],
        "AWS_EC2_METADATA_DISABLED": "true",
        "RAY_memory_monitor_refresh_ms": "0",
        "RAY_worker_niceness": "0",  # else its workers starve on a busy machine, which looks as if they hung
    }
    rng, killed, started = random.Random(given.seed), Killed(), time.monotonic()
    with tempfile.TemporaryDirectory(prefix="mtlue-chaos-") as directory:
        root = Path(directory)
        server = S3Server(root)
        try:
            places = [(f"{root}/disk-{kind}", Storage(), kind) for kind in SETTINGS]
            places += [(f"{server.bucket()}/{kind}", server.storage, kind) for kind in SETTINGS]
            scenes: list[Scene] = []
            lives = 0
            while killed.count < given.kills:
                place, storage, kind = places[lives % len(places)]
                if lives < len(places):
                    (root / str(lives)).mkdir()
                    scenes.append(scene(root / str(lives), place, storage, perturber=kind))
                    print(f"{place}: unbroken in {scenes[-1].seconds:.0f} s", flush=True)
                made, before = scenes[lives % len(places)], killed.count
                live(made, f"{place}/life-{lives}", rng, killed, kills=min(6, given.kills - before))
                lives += 1
                deaths = f"{killed.count - before} deaths ({killed.count} so far)"
                print(f"life {lives} ({place}): {deaths}, as the unbroken run", flush=True)
        finally:
            server.stop()
    print(f"\n{killed.count} deaths in {killed.runs} runs of {lives} lives, {time.monotonic() - started:.0f} s")
    for victim, times in sorted(killed.moments.items()):
        print(f"{times:4}  {victim}, at a random moment")
    for point, times in sorted(killed.points.items()):
        print(f"{times:4}  {point}")


if __name__ == "__main__":
    main()
