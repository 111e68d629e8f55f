"""Fuzzing of what reads other people's bytes: broken tars, images, labels, Parquet, configurations and stored records.

    python benchmarks/fuzz.py --minutes 10 --seed 0
    python benchmarks/fuzz.py --kind parquet --case 1234      # one case again, with its traceback (--seed as before)

Each case takes a whole thing, breaks it in a seeded way (bits, cuts, slices that are repeated, moved or come from
another thing, numbers that turn huge) and gives it to the reader that a run would use. Good is an answer, a quarantine
record or one of the project's own errors; anything else is a finding: another exception, a process that dies, a case
that takes longer than `SLOW_SECONDS` or more memory than `MEMORY_BYTES`.
"""

from __future__ import annotations

import argparse
import faulthandler
import io
import json
import random
import re
import resource
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from PIL import Image

from pipeline.configuration.loading import load_config
from schemas.dataset import Layout
from schemas.errors import ConfigError, MtlueError, SampleError, ValidationError
from schemas.plans import GeneratorSpec, IngestPlan, ProtectPlan
from schemas.records import Manifest, Quarantined
from schemas.tasks import AnyTask
from stages.ingest.ingest import profile_shard
from stages.io.images.decoding import decode_image
from stages.io.shards.tar import TarWriter
from stages.io.store.records import parse_record
from stages.perturbers.codes import ClassCodes
from stages.perturbers.perturber import GeneratorPerturber
from stages.protect.protect import write_protected
from stages.protect.validate import validate_shard

SLOW_SECONDS = 20
MEMORY_BYTES = 6 * 2**30
"""Address space of a process that tries cases."""

CASES = 400
"""Cases of one process."""

SIDE = 24
EPSILON = 8 / 255
HOSTILE = ["NaN", "Infinity", "-1", "1e400", "9" * 40, "null", '""', "[]", "{}", "true", '"\\ud800"', "[" * 2000]
NUMBERS = [0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF]
CONFIG = {
    "name": "fuzzed",
    "dataset": {"shards": "raw/{00..09}.tar", "image": "jpg;png", "members": {"json": "keep"}, "max_pixels": 65536},
    "tasks": [{"field": "json.a", "classes": 3}, {"kind": "segmentation", "field": "seg.png", "classes": 4}],
    "protection": {"epsilon": "8/255"},
    "train": {"perturber": "generator", "epochs": 2, "augment": ["crop"]},
    "output": "public",
    "work": "private",
    "compute": {"cpus": 2},
}
LAYOUT = Layout(
    image="jpg;png;webp;tif;gif;bmp;jp2;ppm", members={"seg.png": "keep", "depth.npy": "keep"}, max_pixels=65536
)


def tasks() -> list[AnyTask]:
    """One of each way that a label is stored."""
    from pydantic import TypeAdapter

    values = {"edges": [5.0], "low": 0, "high": 10, "mean": 5, "deviation": 2}
    given = [
        {"kind": "classification", "field": "json.a", "classes": 3},
        {"kind": "binary", "field": "json.b"},
        {"kind": "regression", "field": "json.c", "low": 0, "high": 10, "values": values},
        {"kind": "segmentation", "field": "seg.png", "classes": 4},
        {"kind": "depth", "field": "depth.npy", "low": 0.1, "high": 10},
    ]
    return TypeAdapter(list[AnyTask]).validate_python(given)


