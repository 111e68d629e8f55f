"""Nothing that is shown holds a credential, and what is no credential stays."""

from __future__ import annotations

import pytest

from schemas.secrets import VARIABLES, holds_password, scrub


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("s3://user:pa@ss@bucket/key", "s3://bucket/key"),
        ("https://me:hun?ter#2@store:9000/x", "https://store:9000/x"),
        ("Invalid endpoint: //me:hunter2@store", "Invalid endpoint: //store"),
        ("('https://me:hunter2@store')", "('https://store')"),
        ("https://a.b/c?sig=1#x and more", "https://a.b/c and more"),
        ("/data/a?.tar, me@here.org", "/data/a?.tar, me@here.org"),
        ("s3://bucket/a//b@c.tar", "s3://bucket/a//b@c.tar"),
        ("https://user:pa/ss@store:9000/x", "https://store:9000/x"),
        ("s3://AKIAKEY:sec/ret+x@bucket/a", "s3://bucket/a"),
        ("cannot reach http://me:a/b/c@host (refused)", "cannot reach http://host (refused)"),
        ("http://host:9000/a@b and s3://bucket/a:b/c@d.tar", "http://host:9000/a@b and s3://bucket/a:b/c@d.tar"),
    ],
)
def test_scrub_takes_out_credentials_and_nothing_else(given: str, shown: str) -> None:
    assert scrub(given) == shown


@pytest.mark.parametrize("name", VARIABLES)
def test_credentials_of_the_environment_are_shown_by_name(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "hunter/2+")
    assert scrub("refused hunter/2+, as it should") == f"refused ${name}, as it should"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("https://me:hunter2@store", True),
        ("https://:hunter2@store", True),
        ("//me:hun?ter2@store", True),
        ("https://user:pa/ss@store", True),
        ("s3://AKIAKEY:sec/ret@bucket", True),
        ("s3://bucket/a:b/c@d.tar", False),
        ("https://me@store", False),
        ("abfs://container@account.dfs.core.windows.net/x", False),
        ("https://store:9000/a@b", False),
    ],
)
def test_a_password_is_told_from_a_user_name(text: str, found: bool) -> None:
    assert holds_password(text) is found


def test_a_short_word_of_the_environment_is_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    assert scrub("set test_shards to s3://test-data/x") == "set test_shards to s3://test-data/x"
