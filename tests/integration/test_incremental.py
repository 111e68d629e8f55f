"""Runs night after night over data that grows and shrinks: what is kept, what is done again, what is never mixed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from pipeline.driver import train as training
from schemas.config import Config, Protect
from schemas.errors import ConfigError, GeneratorError, QuarantineError
from tests.builders import config, labelled_samples, write_shard
from tests.running import contents, run, shards_in

pytestmark = pytest.mark.usefixtures("ray_session")

PER_SHARD = 12


def write_shards(root: Path, *numbers: int) -> None:
    for number in numbers:
        write_shard(root / f"raw/train-{number:05d}.tar", labelled_samples(PER_SHARD, seed=number))


def generator_of(made: Config) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(Path(made.work, "generator.json").read_text())
    return found


# --- nothing is read twice --------------------------------------------------------------------------------------------


def read_in(made: Config) -> dict[str, int]:
    """Tables and profiles, each with the time when it was written."""
    paths = [path for folder in ("tables", "profiles") for path in Path(made.work, folder).iterdir()]
    return {path.name: path.stat().st_mtime_ns for path in paths}


def test_shards_that_come_or_go_make_no_other_shard_be_read_again(tmp_path: Path) -> None:
    write_shards(tmp_path, 0, 1, 2, 3)
    made = config(tmp_path, train={"max_samples": 20})
    run(made)
    assert generator_of(made)["samples"] == 20
    before = read_in(made)
    write_shards(tmp_path, 4)
    run(made)
    after = read_in(made)
    assert {name: after.get(name) for name in before} == before
    assert len(after) == len(before) + 2
    (tmp_path / "raw/train-00001.tar").unlink()
    run(made)
    assert {name: when for name, when in read_in(made).items() if "00001" not in name} == {
        name: when for name, when in after.items() if "00001" not in name
    }


# --- all of the data, or nothing --------------------------------------------------------------------------------------


def test_no_generator_is_trained_on_what_a_broken_store_leaves_over(tmp_path: Path) -> None:
    write_shards(tmp_path, 0, 1, 2, 3)
    broken = [tmp_path / f"raw/train-{number:05d}.tar" for number in (1, 2, 3)]
    whole = {path: path.read_bytes() for path in broken}
    for path in broken:
        path.write_bytes(b"")
    made = config(tmp_path, protect={"max_failed": 0.5})
    with pytest.raises(QuarantineError, match=r"3 of 4 shards failed, more than protect\.max_failed \(0\.5\).*00001"):
        run(made)
    assert not Path(made.work, "generator.json").exists()
    assert not list(Path(made.output).iterdir())
    for path, data in whole.items():
        path.write_bytes(data)
    run(made)
    assert generator_of(made)["samples"] == 4 * PER_SHARD


def test_no_manifest_shrinks_because_shards_fail_later(tmp_path: Path) -> None:
    write_shards(tmp_path, 0, 1, 2)
    made = config(tmp_path, protect={"max_failed": 0.4})
    run(made)
    before = Path(made.output, "manifest.json").read_bytes()
    for number in (1, 2):
        (tmp_path / f"raw/train-{number:05d}.tar").write_bytes(b"")
    with pytest.raises(QuarantineError, match="2 of 3 shards failed"):
        run(made)
    assert Path(made.output, "manifest.json").read_bytes() == before


def test_the_share_that_may_fail_is_small_by_default() -> None:
    assert Protect().max_failed == 0.1


# --- one generator, unless another is asked for -----------------------------------------------------------------------


def test_a_retraining_on_unchanged_data_gives_other_weights_and_protects_every_shard_again(tmp_path: Path) -> None:
    write_shards(tmp_path, 0, 1)
    made = config(tmp_path)
    run(made)
    before, old = shards_in(made.output), generator_of(made)
    again = run(made, retrain=True)
    after, new = shards_in(made.output), generator_of(made)
    assert again.done_before == 0
    assert not set(before.values()) & set(after.values()), "the leaked generator still tells δ"
    assert new["sha256"] != old["sha256"]
    assert new["fingerprint"] != old["fingerprint"]
    for record in (old, new):  # whoever must look into what was published once still can
        assert Path(made.work, f"generators/{record['sha256']}.safetensors").exists()
        assert json.loads(Path(made.work, f"generators/{record['fingerprint']}.json").read_text()) == record
    assert run(made).done_before == 2, "a retraining is asked for once"


def test_a_retraining_that_broke_off_is_ended_by_the_next_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_shards(tmp_path, 0, 1)
    made = config(tmp_path)
    run(made)
    old = generator_of(made)

    def killed(*_: Any, **__: Any) -> None:
        raise GeneratorError("the machine went down")

    with monkeypatch.context() as broken:
        broken.setattr(training, "train_step", killed)
        with pytest.raises(GeneratorError):
            run(made, retrain=True)
    resumed = run(made)
    assert resumed.done_before == 0, "the night after, the leaked generator was believed again"
    assert generator_of(made)["sha256"] != old["sha256"]


def test_the_generator_of_an_earlier_configuration_is_found_again(tmp_path: Path) -> None:
    write_shards(tmp_path, 0, 1)
    made, other = config(tmp_path), config(tmp_path, train={"seed": 1})
    run(made)
    before, first = shards_in(made.output), generator_of(made)
    write_shards(tmp_path, 2)
    run(other)
    run(made)
    after = shards_in(made.output)
    assert {name: after[name] for name in before} == before, "one image was given a third δ"
    assert first["samples"] == 2 * PER_SHARD


def test_a_lost_work_trains_no_second_generator_over_what_is_public_unless_it_is_asked_to(tmp_path: Path) -> None:
    write_shards(tmp_path, 0, 1)
    made = config(tmp_path)
    run(made)
    before = contents(made.output)
    shutil.rmtree(made.work)
    with pytest.raises(ConfigError, match=r"2 protected shards.*has no generator.*Restore `work`.*--retrain"):
        run(made)
    assert contents(made.output) == before
    assert not list(Path(made.work).glob("profiles/*")), "it took a whole reading of the data to say so"
    assert run(made, retrain=True, take_over=True).done_before == 0
    assert not set(shards_in(made.output).values()) & set(before.values())
