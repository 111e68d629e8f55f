"""A Ray of our own: private short paths, no home directory, slow starts; nothing of the working directory is copied."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ray._private import ray_constants

from pipeline.cluster import local
from pipeline.cluster.executor import Executor
from schemas.config import Compute
from schemas.errors import ConfigError, TransientError

SLOW = Exception("The current node timed out during startup. This could happen because …")


class FakeRay:
    """`ray.init` as far as it is asked: what it was given, and what it raises in turn."""

    def __init__(self, *raised: Exception) -> None:
        self.raised = list(raised)
        self.given: list[dict[str, Any]] = []
        self.environment: dict[str, str] = {}
        self.mode = 0

    def init(self, **options: Any) -> None:
        self.given.append(options)
        self.environment = dict(os.environ)
        if "_temp_dir" in options:
            self.mode = Path(options["_temp_dir"]).parent.stat().st_mode & 0o777
        if self.raised:
            raise self.raised.pop(0)


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """No Ray runs in this process, as far as it is asked, and nobody waits."""
    for name in ("RAY_TMPDIR", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(local.ray, "is_initialized", lambda: False)
    monkeypatch.setattr(local.ray, "shutdown", lambda: None)
    monkeypatch.setattr(local, "_read_token_again", lambda: None)
    monkeypatch.setattr(local, "PAUSE_SECONDS", 0.0)


def started(monkeypatch: pytest.MonkeyPatch, fake: FakeRay, address: str = "local") -> None:
    monkeypatch.setattr(local.ray, "init", fake.init)
    with Executor(Compute(address=address)) as executor:
        executor.start()


def test_workers_have_no_niceness_unless_the_user_gives_one(monkeypatch: pytest.MonkeyPatch) -> None:
    for given, expected in (("", "0"), ("7", "7")):
        monkeypatch.setenv(local.NICENESS, given)
        if not given:
            monkeypatch.delenv(local.NICENESS)
        fake = FakeRay()
        started(monkeypatch, fake)
        assert fake.environment[local.NICENESS] == expected


def test_ray_sends_no_statistics_unless_the_user_wants_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for given in ("", "1"):
        monkeypatch.setenv(local.STATISTICS, given)
        if not given:
            monkeypatch.delenv(local.STATISTICS)
        fake = FakeRay()
        started(monkeypatch, fake)
        assert fake.environment[local.STATISTICS] == (given or "0")


def test_the_files_of_ray_are_private_and_leave_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeRay()
    started(monkeypatch, fake)
    assert fake.mode == 0o700
    assert not Path(fake.given[0]["_temp_dir"]).parent.exists()


def test_paths_of_sockets_fit_however_long_the_place_for_temporary_files_is(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    there = tmp_path / ("long" * 25)
    there.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(there))
    fake = FakeRay()
    started(monkeypatch, fake)
    session = "session_2026-11-29_07-36-55_292241_4194304/sockets/plasma_store"
    assert len(f"{fake.given[0]['_temp_dir']}/{session}") <= 107


def test_where_no_directory_is_short_enough_the_error_says_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "LONGEST_PARENT", 1)
    with pytest.raises(ConfigError, match="set RAY_TMPDIR"):
        started(monkeypatch, FakeRay())


def test_rays_token_needs_no_home_and_does_not_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeRay()
    started(monkeypatch, fake)
    assert len(fake.environment["RAY_AUTH_TOKEN"]) == 64
    assert "RAY_AUTH_TOKEN" not in os.environ
    monkeypatch.setenv("RAY_AUTH_TOKEN", "the user's own")
    started(monkeypatch, fake)
    assert fake.environment["RAY_AUTH_TOKEN"] == os.environ["RAY_AUTH_TOKEN"] == "the user's own"


def test_a_ray_that_starts_slowly_is_started_again(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeRay(SLOW, TimeoutError("timed out"))
    started(monkeypatch, fake)
    assert len(fake.given) == 3


def test_a_ray_that_never_starts_ends_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeRay(*[SLOW] * 9)
    with pytest.raises(TransientError, match=r"too busy.*lower compute\.cpus.*timed out during startup"):
        started(monkeypatch, fake)
    assert len(fake.given) == local.START_ATTEMPTS


@pytest.mark.parametrize("error", [ValueError("num_cpus"), PermissionError(13, "Permission denied", "/proc/r")])
def test_what_no_other_start_would_change_is_not_tried_again(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeRay(error)
    with pytest.raises(ConfigError, match="Ray cannot start"):
        started(monkeypatch, fake)
    assert len(fake.given) == 1


@pytest.mark.parametrize("address", ["local", "auto", "ray://head:10001"])
def test_ray_copies_no_working_directory_under_uv_run(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ray asks its constant in `ray.init`, on a cluster and for its client alike."""
    assert os.environ["RAY_ENABLE_UV_RUN_RUNTIME_ENV"] == "0"
    monkeypatch.setattr(ray_constants, "RAY_ENABLE_UV_RUN_RUNTIME_ENV", True)  # Ray was imported before mtlue
    started(monkeypatch, FakeRay(), address)
    assert not ray_constants.RAY_ENABLE_UV_RUN_RUNTIME_ENV


def test_the_dashboard_runs_only_where_it_is_asked_for_and_its_token_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    class WithDashboard(FakeRay):
        def init(self, **options: Any) -> Any:
            super().init(**options)
            return SimpleNamespace(dashboard_url="127.0.0.1:8265")

    fake = WithDashboard()
    monkeypatch.setattr(local.ray, "init", fake.init)
    with Executor(Compute(dashboard=True)) as executor:
        executor.start()
        assert executor.dashboard == f"http://127.0.0.1:8265 (token: {os.environ[local.TOKEN]})"
    with Executor(Compute()) as executor:
        executor.start()
    assert [given["include_dashboard"] for given in fake.given] == [True, False]


def test_a_dashboard_whose_packages_are_missing_is_refused_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeRay()
    monkeypatch.setattr(local.ray, "init", fake.init)
    monkeypatch.setattr(local, "find_spec", lambda name: None)
    with Executor(Compute(dashboard=True)) as executor, pytest.raises(ConfigError, match=r"mtlue\[dashboard\]"):
        executor.start()
    assert not fake.given