class Things:
    """Whole things of every kind, from which cases are made."""

    def __init__(self, directory: Path) -> None:
        rng = np.random.default_rng(0)
        self.directory = directory
        pixels = rng.integers(20, 230, (SIDE, SIDE, 3), dtype=np.uint8)
        self.images = _images(pixels)
        self.labels = [b'{"a": 2, "b": true, "c": 3.5}', b'{"a": null, "b": 0, "c": "4"}', b'{"a": {"b": [1, 2]}}']
        seg = cv2.imencode(".png", rng.integers(0, 4, (SIDE, SIDE), dtype=np.uint8))[1].tobytes()
        depth = io.BytesIO()
        np.save(depth, rng.uniform(0.2, 9, (SIDE, SIDE)).astype(np.float32))
        self.members = {"json": self.labels[0], "seg.png": seg, "depth.npy": depth.getvalue()}
        self.tasks = tasks()
        spec = GeneratorSpec(
            network="codes", resolution=16, epsilon=EPSILON, tasks=self.tasks, protected=[True] * len(self.tasks)
        )
        self.perturber = GeneratorPerturber(ClassCodes(spec).eval().requires_grad_(False), "codes")
        self.ingest = IngestPlan(layout=LAYOUT, tasks=self.tasks, resolution=16)
        self.protect = ProtectPlan(
            layout=LAYOUT, tasks=self.tasks, epsilon=EPSILON, encoding="png", on_error="quarantine", generator="codes"
        )
        self.tar = self.shard(self.images["jpg"], self.members)
        self.protected = self.published(self.tar)
        table = pa.table(
            {
                "png": [{"bytes": self.images["png"], "path": "x.png"}] * 6,
                "a": [0, 1, 2, None, 1, 0],
                "b": [True, False, None, True, True, False],
                "c": [1.5, float("nan"), 3.0, 4.0, None, 5.0],
                "note": ["one", "two", None, "ä", "", "six"],
            }
        )
        self.parquets = []
        for options in (
            {"compression": "snappy"},
            {"compression": "none", "use_dictionary": False},
            {"compression": "zstd"},
        ):
            target = io.BytesIO()
            pq.write_table(table, target, **options)
            self.parquets.append(target.getvalue())
        self.manifest = json.dumps(
            {
                "format": "mtlue-manifest-1",
                "name": "fuzzed",
                "samples": 3,
                "bytes": 4,
                "shards": [{"name": "a.tar", "bytes": 4, "sha256": "0" * 64, "samples": 3}],
            }
        ).encode()

    def shard(self, image: bytes, members: dict[str, bytes], extension: str = "jpg") -> bytes:
        """A tar of two good samples around one of these."""
        path = self.directory / "whole.tar"
        with TarWriter(path) as tar:
            for key, picture, ending, others in (
                ("a", self.images["jpg"], "jpg", self.members),
                ("b", image, extension, members),
                ("c", self.images["jpg"], "jpg", self.members),
            ):
                tar.add(f"{key}.{ending}", picture)
                for field, data in others.items():
                    tar.add(f"{key}.{field}", data)
        return path.read_bytes()

    def published(self, tar: bytes) -> bytes:
        """The protected twin of a whole tar."""
        source, target = self.directory / "source.tar", self.directory / "target.tar"
        source.write_bytes(tar)
        write_protected(source, "source.tar", target, self.protect, self.perturber)
        return target.read_bytes()


def _images(pixels: np.ndarray) -> dict[str, bytes]:
    """A picture in every format that is read."""
    found = {}
    formats = {"jpg": "JPEG", "png": "PNG", "webp": "WEBP", "tif": "TIFF", "gif": "GIF", "bmp": "BMP", "ppm": "PPM"}
    for extension, kind in {**formats, "jp2": "JPEG2000"}.items():
        target = io.BytesIO()
        Image.fromarray(pixels).save(target, kind)
        found[extension] = target.getvalue()
    found["palette.png"] = _saved(Image.fromarray(pixels).quantize(16), "PNG")
    found["deep.png"] = cv2.imencode(".png", pixels.astype(np.uint16) * 257)[1].tobytes()
    found["cmyk.jpg"] = _saved(Image.fromarray(pixels).convert("CMYK"), "JPEG")
    return found


def _saved(image: Image.Image, kind: str) -> bytes:
    target = io.BytesIO()
    image.save(target, kind)
    return target.getvalue()


