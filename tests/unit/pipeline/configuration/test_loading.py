"""Loading of `pipeline.yaml`: every mistake is told with its place, the value found and what to do, all at once."""

import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.configuration.loading import EXAMPLE, load_config
from schemas.config import Config
from schemas.errors import ConfigError


@pytest.fixture(autouse=True)
def empty_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def load(text: str, *overrides: str) -> Config:
    Path("pipeline.yaml").write_text(text, encoding="utf-8")
    return load_config(None, list(overrides))


def message_of(text: str, *overrides: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load(text, *overrides)
    return caught.value.message


# Where the file is


def test_three_line_example_is_a_complete_configuration():
    config = load(EXAMPLE)
    assert len(EXAMPLE.splitlines()) == 3
    assert config.dataset.shards == "s3://my-bucket/raw/{00000..00099}.tar"
    assert (config.tasks[0].name, config.name) == ("label", "protected")


def test_missing_file_is_told_with_an_example_that_works():
    with pytest.raises(ConfigError, match=r"pipeline\.yaml: no such file") as caught:
        load_config(None, [])
    assert load(caught.value.message.partition("\n\n")[2]) == load(EXAMPLE)


def test_named_file_and_directory_are_found():
    Path("conf").mkdir()
    Path("conf/pipeline.yaml").write_text(EXAMPLE)
    assert load_config(Path("conf"), []) == load_config(Path("conf/pipeline.yaml"), [])
    with pytest.raises(ConfigError, match=r"conf/other\.yaml: no such file"):
        load_config(Path("conf/other.yaml"), [])
    with pytest.raises(ConfigError, match=r"pipeline\.yaml/deeper: no such file"):
        load_config(Path("conf/pipeline.yaml/deeper"), [])


def test_relative_places_stay_relative_to_the_current_directory():
    Path("conf").mkdir()
    Path("conf/pipeline.yaml").write_text(
        "dataset: {shards: raw/*.tar}\ntasks: [{field: cls, classes: 2}]\noutput: out\nwork: private\n"
    )
    config = load_config(Path("conf"), [])
    assert (config.dataset.shards, config.output, config.work) == ("raw/*.tar", "out", "private")


def test_byte_order_mark_is_read_over():
    assert load("\ufeff" + EXAMPLE) == load(EXAMPLE)


# YAML


@pytest.mark.parametrize("text", ["", "# only a comment\n", "---\n"])
def test_empty_file_is_told_with_an_example(text):
    message = message_of(text)
    assert "pipeline.yaml: the file is empty" in message
    assert EXAMPLE in message


@pytest.mark.parametrize(("text", "found"), [("- 1\n- 2\n", "[1, 2]"), ("hello\n", "'hello'"), ("5\n", "5")])
def test_file_without_keys_is_refused(text, found):
    assert f"must hold a mapping (`key: value`); found {found}" in message_of(text)


@pytest.mark.parametrize(
    ("text", "line", "column", "words"),
    [
        ("dataset:\n\tshards: x\n", 2, 1, "indented with spaces, never with tabs"),
        ("output: a: b\n", 1, 10, "mapping values are not allowed here"),
        ("name: x\ntasks: [1,\n", 3, 1, "flow node"),
        ("output: 'x\n", 2, 1, "quoted scalar"),
        ("name: x\nname: y\n", 2, 1, "key 'name' is there twice, first in line 1"),
        ("train:\n  seed: 1\n  epochs: 2\n  seed: 3\n", 4, 3, "key 'seed' is there twice, first in line 2"),
        ("name: x\n---\nname: y\n", 2, 1, "another document"),
        ("name: !!python/name:os.system\n", 1, 7, "tag"),
        ("name: 2024-13-45\n", 1, 7, "text goes in quotes"),
        ("name: x\x07\n", 1, 8, "U+0007"),
        ("name: x\noutput: *y\n", 2, 9, "undefined alias"),
    ],
)
def test_broken_yaml_is_told_with_line_and_column(text, line, column, words):
    message = message_of(text)
    assert message.startswith(f"pipeline.yaml: line {line}, column {column}: ")
    assert words in message


def test_other_encoding_is_told_with_line_and_column():
    Path("pipeline.yaml").write_bytes(b"name: x\noutput: caf\xe9\n")
    with pytest.raises(ConfigError, match=r"line 2, column 12: not UTF-8; found the byte 0xe9; save the file as UTF-8"):
        load_config(None, [])


def test_merge_keys_are_no_duplicates():
    config = load(EXAMPLE + "train: {<<: {rounds: 5, seed: 9}, seed: 1}\n")
    assert (config.train.rounds, config.train.seed) == (5, 1)


def test_nesting_without_end_is_told():
    assert "nested too deeply" in message_of("[" * 20_000)


@settings(deadline=None, max_examples=300)
@given(
    st.text(st.characters(codec="utf-8"), max_size=40)
    | st.text("abc:-[]{}#&*!|>'\"%@`,? \n\t0123456789~<", max_size=40)
)
def test_no_text_whatever_ends_in_anything_but_a_config_error(text):
    with pytest.raises(ConfigError):
        load(text)


# Wrong values


def test_every_problem_is_in_one_message_with_file_place_and_value():
    message = message_of(
        "dataset: {shards: 5}\ntasks: [{field: json.a, classes: 1}, {classes: 2}]\n"
        "train: {epochs: x, method: emm}\nprotection: {epsilon: 9}\n"
    )
    lines = message.splitlines()
    assert all(line.startswith("pipeline.yaml: ") for line in lines)
    for expected in (
        "dataset.shards: should be a valid string or a valid list; found 5",
        "tasks.0.classes: should be greater than or equal to 2 or a valid list; found 1",
        "tasks.1.field: required, and missing",
        "train.epochs: should be a valid integer, unable to parse string as an integer; found 'x'",
        "train.method: should be 'em', 'fresh', 'pil', 'sep' or 'tap'; found 'emm'",
        "protection.epsilon: epsilon must lie between 1/255 and 32/255 (8/255 is usual); found 9",
        "output: required, and missing",
    ):
        assert sum(expected in line for line in lines) == 1, expected
    assert len(lines) == 7


def test_value_inside_a_list_is_told_once_and_at_its_index():
    message = message_of(EXAMPLE + "protection: {tasks: [label, 7]}\n")
    assert message == "pipeline.yaml: protection.tasks.1: should be a valid string; found 7; text goes in quotes"


def test_class_names_that_yaml_turns_into_booleans_are_told_to_go_in_quotes():
    message = message_of(EXAMPLE, "tasks.0.classes=[no, yes]")
    assert "tasks.0.classes.0: should be a valid string; found False; text goes in quotes" in message
    assert load(EXAMPLE, 'tasks.0.classes=["no", "yes"]').tasks[0].class_names == ["no", "yes"]


def test_name_with_other_signs_is_refused_under_its_key():
    message = message_of(EXAMPLE, "tasks.0.name=eye colour")
    assert message.startswith("--set: tasks.0.name: ")
    assert "found 'eye colour'" in message


def test_section_without_keys_is_told_to_be_left_out():
    message = message_of(EXAMPLE + "train:\n")
    assert "train: should be a mapping; found nothing (null); give it keys, or leave it out" in message


def test_checks_across_keys_come_with_their_own_text():
    message = message_of(EXAMPLE + "train: {resolution: 33}\n")
    assert message == (
        "pipeline.yaml: train: resolution must be a multiple of 4 for generator 'small'; found 33, the nearest is 32"
    )
    message = message_of(EXAMPLE + "audit: {require: {metric: luck}}\n")
    assert message.startswith("pipeline.yaml: audit.require.metric is 'luck'; the figures of these tasks are: ")


def test_long_value_is_cut():
    message = message_of(EXAMPLE, f"train.epochs={'x' * 500}")
    assert len(message) < 250


def test_value_that_holds_itself_is_told_and_does_not_hang():
    assert "train: should be a mapping" in message_of(EXAMPLE + "train: &t [*t]\n")
    assert "unknown key 'a'" in message_of("a: &a {storage: *a}\n")


# Unknown keys


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("train: {epoch: 5}", "unknown key 'epoch' in train; did you mean 'epochs'?"),
        ("protect: {encodign: png}", "unknown key 'encodign' in protect; did you mean 'encoding'?"),
        ("outptu: x", "unknown key 'outptu' at the top level; did you mean 'output'?"),
        ("epsilon: 8/255", "unknown key 'epsilon' at the top level; did you mean protection.epsilon?"),
        ("endpoint_url: x", "unknown key 'endpoint_url' at the top level; did you mean dataset.storage.endpoint_url?"),
        ("epochs: 5", "unknown key 'epochs' at the top level; did you mean train.epochs or audit.epochs?"),
    ],
)
def test_unknown_key_is_told_with_the_key_that_was_meant(text, told):
    assert message_of(EXAMPLE + text) == f"pipeline.yaml: {told}"


