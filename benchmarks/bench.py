"""How fast protection is: ratios of pairs that are run in turn, in one process and one thread, on drawn photographs.

    python benchmarks/bench.py [--rounds 7] [--images 256] [--out build/bench.json]

Each row compares A with B. Its ratio is B's seconds over A's, round by round: 0.9 says that A has nine tenths of B's
speed. CPU seconds hardly depend on what else runs on the machine; wall seconds do. The photographs are drawn: noise
whose power falls with frequency as in photographs, saved as JPEG of quality 90. δ is of class codes at 64 px.

`protect` is all that a worker does with a shard: copy it in, read it, decode, add δ, measure, encode, decode again from
the encoded bytes and compare, write the tar, read it again, checksums of both files, put the result. `loop` is what
anyone would write: OpenCV decodes, resizes δ, NumPy adds, rounds and clips, the same encoder encodes, from memory to
memory. `tight loop` keeps δ resized and rounded for the next image of its classes, as protect does.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import numpy as np
import torch
from PIL import Image

from pipeline.run.tables import return_memory
from schemas.dataset import Layout
from schemas.plans import GeneratorSpec, ProtectPlan
from schemas.records import ShardRef
from schemas.tasks import Task
from stages.io.images.decoding import decode_image
from stages.io.images.encoding import encode_image, encode_png, shows
from stages.io.shards.tar import TarWriter
from stages.io.store.store import Store
from stages.perturbers.codes import ClassCodes
from stages.perturbers.perturber import GeneratorPerturber
from stages.protect.perturb import Shifts, shifted
from stages.protect.protect import protect_shard

ROOT = Path(__file__).parents[1]
EPSILON = 8 / 255
RESOLUTION = 64
SIDES = (128, 512)
DISTINCT = 24
"""Photographs that are drawn; shards repeat them under other labels."""
TASKS = [Task(field="json.a", classes=10), Task(field="json.b", classes=2)]


@dataclass(frozen=True)
class Row:
    """One comparison."""

    name: str
    side: int | None
    """Of the images in pixels."""
    unit: str
    cpu_a: float
    """Median of A's CPU seconds for one unit."""
    cpu_b: float
    cpu_ratio: float
    """Median of B/A."""
    cpu_spread: tuple[float, float]
    """Smallest and largest."""
    wall_ratio: float
    wall_spread: tuple[float, float]


def photograph(rng: np.random.Generator, side: int) -> np.ndarray:
    """Noise with the spectrum of a photograph, most of it in the brightness; side×side×3 uint8."""
    frequency = np.fft.fftfreq(side)
    distance = np.hypot(frequency[:, None], frequency)
    distance[0, 0] = 1

    def plane() -> np.ndarray:
        drawn = np.fft.ifft2(np.fft.fft2(rng.normal(size=(side, side))) / distance**1.4).real
        return np.asarray((drawn - drawn.mean()) / drawn.std())

    brightness = plane()
    return np.clip(np.stack([45 * brightness + 12 * plane() + 120 for _ in range(3)], axis=2), 0, 255).astype(np.uint8)


def jpeg(pixels: np.ndarray) -> bytes:
    """JPEG of quality 90."""
    target = io.BytesIO()
    Image.fromarray(pixels).save(target, "JPEG", quality=90)
    return target.getvalue()


def codes() -> GeneratorPerturber:
    """Class codes as a training leaves them: smooth spots of both signs, many at the bound."""
    spec = GeneratorSpec(network="codes", resolution=RESOLUTION, epsilon=EPSILON, tasks=TASKS, protected=[True, True])
    network = ClassCodes(spec).eval()
    rng = torch.Generator().manual_seed(0)
    for parameter in network.parameters():
        drawn = torch.randn(parameter.numel() // (3 * RESOLUTION**2), 3, RESOLUTION, RESOLUTION, generator=rng)
        spots = torch.nn.functional.avg_pool2d(drawn, 3, 1, 1) * 3
        parameter.requires_grad_(False).copy_(spots.clamp(-1, 1).reshape(parameter.shape))
    return GeneratorPerturber(network, "codes")


class Shard:
    """A shard of JPEG photographs with two labels each, and the same in memory.

    Args:
        folder: where it is written.
        side: of the images in pixels.
        count: images.
    """

    def __init__(self, folder: Path, side: int, count: int) -> None:
        rng = np.random.default_rng(side)
        drawn = [jpeg(photograph(rng, side)) for _ in range(min(DISTINCT, count))]
        self.side, self.images = side, [drawn[number % len(drawn)] for number in range(count)]
        self.labels = [(int(rng.integers(10)), int(rng.integers(2))) for _ in range(count)]
        path = folder / f"photographs-{side}.tar"
        with TarWriter(path) as tar:
            for number, (image, (a, b)) in enumerate(zip(self.images, self.labels, strict=True)):
                tar.add(f"s{number:05d}.jpg", image)
                tar.add(f"s{number:05d}.json", json.dumps({"a": a, "b": b, "caption": f"photograph {number}"}).encode())
        self.source, self.output = Store(str(folder)), Store(str(folder / "output"))
        entry = self.source.stat(path.name)
        assert entry is not None
        self.ref = ShardRef(name=entry.name, url=self.source.join(entry.name), size=entry.size, etag=entry.etag)


def compare(
    name: str, side: int | None, a: Callable[[], object], b: Callable[[], object], rounds: int, each: int
) -> Row:
    """Run A and B in turn; `each`: units that one run does."""
    times: list[tuple[float, float, float, float]] = []
    for round_ in range(rounds + 1):
        taken: list[float] = []
        for action in (a, b):
            wall, cpu = time.perf_counter(), cpu_seconds()
            action()
            taken += [cpu_seconds() - cpu, time.perf_counter() - wall]
        if round_:  # the first prepares kernels and caches
            times.append((taken[0], taken[2], taken[1], taken[3]))
    cpu_ratios, wall_ratios = [b / a for a, b, _, _ in times], [b / a for _, _, a, b in times]
    return Row(
        name,
        side,
        "image" if side else "start",
        statistics.median(a for a, *_ in times) / each,
        statistics.median(b for _, b, *_ in times) / each,
        statistics.median(cpu_ratios),
        (min(cpu_ratios), max(cpu_ratios)),
        statistics.median(wall_ratios),
        (min(wall_ratios), max(wall_ratios)),
    )


def cpu_seconds() -> float:
    """Of this process and of those that it has waited for."""
    taken = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in taken)


