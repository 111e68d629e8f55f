"""Prove before protect: nothing is public before the evidence meets `audit.require`, and nothing at all when δ is none.

The data: four kinds of faint stripes. Victims learn them well from clean images; with ε of 32/255 our codes keep them
from it, over seeds 0 to 3 at 31 % or less where clean victims reach 86 % or more; with 1/255 they do not.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.torch import load, save

from pipeline.run import audit as auditing
from pipeline.run import protect as protecting
from pipeline.run import victim_training
from pipeline.run.certify import certificate_problems
from pipeline.run.protect import protect_step
from pipeline.run.result import RunResult
from pipeline.run.victim_training import victim_step
from schemas.config import Config
from schemas.errors import EvidenceError, GeneratorError
from schemas.evidence import Evidence
from schemas.records import GeneratorRecord
from stages.formatting import percent
from stages.io.store.store import Store
from stages.perturbers.checkpoint import serialise
from stages.publish.certificate import CERTIFICATE
from tests import builders
from tests.builders import BuiltSample, config, png, write_shard
from tests.running import contents, mtlue, run, shards_in, write_config

pytestmark = pytest.mark.usefixtures("here")

SHARDS, PER_SHARD, CLASSES, AMPLITUDE = 3, 128, 4, 12
HOLDS = {"max_over_chance": 0.25}
"""A requirement that strong protection meets by far: victims of its images stay near chance, clean ones do not."""

UNMET = {"max_over_chance": 0.9}
"""One that no evidence meets here: not even clean victims get so far above chance, so it would prove nothing."""


def striped(count: int, seed: int, added: int = 0) -> list[BuiltSample]:
    """Noise with faint stripes; their width is the label. `added`: levels of random noise on each pixel, at most."""
    rng, other = np.random.default_rng(seed), np.random.default_rng(seed + 1000)
    samples: list[BuiltSample] = []
    for number in range(count):
        label, image = int(rng.integers(CLASSES)), rng.normal(128, 20, (16, 16, 3))
        image += AMPLITUDE * np.sign(np.sin(2 * np.pi * (label + 1) * np.arange(16) / (2 * CLASSES)))[None, :, None]
        image += other.integers(-added, added, image.shape, endpoint=True)
        data = png(np.clip(image, 0, 255).astype(np.uint8))
        samples.append((f"s{number:05d}", [("png", data), ("cls", str(label).encode())]))
    return samples


def write_data(root: Path) -> None:
    for shard in range(SHARDS):
        write_shard(root / f"raw/train-{shard:05d}.tar", striped(PER_SHARD, shard))
    write_shard(root / "raw/test-00000.tar", striped(160, 99))


def weak(root: Path, **audit: Any) -> Config:
    """One pass of training and an ε that no eye and no victim notices."""
    return config(
        root,
        tasks=[{"field": "cls", "name": "stripes", "classes": CLASSES}],
        protection={"epsilon": "1/255"},
        audit={"width": 8, "epochs": 8, "max_samples": 2 * PER_SHARD, **audit},
    )


def strong(root: Path, *, perturber: str = "codes", seed: int = 0, **audit: Any) -> Config:
    """A training that protects, of class codes or of TAP inside the generator."""
    return config(
        root,
        tasks=[{"field": "cls", "name": "stripes", "classes": CLASSES}],
        protection={"epsilon": "32/255"},
        train=builders.settings_with_a_part(
            {
                "perturber": perturber,
                "rounds": 24,
                "method": "tap",
                "width": 8,
                "epochs": 16,
                "surrogate_epochs": 12,
                "max_samples": 400,
                "seed": seed,
            }
        ),
        audit={"width": 8, "epochs": 8, "max_samples": 2 * PER_SHARD, **audit},
    )


def best(evidence: Evidence, data: str) -> float:
    (task,) = evidence.tasks
    return task.judged(data).best


# --- it works ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Proven:
    """A place after a run whose evidence met the requirement; tests copy it before they change anything."""

    root: Path
    result: RunResult
    seen: dict[str, list[str]]
    """Version of the data → what was in `output` when its victim began to train, and when it ended."""


@pytest.fixture(scope="module")
def proven(here: None, tmp_path_factory: pytest.TempPathFactory) -> Proven:
    root = tmp_path_factory.mktemp("proven")
    write_data(root)
    told, public = tmp_path_factory.mktemp("told"), root / "public"

    def train_and_tell(*arguments: Any) -> Any:
        before = [str(path) for path in public.rglob("*")]
        result = victim_step(*arguments)
        found = before + [str(path) for path in public.rglob("*")]
        (told / result.data).write_text(json.dumps(found))
        return result

    with pytest.MonkeyPatch.context() as context:
        context.setattr(victim_training, "victim_step", train_and_tell)
        result = run(strong(root, require=HOLDS))
    return Proven(root, result, {path.name: json.loads(path.read_text()) for path in told.iterdir()})


@pytest.fixture
def copied(proven: Proven, tmp_path: Path) -> Path:
    """A copy of the proven place, to be changed; raw shards keep their times, which are their etags."""
    return Path(shutil.copytree(proven.root, tmp_path / "copy"))


@pytest.fixture
def no_victims(monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on a victim that is trained fails the test."""

    def refuse(*arguments: Any, **options: Any) -> Any:
        pytest.fail("the generator is proven again")

    monkeypatch.setattr(auditing.Auditor, "examine", refuse)
    monkeypatch.setattr(victim_training, "victim_step", refuse)


