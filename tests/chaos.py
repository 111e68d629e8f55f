"""Chaos: a real `mtlue run` whose processes are killed again and again, held against a run that nobody broke.

A scene is a small dataset, a configuration with training and audit, and what an unbroken run makes of them. A life is a
new pair of `output` and `work` in which runs follow each other until one gets through: each is armed with failpoints
(`stages/io/store/failpoints.py`), or loses its driver or one of its workers at a random moment.
"""

from __future__ import annotations

import json
import os
import random
import re
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.state.ledger import Ledger
from pipeline.state.owner import OWNER
from schemas.config import Config
from schemas.dataset import Storage
from stages.io.store.disk import TEMPORARY
from stages.io.store.failpoints import VARIABLE
from stages.io.store.store import Store
from tests.builders import config, labelled_samples, write_shard
from tests.running import Ended, contents, end, gone, processes_of, run, start, write_config

SHARDS, PER_SHARD = 4, 12
SETTINGS = {"generator": {"epochs": 3}, "codes": {"rounds": 3}}
PRELUDE = "import pipeline.run.train; pipeline.run.train.SAVE_SECONDS = 0.0"

IN_A_WORKER = (
    "after download */raw/{shard}",
    "before upload */private/tables/{shard}.*",
    "after upload */private/tables/{shard}.*",
    "after download */private/tables/*",
    "reported {perturber} 1",
    "before write */private/training/*",
    "after write */private/training/*",
    "reported {perturber} 2",
    "before write */private/generators/*.safetensors",
    "after write */private/generators/*.safetensors",
    "before upload */private/proof/*/{shard}",
    "after upload */private/proof/*/{shard}",
    "before upload */public/{shard}",
    "after upload */public/{shard}",
)
"""Steps of a shard and of the training, in a run's order; the run survives their deaths."""

IN_THE_DRIVER = (
    "after * */private/lease.json",
    "before write */private/profiles/{shard}.*",
    "after write */private/profiles/{shard}.*",
    "before write */private/generator.json",
    "after write */private/generator.json",
    "before delete */private/training/*",
    "after delete */private/training/*",
    "before write */private/victims/*",
    "after write */private/victims/*",
    "before write */private/evidence/*",
    "after write */private/evidence/*",
    "after create */private/identity.json",
    "after create */public/.mtlue-owner.json",
    "after write */private/written.json",
    "before write */private/ledger/{shard}.*",
    "after write */private/ledger/{shard}.*",
    "after write */private/report.html",
    "after write */public/README.md",
    "before write */public/manifest.json",
    "after write */public/manifest.json",
    "before write */private/index/*",
)
"""Steps between and after: records, audit, owner, publishing; the next run goes on."""

ON_A_DISK = ("flushed */private/ledger/{shard}.*", "flushed */public/manifest.json")
"""Where the driver has written a file that has not got its name yet."""


@dataclass(frozen=True)
class Scene:
    """A dataset, and what an unbroken run made of it."""

    root: Path
    raw: str
    storage: Storage
    perturber: str
    audit: bool
    output: dict[str, str]
    """Name → SHA-256 in `output`; the mark of its owner, which is random, left out."""
    work: Counter[str]
    """Names in `work`, without the fingerprints in them: those hold a disk's times."""
    identities: set[str]
    """Of the ledger's records."""
    seconds: float
    """How long it took."""

    def points(self, rng: random.Random) -> list[str]:
        """Two points of workers and one of the driver, of random shards."""
        in_the_driver = IN_THE_DRIVER if "://" in self.raw else (*IN_THE_DRIVER, *ON_A_DISK)
        return [
            point.format(shard=f"train-{rng.randrange(SHARDS):05d}.tar", perturber=self.perturber)
            for point in (*rng.sample(IN_A_WORKER, 2), rng.choice(in_the_driver))
        ]


@dataclass
class Killed:
    """What was done to the runs of some lives."""

    points: Counter[str] = field(default_factory=Counter)
    """Failpoint → deaths at it."""
    moments: Counter[str] = field(default_factory=Counter)
    """Victim → kills at a random moment."""
    runs: int = 0

    @property
    def count(self) -> int:
        """Processes killed."""
        return self.points.total() + self.moments.total()


def scene(root: Path, place: str, storage: Storage, *, perturber: str = "generator", audit: bool = True) -> Scene:
    """Write a dataset below `place` and run it undisturbed, in this process."""
    raw = Store(f"{place}/raw", storage)
    for split, count in (("train", SHARDS), ("test", 1)):
        for shard in range(count):
            path = write_shard(root / "shard.tar", labelled_samples(PER_SHARD, seed=shard + 100 * (split == "test")))
            raw.put(path, f"{split}-{shard:05d}.tar")
    made = _configuration(raw.url, f"{place}/unbroken", storage, perturber, audit=audit)
    started = time.monotonic()
    assert len(run(made).records) == SHARDS
    return Scene(
        root,
        raw.url,
        storage,
        perturber,
        audit,
        _published(made, storage),
        _names(made, storage),
        _identities(made, storage),
        time.monotonic() - started,
    )


