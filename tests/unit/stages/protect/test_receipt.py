"""The receipt of a shard: whatever differs between what was handed to the tar and what the disk has is found."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from schemas.dataset import Layout
from schemas.errors import ValidationError
from stages.io.shards.tar import TarWriter
from stages.protect.reread import Receipt

Members = list[tuple[str, bytes]]
SAMPLES: list[Members] = [[(f"s{number}.png", bytes([number] * 9)), (f"s{number}.json", b"{}")] for number in range(4)]


def written(path: Path, samples: list[Members]) -> Path:
    with TarWriter(path) as tar:
        for sample in samples:
            for member in sample:
                tar.add(*member)
    return path


def receipt() -> Receipt:
    made = Receipt()
    for sample in SAMPLES:
        made.add(sample)
    return made


def test_what_was_written_passes(tmp_path: Path) -> None:
    receipt().check(written(tmp_path / "t.tar", SAMPLES), "t.tar", Layout())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda samples: samples[:-1], "4 samples were written, 3 read again"),
        (lambda samples: [*samples, [("s4.png", b"x")]], "sample 's4'.*not the one that was written"),
        (lambda samples: [samples[1], samples[0], *samples[2:]], "sample 's1'.*not the one that was written"),
        (lambda samples: [[samples[0][0]], *samples[1:]], "sample 's1': member 'png' is not the one"),
        (lambda samples: [samples[0][::-1], *samples[1:]], "sample 's0': member 'json' is not the one"),
        (
            lambda samples: [*samples[:3], [("s3.png", b"\3" * 8 + b"\4"), samples[3][1]]],
            "sample 's3': member 'png' changed on its way to the disk",
        ),
    ],
)
def test_a_difference_is_named(change: Callable[[list[Members]], list[Members]], message: str, tmp_path: Path) -> None:
    path = written(tmp_path / "t.tar", change(SAMPLES))
    with pytest.raises(ValidationError, match=message):
        receipt().check(path, "t.tar", Layout())