def test_unknown_key_in_a_task_is_told_with_its_index():
    assert message_of(EXAMPLE, "tasks.0.fields=x") == ("--set: unknown key 'fields' in tasks.0; did you mean 'field'?")


def test_unknown_key_far_from_all_is_told_with_the_nearest_and_the_known_keys():
    message = message_of(EXAMPLE + "compute: {zzz: 1}")
    nearest, known = re.fullmatch(
        r"pipeline\.yaml: unknown key 'zzz' in compute; the nearest is '(\w+)'; known keys: (.*)", message
    ).groups()
    assert {"address", "cpus", "gpus"} <= set(known.split(", "))
    assert nearest in known.split(", ")


# Overrides


def test_overrides_are_yaml_and_applied_in_order():
    config = load(
        EXAMPLE,
        "train.rounds=5",
        "train.rounds=6",
        "protection.epsilon=4/255",
        "tasks.0.classes=[red, green]",
        "dataset.members={seg.png: keep}",
        "dataset.storage.anon=true",
        "output=s3://other/place?x=1",
    )
    assert config.train.rounds == 6
    assert config.protection.bound == 4
    assert config.tasks[0].class_names == ["red", "green"]
    assert config.dataset.members == {"seg.png": "keep"}
    assert config.dataset.storage.anon is True
    assert config.output == "s3://other/place?x=1"