@pytest.mark.slow
def test_class_codes_keep_victims_near_chance_from_raw_shards_to_what_is_published(proven: Proven) -> None:
    evidence = proven.result.evidence
    clean, noise, protected = (best(evidence, data) for data in ("clean", "noise", "protected"))
    chance = 1 / CLASSES
    assert clean > chance + 0.3, "the clean victim has learned nothing, so this test shows nothing"
    assert protected < chance + 0.2
    assert protected < clean - 0.3
    assert protected < noise - 0.1, "random noise of the same strength does as much"


@pytest.mark.slow
def test_the_generator_keeps_victims_far_below_those_of_clean_images(tmp_path: Path) -> None:
    write_data(tmp_path)
    evidence = run(strong(tmp_path, perturber="generator")).evidence
    assert best(evidence, "clean") > 1 / CLASSES + 0.3
    assert best(evidence, "protected") < best(evidence, "clean") - 0.2


def test_evidence_that_meets_the_requirement_lets_everything_be_published(proven: Proven) -> None:
    evidence = proven.result.evidence
    assert evidence.passed
    assert evidence.requirement is not None
    assert evidence.requirement.max_over_chance == HOLDS["max_over_chance"]
    assert [victim.data for victim in evidence.victims] == ["clean", "noise", "protected"]
    assert evidence.audited == f"{2 * PER_SHARD} samples in 2 of {SHARDS} shards"
    assert {"manifest.json", *(f"train-{shard:05d}.tar" for shard in range(SHARDS))} <= contents(
        f"{proven.root}/public"
    ).keys()


def test_nothing_is_public_while_victims_train(proven: Proven) -> None:
    assert proven.seen == {"clean": [], "noise": [], "protected": []}


def test_what_was_proven_is_byte_for_byte_what_is_published(proven: Proven) -> None:
    published = shards_in(f"{proven.root}/public")
    (folder,) = (proven.root / "private/proof").iterdir()
    proof = shards_in(str(folder))
    assert len(proof) == 2
    assert proof.items() <= published.items()


def test_the_run_left_its_events_its_log_and_its_curves_in_work_and_none_of_them_in_output(proven: Proven) -> None:
    (folder,) = (proven.root / "private/runs").iterdir()
    assert {path.name.partition(".")[0] for path in folder.iterdir()} == {"log", "events"}
    told = [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]
    kinds = Counter(event["kind"] for event in told)
    assert (kinds["began"], kinds["ended"], kinds["victim"], kinds["evidence"]) == (1, 1, 3, 1)
    assert kinds["published"] == SHARDS
    passes = [event for event in told if event["kind"] == "pass"]
    assert [event["number"] for event in passes] == list(range(1, len(passes) + 1))
    assert passes[0]["figures"], "no losses"
    assert told[-1]["figures"]["exit_code"] == 0
    assert "INFO ended: exit_code 0" in (folder / "log.txt").read_text().splitlines()[-1]
    assert not [name for name in contents(f"{proven.root}/public") if "runs" in name or "events" in name]


def test_the_certificate_belongs_to_what_was_published_and_says_what_was_proven(proven: Proven) -> None:
    output, work = Store(f"{proven.root}/public"), Store(f"{proven.root}/private")
    assert certificate_problems(output, work, CERTIFICATE, None) == []
    found = json.loads(work.read(CERTIFICATE))
    assert (found["verdict"], found["samples"]) == (proven.result.evidence.word, proven.result.manifest.samples)
    assert output.stat(CERTIFICATE) is None


# --- proven once ------------------------------------------------------------------------------------------------------


