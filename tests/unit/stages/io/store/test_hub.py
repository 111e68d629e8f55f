"""`hf://`: how a dataset repository is a store. The Hub itself is a stand-in here, with its client's own errors."""

from __future__ import annotations

import hashlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import fsspec
import pytest

from schemas.errors import AccessError, ConfigError, StoreError
from stages.io.store import failures
from stages.io.store.store import Store
from stages.io.store.urls import split_url

errors = pytest.importorskip("huggingface_hub.errors")

ROOT = "datasets/me/birds"


def refused(status: int) -> Exception:
    answer = SimpleNamespace(headers={}, request=None, status_code=status)
    failure: Exception = errors.HfHubHTTPError(f"{status}", response=answer)
    return failure


class Hub:
    """A repository, as `HfFileSystem` and its `HfApi` show it."""

    def __init__(self) -> None:
        self.commits = 0
        self.files: dict[str, bytes] = {}
        self.meanwhile: list[str] = []
        """Files that somebody else commits before the next commit."""
        self.status = 0
        """What the next commits are refused with."""
        self._api = self

    def resolve_path(self, path: str) -> Any:
        inside = path.removeprefix(ROOT).lstrip("/")
        return SimpleNamespace(repo_id="me/birds", repo_type="dataset", revision="main", path_in_repo=inside)

    def repo_info(self, repo_id: str, *, repo_type: str, revision: str) -> Any:
        return SimpleNamespace(sha=str(self.commits))

    def create_commit(self, repo_id: str, operations: list[Any], *, parent_commit: str | None, **about: Any) -> None:
        assert (repo_id, about["repo_type"], about["revision"]) == ("me/birds", "dataset", "main")
        if self.status:
            raise refused(self.status)
        for name in self.meanwhile:
            self.files[name], self.commits = b"theirs", self.commits + 1
        self.meanwhile = []
        if parent_commit not in (None, str(self.commits)):
            raise refused(412)
        (operation,) = operations
        content = operation.path_or_fileobj
        self.files[operation.path_in_repo] = content if isinstance(content, bytes) else Path(content).read_bytes()
        self.commits += 1

    def invalidate_cache(self) -> None:
        pass

    def _info(self, name: str) -> dict[str, Any]:
        data = self.files[name]
        large = {"sha256": hashlib.sha256(data).hexdigest()} if len(data) > 100 else None
        blob = hashlib.sha1(data).hexdigest()  # noqa: S324 - as git has it
        return {"name": f"{ROOT}/{name}", "type": "file", "size": len(data), "lfs": large, "blob_id": blob}

    def info(self, path: str) -> dict[str, Any]:
        name = path.removeprefix(f"{ROOT}/")
        if name not in self.files:
            raise FileNotFoundError(path)
        return self._info(name)

    def find(self, path: str, detail: bool) -> dict[str, Any]:
        return {name: self._info(name) for name in self.files if f"{ROOT}/{name}".startswith(f"{path}/")}

    def cat_file(self, path: str) -> bytes:
        return self.files[path.removeprefix(f"{ROOT}/")]

    def get_file(self, path: str, target: str) -> None:
        Path(target).write_bytes(self.cat_file(path))

    def rm_file(self, path: str) -> None:
        if self.files.pop(path.removeprefix(f"{ROOT}/"), None) is None:
            raise FileNotFoundError(path)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Hub:
    hub = Hub()
    monkeypatch.setattr(fsspec, "filesystem", lambda protocol, **options: hub)
    monkeypatch.setattr(failures, "FIRST_DELAY_SECONDS", 0.0)
    return hub


def test_files_are_commits_and_come_back(hub: Hub, tmp_path: Path) -> None:
    store = Store(f"hf://{ROOT}")
    (tmp_path / "shard").write_bytes(b"x" * 1000)
    (tmp_path / "small").write_bytes(b"x")
    entry = store.put(tmp_path / "shard", "data/train-0.parquet")
    assert entry.etag == hashlib.sha256(b"x" * 1000).hexdigest()
    store.put(tmp_path / "small", "small")
    store.write("README.md", b"card")
    assert [each.name for each in store.list()] == ["README.md", "data/train-0.parquet", "small"]
    assert hub.commits == 3
    assert store.get("data/train-0.parquet", tmp_path / "back").size == 1000
    store.delete("README.md")
    store.delete("README.md")
    assert store.stat("README.md") is None


def test_a_condition_holds_against_every_commit_in_between(hub: Hub) -> None:
    store = Store(f"hf://{ROOT}")
    hub.meanwhile = ["other"]
    assert store.create("mark", b"ours")  # the first attempt was refused, the second one is on top of the other's
    assert not store.create("mark", b"late")
    old = store.stat("mark")
    assert old is not None
    hub.meanwhile = ["mark"]
    assert store.replace("mark", b"again", old) is None
    assert store.read("mark") == b"theirs"


@pytest.mark.parametrize(("status", "kind"), [(401, AccessError), (403, AccessError), (404, StoreError)])
def test_a_refusal_names_the_token_and_the_place(hub: Hub, status: int, kind: type[StoreError]) -> None:
    hub.status = status
    with pytest.raises(kind, match=rf"hf://{ROOT}/a.*\({status}\)") as caught:
        Store(f"hf://{ROOT}").write("a", b"")
    assert ("HF_TOKEN" in str(caught.value)) == (status != 404)
    assert "AWS" not in str(caught.value)


def test_what_names_no_dataset_says_how_to_write_one() -> None:
    assert split_url("hf://datasets/me/birds/raw") == ("hf", "datasets/me/birds/raw")
    for url in ("hf://me/birds", "hf://datasets/me", "hf://models/me/x"):
        with pytest.raises(ConfigError, match="write hf://datasets/OWNER/NAME"):
            split_url(url)


def test_without_the_extra_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(protocol: str, **options: Any) -> None:
        raise ImportError("Install huggingface_hub to access HfFileSystem")

    monkeypatch.setattr(fsspec, "filesystem", missing)
    with pytest.raises(ConfigError, match=r"hf:// needs a package .*pip install 'mtlue\[hf\]'"):
        Store(f"hf://{ROOT}").list()