def live(
    scene: Scene, place: str, rng: random.Random, killed: Killed, *, kills: int, points: Sequence[Sequence[str]] = ()
) -> None:
    """One life below `place`: runs that lose processes until one gets through or `kills` are dead, then a last one.

    Args:
        points: the failpoints of each run. Left out, they are drawn, and every third run loses its driver or a worker
            at a random moment instead.

    Raises:
        AssertionError: a run ended in another way than by its kill or with success, or the last one's bytes, names or
            records are not those of the unbroken run.
    """
    directory = scene.root / place.rpartition("/")[2]
    made = _configuration(scene.raw, place, scene.storage, scene.perturber, audit=scene.audit)
    planned, code, dead = list(points), -signal.SIGKILL, 0
    while dead < kills and code:
        before, armed = killed.count, directory / f"armed-{killed.runs}"
        if not points and rng.random() < 1 / 3:
            process = _start(directory, made, armed)
            _kill_one(process, directory, rng, scene.seconds, killed)
            ended = end(process)
        else:
            chosen = list(planned.pop(0) if points else scene.points(rng))[: kills - dead]
            armed.mkdir(parents=True)
            for number, point in enumerate(chosen):
                (armed / str(number)).write_text(point)
            ended = end(_start(directory, made, armed))
            killed.points.update(set(chosen) - {path.read_text() for path in armed.iterdir()})
        assert ended.code in {0, -signal.SIGKILL}, ended.err
        code, dead = ended.code, dead + killed.count - before
        killed.runs += 1
    for part in _parts(place):
        os.utime(part, (0, 0))
    ended = end(_start(directory, made, directory / "unarmed"))
    killed.runs += 1
    assert not _parts(place), "half-written files stay in its places"
    _check(scene, made, ended, directory)


def _check(scene: Scene, made: Config, ended: Ended, directory: Path) -> None:
    """The last run's world is that of the unbroken run."""
    assert ended.code == 0, ended.err
    figures = json.loads(ended.out)
    assert (figures["shards"], figures["shards_failed"], figures["quarantined"]) == (SHARDS, 0, 0), figures
    assert figures["samples"] == SHARDS * PER_SHARD
    assert _published(made, scene.storage) == scene.output, "other bytes than those of the unbroken run, or strays"
    names = _names(made, scene.storage)
    strays, lacking = names - scene.work, scene.work - names
    assert strays == lacking == Counter(), f"strays in `work`: {strays}; it lacks {lacking}"
    assert _identities(made, scene.storage) == scene.identities
    assert gone(directory), "processes outlive their run"
    assert not list((directory / "tmp").glob("mtlue-*")), "raw images are left in temporary files"


def _kill_one(
    process: subprocess.Popen[str], directory: Path, rng: random.Random, seconds: float, killed: Killed
) -> None:
    """Kill the driver or one of its workers at a random moment of an unbroken run's time, if it runs so long."""
    moment, wanted = rng.uniform(0.1, seconds), rng.choice(["driver", "worker"])
    try:
        process.wait(moment)
    except subprocess.TimeoutExpired:
        workers = [pid for pid in processes_of(directory) if _is_worker(pid)]
        victim = rng.choice(workers) if wanted == "worker" and workers else process.pid
        os.kill(victim, signal.SIGKILL)
        killed.moments["driver" if victim == process.pid else "worker"] += 1


def _is_worker(pid: int) -> bool:
    """Whether a process is one of Ray's workers, at work or idle."""
    try:
        name = Path(f"/proc/{pid}/cmdline").read_bytes()
        return name.startswith(b"ray::") and b"Agent" not in name  # without its agents Ray itself ends
    except OSError:  # it ended
        return False


def _configuration(raw: str, place: str, storage: Storage, perturber: str, *, audit: bool) -> Config:
    return config(
        Path(place),
        dataset={
            "shards": f"{raw}/train-*.tar",
            "test_shards": f"{raw}/test-*.tar",
            "storage": storage.model_dump(mode="json"),
        },
        train={"perturber": perturber, **SETTINGS[perturber]},
        output=f"{place}/public",
        work=f"{place}/private",
        **({"audit": {}} if audit else {}),
    )


def _start(directory: Path, made: Config, armed: Path) -> subprocess.Popen[str]:
    armed.mkdir(parents=True, exist_ok=True)
    path = write_config(directory / "pipeline.yaml", made)
    return start("run", path, "--json", directory=directory, environment={VARIABLE: str(armed)}, prelude=PRELUDE)


def _published(made: Config, storage: Storage) -> dict[str, str]:
    return {name: digest for name, digest in contents(made.output, storage).items() if name != OWNER}


def _parts(place: str) -> list[Path]:
    """Half-written files in a place on a disk."""
    return [] if "://" in place else list(Path(place).rglob(f"{TEMPORARY}*"))


def _names(made: Config, storage: Storage) -> Counter[str]:
    """Files of `work`, hashes left out, without the logs of runs: a run that is killed leaves what it logged so far."""
    names = (entry.name for entry in Store(made.work, storage).list())
    return Counter(re.sub("[0-9a-f]{16,}", "…", name) for name in names if not name.startswith("runs/"))


def _identities(made: Config, storage: Storage) -> set[str]:
    return set(Ledger(Store(made.work, storage)).identities())
