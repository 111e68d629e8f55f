"""A store's failures: class and exit code tell a wrong set-up from one bad object."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest
from botocore.exceptions import ClientError, NoCredentialsError, PartialCredentialsError, ProfileNotFound

from pipeline.run.ingest import check_profiles
from schemas.errors import AccessError, MtlueError, StoreError
from schemas.records import failure_of as record_of
from stages.io.store.failures import failure_of
from tests import builders


def answer(code: str, status: int = 403) -> ClientError:
    return ClientError({"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}, "Request")


@pytest.mark.parametrize(
    "error",
    [
        NoCredentialsError(),
        PartialCredentialsError(provider="env", cred_var="AWS_SECRET_ACCESS_KEY"),
        ProfileNotFound(profile="other"),
        answer("AccessDenied"),
        answer("403"),
        answer("InvalidAccessKeyId"),
        answer("SignatureDoesNotMatch"),
        answer("ExpiredToken", 400),
        answer("NoSuchBucket", 404),
        answer("PermanentRedirect", 301),
        PermissionError(errno.EACCES, "Permission denied", "/data/x"),
    ],
    ids=lambda error: getattr(error, "response", {}).get("Error", {}).get("Code", type(error).__name__),
)
@pytest.mark.parametrize("doing", ["list", "read", "download", "write", "upload", "create", "delete"])
def test_credentials_rights_and_buckets_are_a_matter_of_configuration(error: Exception, doing: str) -> None:
    found = failure_of(error, doing=doing, url="s3://b/x", endpoint="http://s")
    assert isinstance(found, AccessError)
    assert found.exit_code == 2


@pytest.mark.parametrize("doing", ["write", "upload", "create", "delete"])
def test_a_right_to_write_that_is_missing_ends_the_run(doing: str) -> None:
    for error in (answer("AccessDenied"), answer("ExpiredToken", 400), NoCredentialsError()):
        assert failure_of(error, doing=doing, url="s3://b/x", endpoint="http://s").ends_run


@pytest.mark.parametrize(
    "error",
    [
        answer("NoSuchKey", 404),
        answer("SlowDown", 503),
        answer("QuotaExceeded"),
        OSError(errno.ENOSPC, "No space left on device"),
        FileNotFoundError(errno.ENOENT, "No such file or directory", "/data/x"),
        ConnectionError("reset"),
    ],
    ids=["no-such-key", "slow-down", "quota", "full", "no-such-file", "connection"],
)
def test_what_is_wrong_with_one_object_or_for_a_while_is_none(error: Exception) -> None:
    assert failure_of(error, doing="write", url="s3://b/x", endpoint="http://s").exit_code == 1


@pytest.mark.parametrize(("second", "code"), [(AccessError("denied"), 2), (StoreError("damaged"), 1)])
def test_when_no_shard_may_be_read_the_exit_code_says_that_it_is_a_matter_of_rights(
    tmp_path: Path, second: MtlueError, code: int
) -> None:
    failures = [record_of("0.tar", "ingest", AccessError("denied")), record_of("1.tar", "ingest", second)]
    with pytest.raises(MtlueError, match="none of the 2 shards could be read") as caught:
        check_profiles(builders.config(tmp_path), [], failures, 2)
    assert caught.value.exit_code == code