def test_a_second_run_trains_no_victim_and_tells_the_same_evidence(
    proven: Proven, copied: Path, no_victims: None, capsys: pytest.CaptureFixture[str]
) -> None:
    before = contents(f"{copied}/public")
    file = write_config(copied / "pipeline.yaml", strong(copied, require=HOLDS))
    ended = mtlue(capsys, "run", file, "--json")
    assert ended.code == 0, ended.err
    figures = json.loads(ended.out)
    assert figures["shards_done_before"] == SHARDS
    assert figures["evidence"]["means"]["protected"]["best"] == pytest.approx(
        best(proven.result.evidence, "protected"), abs=1e-4
    )
    steps = {json.loads(line).get("step") for line in ended.err.splitlines()}
    assert not steps & {"victims", "prove"}
    assert contents(f"{copied}/public") == before


def test_a_new_shard_is_published_without_another_proof(proven: Proven, copied: Path, no_victims: None) -> None:
    write_shard(copied / "raw/train-00009.tar", striped(10, 9))
    result = run(strong(copied, require=HOLDS))
    assert result.done_before == SHARDS
    assert len(result.records) == SHARDS + 1
    assert result.evidence == proven.result.evidence


def test_another_requirement_judges_the_stored_evidence_and_may_end_the_run(
    proven: Proven, copied: Path, no_victims: None
) -> None:
    write_shard(copied / "raw/train-00009.tar", striped(10, 9))
    before = contents(f"{copied}/public")
    with pytest.raises(EvidenceError, match=r"audit\.require") as error:
        run(strong(copied, require=UNMET))
    assert "task 'stripes'" in error.value.message
    assert contents(f"{copied}/public") == before, "something new is public"
    held = run(strong(copied, require=HOLDS))
    assert len(held.records) == SHARDS + 1
    assert "Not published." not in (copied / "private/report.html").read_text()
    dropped = run(strong(copied, require=None))
    assert dropped.evidence == proven.result.evidence.model_copy(update={"requirement": None})


# --- not proven -------------------------------------------------------------------------------------------------------


