"""The last run's configuration: remembered in `work`, and compared key by key."""

from __future__ import annotations

from pathlib import Path

from pipeline.commands.status import status_lines, status_of
from pipeline.state.last_run import differences, keep_config
from pipeline.state.places import LAST_CONFIG, Places
from tests import builders


def test_keys_that_differ_from_the_last_run_are_named_with_both_values(tmp_path: Path) -> None:
    for name in ("train", "test"):
        builders.write_shard(tmp_path / f"raw/{name}-00000.tar", builders.labelled_samples(2))
    last = builders.config(tmp_path, train={"epochs": 3}, audit={"epochs": 2})
    here = builders.config(tmp_path, train={"epochs": 5}, audit=None)
    work = Places(last).work
    assert differences(work, last) == [], "there was no run"
    keep_config(work, last)
    assert differences(work, last) == []
    found = differences(work, here)
    assert "train.epochs=3 (here 5)" in found
    assert "audit" in found, "a long value is named by its key alone"
    told = status_of(here)
    assert told.differs == found
    assert status_lines(told)[0].startswith("differs     the last run used ")
    assert "differs" not in "".join(status_lines(status_of(last)))


def test_a_run_on_other_machines_has_the_same_configuration_and_is_not_written_again(tmp_path: Path) -> None:
    builders.write_shard(tmp_path / "raw/train-00000.tar", builders.labelled_samples(2))
    made = builders.config(tmp_path)
    work = Places(made).work
    keep_config(work, made)
    before = work.stat(LAST_CONFIG)
    keep_config(work, made.model_copy(update={"compute": made.compute.model_copy(update={"cpus": 3})}))
    assert work.stat(LAST_CONFIG) == before


def test_keys_of_another_version_and_a_damaged_file_do_not_stop_a_status(tmp_path: Path) -> None:
    builders.write_shard(tmp_path / "raw/train-00000.tar", builders.labelled_samples(2))
    made = builders.config(tmp_path)
    work = Places(made).work
    work.write(LAST_CONFIG, b'{"speed": 3, "train": {"fast": true}}')
    assert differences(work, made) == []
    work.write(LAST_CONFIG, b'{"tra')
    assert "cannot be read" in differences(work, made)[0]