def rows_of(side: int, count: int, rounds: int, folder: Path) -> list[Row]:
    """What is measured at one size."""
    shard, perturber = Shard(folder, side, count), codes()
    plan = ProtectPlan(
        layout=Layout(image="jpg"), tasks=TASKS, epsilon=EPSILON, encoding="png", on_error="fail", generator="codes"
    )
    blank, gray = torch.zeros(1, 3, RESOLUTION, RESOLUTION), torch.zeros(1, dtype=torch.bool)
    deltas = {
        pair: perturber.delta(blank, [torch.tensor([label]) for label in pair], gray, [""])[0]
        for pair in dict.fromkeys(shard.labels)
    }
    levels = {pair: delta_CRR.permute(1, 2, 0).numpy() * np.float32(255) for pair, delta_CRR in deltas.items()}
    shifts = Shifts(EPSILON)
    protected = [
        shifted(pixels, shifts.of(pixels, deltas[pair], repr(pair).encode()))
        for data, pair in zip(shard.images, shard.labels, strict=True)
        for pixels in [opened(data)]
    ]
    packed = [encode_png(pixels) for pixels in protected]

    def protect() -> None:
        protect_shard(shard.source, shard.ref, shard.output, plan, perturber, "bench")

    def loop() -> None:
        for data, pair in zip(shard.images, shard.labels, strict=True):
            stretched = cv2.resize(levels[pair], (side, side), interpolation=cv2.INTER_LINEAR)
            encode_png(np.clip(np.rint(opened(data) + stretched), 0, 255).astype(np.uint8))

    def tight_loop() -> None:
        for data, pair in zip(shard.images, shard.labels, strict=True):
            pixels = opened(data)
            encode_png(shifted(pixels, shifts.of(pixels, deltas[pair], repr(pair).encode())))

    def with_opencv() -> None:
        for pixels in protected:
            cv2.imencode(".png", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR))

    pairs: list[tuple[str, Callable[[], object], Callable[[], object]]] = [
        ("protect against the loop", protect, loop),
        ("protect against the tight loop", protect, tight_loop),
        ("PNG here against OpenCV's", lambda: [encode_image(each, "png") for each in protected], with_opencv),
        (
            "checking a PNG against decoding it in Pillow",
            lambda: [shows(data, pixels) for data, pixels in zip(packed, protected, strict=True)],
            lambda: [decode_image(data, max_pixels=side * side) for data in packed],
        ),
    ]
    return [compare(name, side, a, b, rounds, count) for name, a, b in pairs]


def opened(data: bytes) -> np.ndarray:
    """An image by OpenCV, RGB."""
    return np.asarray(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB))


def starts(rounds: int) -> list[Row]:
    """What importing costs, against a Python that imports nothing of ours."""

    def importing(text: str) -> Callable[[], object]:
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
        return lambda: subprocess.run([sys.executable, "-c", text], check=True, env=environment)

    pairs = [("import mtlue", "pass"), ("import pipeline.run.run", "import torch")]
    return [compare(f"{a} against {b}", None, importing(a), importing(b), rounds, 1) for a, b in pairs]


def table(rows: Sequence[Row]) -> str:
    """The rows for people."""
    lines = [f"{'A against B':46} {'px':>4} {'A':>9} {'B':>9}  {'B/A (CPU)':>22}  {'B/A (wall)':>22}"]
    for row in rows:
        each = [f"{1e3 * seconds:6.2f} ms" for seconds in (row.cpu_a, row.cpu_b)]
        ratios = [
            f"{middle:6.2f} ({low:.2f} to {high:.2f})"
            for middle, (low, high) in ((row.cpu_ratio, row.cpu_spread), (row.wall_ratio, row.wall_spread))
        ]
        lines.append(f"{row.name:46} {row.side or '':>4} {each[0]:>9} {each[1]:>9}  {ratios[0]:>22}  {ratios[1]:>22}")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print the table, write the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7, help="pairs of runs")
    parser.add_argument("--images", type=int, default=256, help="images of a shard")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "bench.json")
    parser.add_argument("--starts", action=argparse.BooleanOptionalAction, default=True, help="also measure imports")
    given = parser.parse_args(arguments)
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    return_memory()  # as in a worker
    rows: list[Row] = []
    with TemporaryDirectory(prefix="mtlue-bench-") as folder:
        for side in SIDES:
            rows += rows_of(side, given.images, given.rounds, Path(folder))
    if given.starts:
        rows += starts(given.rounds)
    print(table(rows))
    ratios = {str(row.side): round(row.cpu_ratio, 3) for row in rows if row.name == "protect against the loop"}
    machine = {"python": platform.python_version(), "processor": platform.machine(), "cores": os.cpu_count()}
    found = {"protect_ratio": ratios, "machine": machine, "rows": [asdict(row) for row in rows]}
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text(json.dumps(found, indent=1) + "\n")
    print(f"written to {given.out}")


if __name__ == "__main__":
    main()
