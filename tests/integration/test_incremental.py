"""Runs night after night over data that grows and shrinks: what is kept, what is done again, what is never mixed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from pipeline.commands.run import run_lines
from pipeline.commands.status import status_lines, status_of
from pipeline.run import protect as protecting
from pipeline.run import run as running
from pipeline.run import train as training
from pipeline.run.protect import protect_step
from pipeline.run.result import exit_code
from schemas.config import Config, Protect
from schemas.errors import ConfigError, GeneratorError, QuarantineError, ValidationError
from stages.io.store.disk import Disk
from tests.builders import config, labelled_samples, picture, png, write_shard
from tests.running import contents, mtlue, run, shards_in

pytestmark = pytest.mark.usefixtures("here")

PER_SHARD = 12


def write_shards(root: Path, *numbers: int) -> None:
    for number in numbers:
        write_shard(root / f"raw/train-{number:05d}.tar", labelled_samples(PER_SHARD, seed=number))


def generator_of(made: Config) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(Path(made.work, "generator.json").read_text())
    return found


# --- what is no input any more ----------------------------------------------------------------------------------------


def told(made: Config) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(Path(made.work, "left-out.json").read_text())
    return found


def manifest_of(made: Config) -> list[str]:
    return [shard["name"] for shard in json.loads(Path(made.output, "manifest.json").read_text())["shards"]]


def test_a_withdrawn_shard_is_told_until_it_is_pruned_and_leaves_no_picture_in_private(tmp_path: Path) -> None:
    write_shards(tmp_path, 0, 1, 2)
    made = config(tmp_path)
    run(made)
    (tmp_path / "raw/train-00001.tar").unlink()
    for _ in range(2):  # every night
        result = run(made)
        assert result.withdrawn == told(made)["withdrawn"] == ["train-00001.tar"]
        assert exit_code(result) == 1
        assert any("withdrawn   1 shard (train-00001.tar)" in line for line in run_lines(result))
        assert manifest_of(made) == ["train-00000.tar", "train-00002.tar"]
        assert Path(made.output, "train-00001.tar").exists(), "nobody asked for that"
    assert not [name for name in contents(made.work) if name.startswith(("tables/train-00001", "profiles/train-00001"))]
    Path(made.output, "train-99999.tar").write_bytes(b"another's")
    with pytest.raises(ConfigError, match=r"1 file \(train-99999.tar\) that this `work` did not write"):
        run(made, prune=True)
    Path(made.output, "train-99999.tar").unlink()
    pruned = run(made, prune=True)
    assert (pruned.withdrawn, pruned.pruned, exit_code(pruned)) == ([], ["train-00001.tar"], 0)
    assert shards_in(made.output).keys() == {"train-00000.tar", "train-00002.tar"}
    assert told(made)["withdrawn"] == []
    write_shards(tmp_path, 1)
    assert run(made).done_before == 2, "a record outlived its shard"


def test_a_shard_that_becomes_unreadable_or_empty_is_accounted_for(tmp_path: Path) -> None:
    write_shards(tmp_path, 0, 1, 2, 3)
    made = config(tmp_path)
    run(made)
    before = shards_in(made.output)
    (tmp_path / "raw/train-00001.tar").write_bytes(b"<html>403 Forbidden</html>" * 100)
    write_shard(tmp_path / "raw/train-00002.tar", [])
    cut = (tmp_path / "raw/train-00003.tar").read_bytes()
    (tmp_path / "raw/train-00003.tar").write_bytes(cut[: len(cut) // 2])
    result = run(made)
    assert manifest_of(made) == ["train-00000.tar", "train-00001.tar", "train-00003.tar"], "the last good state is kept"
    assert shards_in(made.output) == before
    assert (result.kept, result.empty) == (["train-00001.tar", "train-00003.tar"], ["train-00002.tar"])
    assert result.withdrawn == ["train-00002.tar"], "what it held is public still"
    assert len(result.records) - len(result.kept) + len(result.failures) + len(result.empty) == 4
    assert any("empty       1 shard (train-00002.tar)" in line for line in run_lines(result))
    found = status_of(made)
    assert (found.planned, found.committed, len(found.failed), found.empty) == (4, 1, 2, ["train-00002.tar"])
    assert "1 published, 2 failed, 1 empty, 0 to do" in status_lines(found)[0]


def test_what_was_published_under_a_larger_bound_is_not_listed_under_a_smaller_one(tmp_path: Path) -> None:
    write_shards(tmp_path, 0, 1)
    run(config(tmp_path))
    (tmp_path / "raw/train-00001.tar").write_bytes(b"")
    made = config(tmp_path, protection={"epsilon": "4/255"})
    assert run(made).kept == []
    assert manifest_of(made) == ["train-00000.tar"]


# --- one state of the public place, or a mark -------------------------------------------------------------------------


def test_a_reader_can_tell_that_shards_are_being_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_shards(tmp_path, 0, 1)
    made = config(tmp_path)
    run(made)
    mark = Path(made.output, "updating.json")
    assert not mark.exists()
    write_shards(tmp_path, 2)
    with monkeypatch.context() as broken:
        broken.setattr(protecting, "protect_step", break_second)
        with pytest.raises(GeneratorError):
            run(made)  # only adds: whoever reads what the manifest lists reads one state
        assert not mark.exists()
        with pytest.raises(GeneratorError):
            run(made, retrain=True)
    ended = mtlue(capsys, "verify", made.output)
    assert ended.code == 1
    assert "updating.json: shards are being replaced" in ended.out
    assert set(json.loads(mark.read_text())) == {"format", "shards"}, "nothing private"
    run(made)
    assert not mark.exists()
    assert mtlue(capsys, "verify", made.output).code == 0
    assert "`updating.json`" in Path(made.output, "README.md").read_text()


def break_second(source: Any, ref: Any, *rest: Any) -> Any:
    if ref.name != "train-00000.tar":
        raise GeneratorError("the machine went down")
    return protect_step(source, ref, *rest)


# --- a run that was killed late, and what another version wrote -------------------------------------------------------


def test_a_run_that_is_killed_before_it_publishes_leaves_no_stale_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_shards(tmp_path, 0)
    made = config(tmp_path)
    run(made)
    write_shards(tmp_path, 1)

    def killed(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as broken:
        broken.setattr(running, "publish", killed)
        with pytest.raises(KeyboardInterrupt):
            run(made)
    report = Path(made.work, "report.html")
    before = report.read_text()
    assert run(made).done_before == 2
    assert report.read_text() != before, "the report tells of one shard"
    written = report.stat().st_mtime_ns
    run(made)
    assert report.stat().st_mtime_ns == written, "it tells the same"


def test_records_of_a_later_version_are_read_and_broken_ones_are_named(tmp_path: Path) -> None:
    write_shards(tmp_path, 0)
    made = config(tmp_path)
    run(made)
    names = [name for name in contents(made.work) if name.startswith(("ledger/", "profiles/"))]
    assert len(names) == 2
    for name in names:
        path = Path(made.work, name)
        whole = path.read_text()
        path.write_text(json.dumps({**json.loads(whole), "novelty": [1]}))
        assert run(made).done_before == 1
        path.write_text(whole[: len(whole) // 2])
        with pytest.raises(
            ValidationError, match=rf"{name}: this is no Shard.*newer version.*remove it, and its shard"
        ):
            run(made)
        path.unlink()
        run(made)
    record = Path(made.work, "generator.json")
    record.write_text(json.dumps({**json.loads(record.read_text()), "novelty": 1}))
    with pytest.raises(ValidationError, match=r"generator\.json: .*novelty.*newer version.*--retrain"):
        run(made)


def test_what_a_run_left_undone_when_it_died_beside_its_training_is_done_by_the_next(tmp_path: Path) -> None:
    write_shards(tmp_path, 0)
    made = config(tmp_path)
    run(made)
    before = contents(made.work)
    state = Path(made.work, "training", f"{generator_of(made)['fingerprint']}.safetensors")
    state.parent.mkdir(exist_ok=True)
    state.write_bytes(b"where it stood")  # as if it had died before it removed this,
    Path(made.work, "generator.json").unlink()  # or before it wrote that
    assert run(made).done_before == 1
    after = contents(made.work)
    assert {name for name in after if name.startswith(("generator", "training"))} == {
        name for name in before if name.startswith("generator")
    }
    assert after["generator.json"] == before["generator.json"]


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


def test_a_run_that_finds_nothing_to_do_asks_for_no_shard_by_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    for verb in ("read", "list", "write", "delete", "create"):  # a listing of a disk looks at each file: no request

        def call(*arguments: Any, verb: str = verb, action: Any = getattr(Disk, verb)) -> Any:
            if not str(arguments[1]).startswith(("lease", ".mtlue")):  # they beat with the clock
                asked.append(f"{verb} {arguments[1]}")
            return action(*arguments)

        monkeypatch.setattr(Disk, verb, call)
    made, counts = config(tmp_path), []
    for new in ((0,), (1, 2, 3, 4)):
        write_shards(tmp_path, *new)
        run(made)
        asked.clear()
        assert run(made).done_before == new[-1] + 1
        counts.append(len(asked))
    assert counts[0] == counts[1], asked


def test_new_shards_that_are_unlike_those_before_are_told_of(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_shard(tmp_path / "raw/train-00000.tar", labelled_samples(60))
    made = config(tmp_path)
    run(made)
    write_shard(tmp_path / "raw/train-00001.tar", labelled_samples(60, seed=1))
    run(made)
    assert "unlike" not in capsys.readouterr().err
    dark = [(f"s{n:05d}", [("png", png(picture(n, 16, 16) // 8)), ("json", b'{"a": 0, "b": 0}')]) for n in range(60)]
    write_shard(tmp_path / "raw/train-00002.tar", dark)
    assert run(made).done_before == 2
    printed = capsys.readouterr().err
    assert "new shards (1) are unlike those before: the labels of task 'a' are spread differently" in printed
    assert "the mean brightness is" in printed


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
    sizes = {path.name: path.stat().st_size for path in Path(made.output).glob("*.tar")}
    write_shards(tmp_path, 2)
    result = run(other)
    assert result.done_before == 0
    assert {shard.sha256 for shard in result.manifest.shards} == set(shards_in(made.output).values())
    assert not set(shards_in(made.output).values()) & set(before.values())
    assert any(Path(made.output, name).stat().st_size == size for name, size in sizes.items()), "sizes tell nothing"
    assert run(made).done_before == 0, "the first generator's bytes were replaced; its records must not be believed"
    after = shards_in(made.output)
    assert {name: after[name] for name in before} == before, "one image was given a third δ"
    assert first["samples"] == 2 * PER_SHARD
    run(made, retrain=True)
    assert generator_of(made)["samples"] == 3 * PER_SHARD, "a retraining takes the data of today"


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