def broken(data: bytes, rng: random.Random, others: list[bytes]) -> bytes:
    """The bytes with one to four faults."""
    made = bytearray(data)
    for _ in range(rng.choice([1, 1, 1, 2, 4])):
        at, size = rng.randrange(len(made) + 1), rng.choice([1, 2, 4, 16, 64, 512])
        fault = rng.randrange(8)
        if fault == 0 and made:
            made[at % len(made)] ^= 1 << rng.randrange(8)
        elif fault == 1:
            made[at : at + size] = rng.randbytes(size)
        elif fault == 2:
            del made[at:]
        elif fault == 3:
            del made[at : at + size]
        elif fault == 4:
            made[at:at] = made[at : at + size] * rng.choice([1, 2, 50])
        elif fault == 5:
            made[at : at + size] = bytes(size)
        elif fault == 6:
            other = rng.choice(others)
            start = rng.randrange(len(other) + 1)
            made[at : at + size] = other[start : start + size]
        else:
            width = rng.choice([1, 2, 4, 8])
            made[at : at + width] = rng.choice(NUMBERS).to_bytes(8, rng.choice(["big", "little"]))[:width]
    return bytes(made)


def broken_text(text: str, rng: random.Random) -> bytes:
    """Text in which a value is another kind of thing, or whose bytes are broken."""
    if rng.random() < 0.5:
        return broken(text.encode(), rng, [text.encode()])
    values = list(re.finditer(r'"[^"]*"|[\w./{}-]+', text))
    chosen = rng.choice(values)
    return (text[: chosen.start()] + rng.choice(HOSTILE) + text[chosen.end() :]).encode("utf-8", "surrogatepass")


def case_image(things: Things, rng: random.Random) -> str:
    """Decode one broken image."""
    images = list(things.images.values())
    try:
        decode_image(broken(rng.choice(images), rng, images), max_pixels=65536)
    except SampleError as error:
        return error.reason
    return "read"


def case_tar(things: Things, rng: random.Random) -> str:
    """Ingest and protect a tar whose own bytes are broken."""
    return _through(things, broken(things.tar, rng, [*things.images.values(), things.tar]), "train-0.tar")


def case_member(things: Things, rng: random.Random) -> str:
    """Ingest and protect a whole tar with a broken image or label in it."""
    members, (name, image) = dict(things.members), rng.choice(list(things.images.items()))
    chosen = rng.choice(["image", *members])
    if chosen == "image":
        image = broken(image, rng, list(things.images.values()))
    elif chosen == "json":
        members["json"] = broken_text(rng.choice(things.labels).decode(), rng)
    else:
        members[chosen] = broken(members[chosen], rng, list(members.values()))
    return _through(things, things.shard(image, members, name.rpartition(".")[2]), "train-0.tar")


def case_parquet(things: Things, rng: random.Random) -> str:
    """Ingest and protect a broken Parquet file."""
    return _through(things, broken(rng.choice(things.parquets), rng, things.parquets), "train-0.parquet")


def case_published(things: Things, rng: random.Random) -> str:
    """Validate a protected tar that was broken after it was written; unlike it, it must not pass with other pixels."""
    source, target = things.directory / "source.tar", things.directory / "target.tar"
    source.write_bytes(things.tar)
    target.write_bytes(broken(things.protected, rng, [things.tar, things.protected]))
    try:
        validate_shard(source, "source.tar", target, LAYOUT, epsilon=EPSILON, encoding="png")
    except MtlueError as error:
        return type(error).__name__
    return "valid"


def case_config(things: Things, rng: random.Random) -> str:
    """Load a broken configuration."""
    path = things.directory / "pipeline.yaml"
    path.write_bytes(broken_text(yaml.safe_dump(CONFIG, default_flow_style=rng.choice([None, True, False])), rng))
    try:
        load_config(path, [])
    except ConfigError:
        return "ConfigError"
    return "read"


def case_record(things: Things, rng: random.Random) -> str:
    """Parse a broken manifest."""
    try:
        parse_record(broken_text(things.manifest.decode(), rng), Manifest, "manifest.json", "fetch it again")
    except ValidationError:
        return "ValidationError"
    return "read"


def _through(things: Things, data: bytes, name: str) -> str:
    """What a worker does with a shard: profile it, protect it, validate what was written."""
    path, target = things.directory / name, things.directory / "protected.tar"
    path.write_bytes(data)
    try:
        profile = profile_shard(path, name, things.directory / "table", things.ingest, 100)
        left_out = len(profile.quarantined)
        written = write_protected(path, name, target, things.protect, things.perturber)
        measured = validate_shard(path, name, target, LAYOUT, epsilon=EPSILON, encoding="png")
    except MtlueError as error:
        return type(error).__name__
    if (measured.samples, len(written.quarantined)) != (written.samples, left_out):
        raise AssertionError(f"{profile.samples} read, {written.samples} written, {measured.samples} validated")
    return Quarantined.__name__ if left_out else "read"


