"""Addresses: variables are replaced, and what names no place is refused with its key before anything is written."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from pipeline.cli import app
from pipeline.configuration.addresses import address, expanded
from pipeline.configuration.loading import EXAMPLE, load_config
from schemas.config import Config
from schemas.errors import ConfigError


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("NOT_THERE", raising=False)
    monkeypatch.setenv("EMPTY", "")
    monkeypatch.setenv("BUCKET", "my-bucket")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return tmp_path


def load(*overrides: str, text: str = EXAMPLE) -> Config:
    Path("pipeline.yaml").write_text(text)
    return load_config(None, list(overrides))


def test_variables_are_replaced_in_every_address() -> None:
    config = load(
        text="dataset:\n"
        "  shards: ['s3://${BUCKET}/a/{00..11}.tar', 's3://${BUCKET}/b/*.tar']\n"
        "  test_shards: s3://${BUCKET}/test\n"
        "  storage: {endpoint_url: 'https://${BUCKET}.example'}\n"
        "tasks: [{field: json.a, classes: 2, name: a}]\n"
        "train: {perturber: generator, weights: {resnet18: '~/${BUCKET}.safetensors'}, backbones: [resnet18]}\n"
        "audit: {pretrained: {backbone: resnet18, weights: '${BUCKET}.safetensors'}}\n"
        "output: s3://${BUCKET}/x\n"
        "work: s3://${BUCKET}-private/$$x\n"
        "compute: {address: 'ray://${BUCKET}:10001'}\n"
    )
    assert config.dataset.shards == ["s3://my-bucket/a/{00..11}.tar", "s3://my-bucket/b/*.tar"]
    assert config.dataset.test_shards == "s3://my-bucket/test"
    assert config.dataset.storage.endpoint_url == "https://my-bucket.example"
    assert config.output == "s3://my-bucket/x"
    assert config.work == "s3://my-bucket-private/$x"
    assert config.compute.address == "ray://my-bucket:10001"
    assert dict(config.train.weights) == {"resnet18": f"{Path.cwd()}/home/my-bucket.safetensors"}
    assert config.audit is not None
    assert config.audit.pretrained is not None
    assert config.audit.pretrained.weights == "my-bucket.safetensors"


def test_names_that_are_no_addresses_keep_their_dollar_signs() -> None:
    assert load("tasks.0.classes=['$', '${NOT_THERE}']").tasks[0].class_names == ["$", "${NOT_THERE}"]


@pytest.mark.parametrize(
    "key",
    ["output", "work", "dataset.shards", "dataset.test_shards", "dataset.storage.endpoint_url", "compute.address"],
)
@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("${NOT_THERE}/x", "the environment variable NOT_THERE is not set"),
        ("${EMPTY}/x", "the environment variable EMPTY is empty"),
        ("$BUCKET/x", "write ${NAME} for an environment variable"),
        ("${BUCKET:-x}/x", "write ${NAME} for an environment variable"),
    ],
)
def test_a_variable_that_cannot_be_replaced_is_told_with_its_key(key: str, value: str, told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(f"{key}='{value}'")
    assert caught.value.message.startswith(f"--set: {key}: {told}")


def test_every_such_variable_is_told_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        load("output=${NOT_THERE}", "dataset.shards=[a.tar, '${EMPTY}']")
    assert [line.split(": ")[1] for line in caught.value.message.splitlines()] == ["dataset.shards.1", "output"]


def test_no_secret_gets_into_an_address_or_a_message(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hunter2hunter2")
    monkeypatch.setenv("PLACE", "s3://me:hunter2hunter2@bucket")
    for value in ("s3://b/${AWS_SECRET_ACCESS_KEY}", "${PLACE}/x"):
        with pytest.raises(ConfigError) as caught:
            load(f"output='{value}'")
        assert "output: " in caught.value.message
        assert "hunter2" not in caught.value.message


MALFORMED = [
    "s3:/public/x",
    "s3//public/x",
    "S3:x",
    "s3:x",
    "s3:///x",
    "gs:/b/x",
    "file:/x",
    "C:\\x",
    "foo:/x",
    "s3://",
]
ELSEWHERE = ["https://example.org/x", "http://example.org/x.tar", "hf://me/x", "HTTPS://example.org/x"]


@pytest.mark.parametrize("key", ["output", "work", "dataset.shards", "dataset.test_shards"])
@pytest.mark.parametrize("value", [*MALFORMED, *ELSEWHERE, "~nobody-of-this-name/x"])
def test_what_names_no_place_is_refused_with_its_key(key: str, value: str) -> None:
    with pytest.raises(ConfigError, match=r"write |download it") as caught:
        load(f"{key}='{value}'")
    assert caught.value.message.startswith(f"--set: {key}: ")


@pytest.mark.parametrize("value", ["s3.example.org", "s3://bucket", "https://", "https:/host"])
def test_an_endpoint_that_is_none_is_refused_with_its_key(value: str) -> None:
    with pytest.raises(ConfigError, match=r"dataset\.storage\.endpoint_url: .* is no endpoint; write http"):
        load(f"dataset.storage.endpoint_url={value}")


@pytest.mark.parametrize("value", ["./s3:x", "a:b/c", "~/x", "file:///x", "/a//b", "S3://bucket/x", "az://c@a.net/x"])
def test_ordinary_places_stay_as_they_are_written(value: str) -> None:
    assert load(f"output='{value}'").output == value


@pytest.mark.parametrize(
    ("arguments", "key"),
    [
        (["verify"], "URL"),
        (["audit"], "URL"),
        (["import", "multifashion", "--source", ".", "--out"], "--out"),
        (["import", "celeba", "--source", ".", "--out"], "--out"),
    ],
)
@pytest.mark.parametrize("value", ["${NOT_THERE}/x", "s3:/x", "https://example.org/x"])
def test_the_addresses_of_commands_are_checked_as_well(place: Path, arguments: list[str], key: str, value: str) -> None:
    result = CliRunner().invoke(app, [*arguments, value])
    assert isinstance(result.exception, ConfigError)
    assert result.exception.message.startswith(f"{key}: ")
    assert list(place.iterdir()) == []


def test_an_address_comes_back_with_its_variables_replaced() -> None:
    assert address("s3://${BUCKET}/x", "URL") == "s3://my-bucket/x"
    assert expanded("a$$b") == "a$b"