def test_override_fills_an_empty_section():
    assert load(EXAMPLE + "train:\n", "train.rounds=5").train.rounds == 5


def test_override_of_one_place_leaves_an_anchored_twin_alone():
    text = EXAMPLE + "train: &size {batch_size: 8}\naudit: *size\n"
    config = load(text, "train.batch_size=16", "dataset.test_shards=x.tar")
    assert (config.train.batch_size, config.audit.batch_size) == (16, 8)


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("dataset.shards.x=1", "--set dataset.shards.x: dataset.shards is not a mapping; found 's3://my-bucket"),
        ("tasks.3.classes=2", "--set tasks.3.classes: tasks is a list of 1; found '3'"),
        ("tasks.-1.classes=2", "--set tasks.-1.classes: tasks is a list of 1; found '-1'"),
        ("tasks.x=2", "--set tasks.x: tasks is a list of 1; found 'x'"),
        ("train.epochs", "--set 'train.epochs': write KEY=VALUE"),
        ("=5", "--set '': write KEY=VALUE"),
        ("train..epochs=5", "--set 'train..epochs': write KEY=VALUE"),
        ("tasks=[1,", "--set tasks: line 1, column 4: "),
        ("dataset.shards=*.tar", "such a value goes in quotes: --set 'dataset.shards=\"…\"'"),
        ("train.epochs=0", "--set: train.epochs: should be greater than or equal to 1; found 0"),
        ("train.epoch=5", "--set: unknown key 'epoch' in train; did you mean 'epochs'?"),
        (
            "train.epochs=5",
            "--set: train.epochs: has no part in perturber codes; set train.rounds instead; it belongs to: generator, "
            "em-sample",
        ),
        ("train.epochs=", "--set: train.epochs: should be a valid integer; found nothing (null)"),
    ],
)
def test_wrong_override_is_told_as_an_override(override, told):
    assert told in message_of(EXAMPLE, override)


# Secrets


@pytest.mark.parametrize(
    "key", ["key", "secret", "token", "password", "aws_secret_access_key", "account_key", "Passwd"]
)
def test_credential_under_storage_is_refused_without_being_repeated(key):
    text = f"dataset: {{shards: x, storage: {{{key}: hunter2}}}}\ntasks: [{{field: a, classes: 2}}]\noutput: y\n"
    message = message_of(text)
    assert message.startswith(f"pipeline.yaml: dataset.storage.{key}: credentials come only from environment variables")
    assert "hunter2" not in message
    from_command_line = message_of(EXAMPLE, f"dataset.storage.{key}=hunter2")
    assert from_command_line.startswith(
        f"--set: dataset.storage.{key}: credentials come only from environment variables"
    )
    assert "hunter2" not in from_command_line


def test_credential_under_a_misplaced_or_nested_storage_is_refused():
    for text in ("storage: {secret: hunter2}", "dataset: {storage: {options: [{secret: hunter2}]}}"):
        message = message_of(text)
        assert "credentials come only from environment variables" in message
        assert "hunter2" not in message


def test_password_inside_a_url_is_refused_without_being_repeated():
    message = message_of(EXAMPLE, "dataset.storage.endpoint_url=https://me:hunter2@store.example")
    assert message.startswith("--set: dataset.storage.endpoint_url: credentials come only from environment variables")
    assert "hunter2" not in message
    assert load(EXAMPLE, "output=abfs://container@account.dfs.core.windows.net/x").name == "x"


def test_broken_yaml_near_a_secret_does_not_repeat_it():
    assert "hunter2" not in message_of("dataset: {storage: {secret: hunter2\noutput: x\n")


def test_member_that_is_named_like_a_secret_is_no_secret():
    assert load(EXAMPLE, "dataset.members={token: keep}").dataset.members == {"token": "keep"}