def test_a_weak_protection_publishes_nothing_at_all_and_the_report_says_why(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_data(tmp_path)
    made = weak(tmp_path, require={})
    ended = mtlue(capsys, "run", write_config(tmp_path / "pipeline.yaml", made))
    assert ended.code == 1
    assert "the evidence does not meet audit.require, so nothing new was published" in ended.err
    assert "Traceback" not in ended.err
    assert list(Path(made.output).rglob("*")) == []
    report = Path(made.work, "report.html").read_text()
    (stored,) = Path(made.work, "evidence").iterdir()
    evidence = Evidence.model_validate_json(stored.read_text())
    reached = percent(best(evidence, "protected"), 1)
    assert best(evidence, "protected") > 1 / CLASSES + 0.15, "it is not weak, so this test shows nothing"
    for text in (report, ended.err):
        for word in ("stripes", "audit.require", reached, percent(1 / CLASSES, 1)):
            assert word in text
    assert "Not published." in report
    assert report.count('src="data:image/png') >= 3, "the report shows no picture of the sample"
    assert not any(json.loads(Path(made.work, "left-out.json").read_text()).values())
    assert not Path(made.work, "ledger").exists()
    # Once nothing is asked for any more, it is the user's choice; no victim is trained for it.
    fixed = mtlue(capsys, "run", tmp_path / "pipeline.yaml", "--set", "audit.require=null", "--json")
    assert fixed.code == 0
    assert json.loads(fixed.out)["shards"] == SHARDS
    assert '"victims"' not in fixed.err


# --- mtlue audit ------------------------------------------------------------------------------------------------------


def test_audit_judges_what_lies_in_a_prefix_and_ends_as_the_requirement_says(
    copied: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write_config(copied / "pipeline.yaml", strong(copied, require=HOLDS))
    before = contents(f"{copied}/public")
    ended = mtlue(capsys, "audit", f"{copied}/public", "--config", file, "--json")
    assert ended.code == 0, ended.err
    figures = json.loads(ended.out)
    assert figures["audited"] == f"{2 * PER_SHARD} samples in 2 of {SHARDS} published shards"
    assert list(figures["means"]) == ["clean", "noise", "protected"]
    assert figures["means"]["protected"]["best"] < figures["means"]["clean"]["best"] - 0.25
    assert figures["requirement"]["max_over_chance"] == HOLDS["max_over_chance"]
    assert figures["shortfalls"] == []

    def refuse(*arguments: Any, **options: Any) -> Any:
        pytest.fail("the same prefix is audited again")

    monkeypatch.setattr(auditing.Auditor, "examine", refuse)
    unmet = ("--set", f"audit.require.max_over_chance={UNMET['max_over_chance']}")
    ended = mtlue(capsys, "audit", "--config", file, *unmet)  # its own `output`
    assert ended.code == 1
    assert "short       task 'stripes'" in ended.out
    assert "verdict " in ended.out
    assert contents(f"{copied}/public") == before, "an audit writes into what is published"


@pytest.mark.parametrize("added", [0, 8], ids=["raw images", "random noise"])
def test_audit_of_what_was_never_protected_in_the_place_of_protected_images_finds_it_unprotected(
    added: int, copied: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write_config(copied / "pipeline.yaml", strong(copied, require=HOLDS))
    assert mtlue(capsys, "audit", f"{copied}/public", "--config", file).code == 0
    for shard in (copied / "public").glob("*.tar"):  # the manifest, and the evidence just stored, say that all is well
        write_shard(shard, striped(PER_SHARD, int(shard.stem[-5:]), added))
    ended = mtlue(capsys, "audit", f"{copied}/public", "--config", file, "--json")
    assert ended.code == 1
    told = json.loads(ended.out)
    assert told["word"] == "not protected"
    assert told["sentence"].startswith("These images are not protected")


def test_audit_of_a_prefix_without_a_manifest_says_so(
    copied: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write_config(copied / "pipeline.yaml", strong(copied, require=HOLDS))
    ended = mtlue(capsys, "audit", tmp_path / "empty", "--config", file)
    assert ended.code == 1
    assert ended.err == f"mtlue: {tmp_path}/empty/manifest.json: no manifest; is this the `output` of a finished run?\n"
    without = mtlue(capsys, "audit", "--config", file, "--set", "audit=null")
    assert without.code == 2
    assert "the configuration has no `audit` section" in without.err


# --- δ that is none ---------------------------------------------------------------------------------------------------


def small(root: Path, shards: Sequence[int] = (0, 1), **overrides: Any) -> Config:
    for shard in shards:
        write_shard(root / f"raw/train-{shard:05d}.tar", builders.labelled_samples(16, seed=shard))
    return config(root, **overrides)


@pytest.mark.parametrize("setting", ["lambda_intra", "lambda_inter"])
def test_a_training_that_diverges_ends_the_run_with_nothing_published_and_no_generator(
    setting: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = small(tmp_path)
    file = write_config(tmp_path / "pipeline.yaml", made)
    ended = mtlue(capsys, "run", file, "--set", f"train.{setting}=1.0e39")
    assert ended.code == 1
    assert ended.err.splitlines()[-1].startswith("mtlue: train: the loss is not finite in epoch 1 (base ")
    assert f"train.{setting} (now 1e+39)" in ended.err
    assert "Traceback" not in ended.err
    assert list(Path(made.output).rglob("*")) == []
    assert not [name for name in contents(made.work) if name.startswith(("generator", "ledger", "proof"))]
    fixed = mtlue(capsys, "run", file)
    assert fixed.code == 0, fixed.err


def stored_generator(made: Config, data: bytes) -> None:
    """Put other weights in the place of the trained ones, with a record that vouches for them."""
    path = Path(made.work, "generator.json")
    record = GeneratorRecord.model_validate_json(path.read_text())
    digest = hashlib.sha256(data).hexdigest()
    Path(made.work, f"generators/{digest}.safetensors").write_bytes(data)
    path.write_text(record.model_copy(update={"sha256": digest}).model_dump_json())


def test_a_stored_generator_whose_delta_is_none_ends_the_run_and_changes_nothing_public(tmp_path: Path) -> None:
    made = small(tmp_path)
    run(made)
    before = contents(made.output)
    weights = load(serialise(builders.generator()))
    last = next(name for name in weights if name.endswith("weight"))
    weights[last] = weights[last] * float("nan")
    flat = serialise(builders.constant_generator(0.5))
    for data, words in ((flat, "in every pixel of a channel"), (save(weights), "are not finite")):
        stored_generator(made, data)
        with pytest.raises(GeneratorError, match=words) as error:
            run(made)
        assert error.value.exit_code == 1
        assert "train again with --retrain" in error.value.message
        after = contents(made.output)
        after.pop("updating.json")  # shards were about to be replaced
        assert after == before
    assert len(run(made, retrain=True).records) == 2


def test_a_delta_that_breaks_at_one_shard_ends_the_whole_run_without_a_manifest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def break_one(source: Any, ref: Any, *rest: Any) -> Any:
        if ref.name == "train-00001.tar":
            raise GeneratorError("δ of sample 's00003' is not finite")
        return protect_step(source, ref, *rest)

    monkeypatch.setattr(protecting, "protect_step", break_one)
    made = small(tmp_path, (0, 1, 2))
    with pytest.raises(GeneratorError, match="'s00003' is not finite"):
        run(made)
    published = contents(made.output)
    assert "train-00001.tar" not in published
    assert "manifest.json" not in published