KINDS: dict[str, Callable[[Things, random.Random], str]] = {
    name.removeprefix("case_"): function for name, function in sorted(globals().items()) if name.startswith("case_")
}


def attempt(things: Things, kind: str, number: int, seed: int) -> str:
    """What became of one case; every case is its own random numbers'."""
    return KINDS[kind](things, random.Random(f"{seed}-{kind}-{number}"))


def child(first: int, count: int, seed: int) -> None:
    """Try cases of all kinds in turn; a line of JSON for each."""
    faulthandler.enable()
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    kinds = list(KINDS)
    with tempfile.TemporaryDirectory(prefix="mtlue-fuzz-") as directory:
        things = Things(Path(directory))
        for number in range(first, first + count):
            kind = kinds[number % len(kinds)]
            print(json.dumps({"kind": kind, "case": number}), flush=True)
            faulthandler.dump_traceback_later(SLOW_SECONDS, exit=True)
            try:
                said = {"outcome": attempt(things, kind, number, seed)}
            except Exception as error:
                said = {"finding": f"{type(error).__name__}: {error}"[:300], "at": _where(error)}
            faulthandler.cancel_dump_traceback_later()
            print(json.dumps(said), flush=True)


def _where(error: BaseException) -> str:
    last = [frame for frame in traceback.extract_tb(error.__traceback__) if "site-packages" not in frame.filename][-1]
    return f"{Path(last.filename).name}:{last.lineno} in {last.name}"


def main() -> int:
    """Try cases until the time is over; print counts and findings."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kind", choices=list(KINDS))
    parser.add_argument("--case", type=int, help="try this one of --kind alone")
    parser.add_argument("--child", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child is not None:
        child(given.child, CASES, given.seed)
        return 0
    if given.case is not None:
        with tempfile.TemporaryDirectory(prefix="mtlue-fuzz-") as directory:
            print(attempt(Things(Path(directory)), given.kind, given.case, given.seed))
        return 0
    outcomes: dict[str, Counter[str]] = {kind: Counter() for kind in KINDS}
    findings: Counter[str] = Counter()
    first, deadline = 0, time.monotonic() + 60 * given.minutes
    while time.monotonic() < deadline:
        command = [sys.executable, __file__, "--child", str(first), "--seed", str(given.seed)]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        if not done.stdout:
            raise SystemExit(f"no case was tried:\n{done.stderr[-3000:]}")
        case: dict[str, object] = {}
        for line in map(json.loads, done.stdout.splitlines()):
            if "kind" in line:
                case = line
                continue
            outcome = line.get("outcome", "FINDING")
            outcomes[str(case["kind"])][outcome] += 1
            if "finding" in line:
                _tell(findings, f"{case['kind']}: {line['finding']} ({line['at']})", case, given.seed)
            case = {}
        if case:  # it died under way
            outcomes[str(case["kind"])]["DIED"] += 1
            _tell(
                findings,
                f"{case['kind']}: the process died ({done.returncode})\n{done.stderr[-1500:]}",
                case,
                given.seed,
            )
        first = int(str(case["case"])) + 1 if case else first + CASES
    print(f"\n{sum(map(Counter.total, outcomes.values()))} cases, seed {given.seed}, {len(findings)} kinds of finding")
    for kind, counts in outcomes.items():
        print(f"{kind:>10}  " + ", ".join(f"{name} {count}" for name, count in counts.most_common()))
    return int(bool(findings))


def _tell(findings: Counter[str], what: str, case: dict[str, object], seed: int) -> None:
    """Print a finding the first time that it comes; how to try it again is beside it."""
    same = re.sub(r"\d+", "#", what)
    findings[same] += 1
    if findings[same] == 1:
        print(f"{what}\n    again: --seed {seed} --kind {case['kind']} --case {case['case']}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
