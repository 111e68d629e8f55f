"""A store's failures: permanent ones are explained, transient ones are retried, here and nowhere else."""

from __future__ import annotations

import errno
import logging
import random
import sys
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

from schemas.errors import AccessError, MtlueError, NoWriteAccessError, StoreError, TransientError, UnwritableError
from schemas.secrets import scrub
from stages.io.store.urls import credentials_of

T = TypeVar("T")

logger = logging.getLogger(__name__)

PATIENCE_SECONDS = 300.0
"""How long the transient failures of a store that has answered before are waited out: a restart, a throttled hour."""

FIRST_PATIENCE_SECONDS = 15.0
"""The same before a store's first answer: then the address is likelier to be wrong than the store to be down."""

LEAST_ATTEMPTS = 4
"""So many in any case, however long each of them hangs, unless there is no patience at all."""

FIRST_DELAY_SECONDS = 0.5
LONGEST_DELAY_SECONDS = 30.0

# Looked up among the loaded modules: naming an error must not import the libraries of stores that are not used.
_LIBRARY_ERRORS = (
    ("botocore.exceptions", "BotoCoreError"),
    ("botocore.exceptions", "ClientError"),
    ("aiohttp", "ClientError"),
    ("urllib3.exceptions", "HTTPError"),
    ("gcsfs.retry", "HttpError"),
    ("google.auth.exceptions", "GoogleAuthError"),
    ("azure.core.exceptions", "AzureError"),
    ("httpx", "HTTPError"),
    ("httpx2", "HTTPError"),
)
_TRANSIENT_CODES = {
    "BadDigest",
    "ConditionalRequestConflict",
    "IncompleteBody",
    "InternalError",
    "OperationAborted",
    "RequestTimeout",
    "ServiceUnavailable",
    "SlowDown",
    "Throttling",
    "ThrottlingException",
    "XAmzContentSHA256Mismatch",
}
_TRANSIENT_STATUSES = {408, 425, 429, 500, 502, 503, 504}
# Class names, of errors without an answer from the store: broken connections, timeouts, bodies that end early.
_TRANSIENT_NAMES = {
    "ClientConnectionError",
    "ClientPayloadError",
    "ConnectionError",
    "HTTPClientError",
    "IncompleteRead",
    "IncompleteReadError",
    "ProtocolError",
    "ResponseParserError",
    "ServiceRequestError",
    "ServiceResponseError",
    "TransportError",
}
_TRANSIENT_ERRNOS = {errno.EAGAIN, errno.EINTR, errno.ESTALE, errno.ETIMEDOUT}
FULL_ERRNOS = {errno.ENOSPC, errno.EDQUOT}
_DENIED_CODES = {"AccessDenied", "403", "AllAccessDisabled", "AuthorizationFailure", "InsufficientAccountPermissions"}
_WRONG_KEY_CODES = {"InvalidAccessKeyId", "SignatureDoesNotMatch", "AuthenticationFailed", "401"}
_EXPIRED_CODES = {"ExpiredToken", "InvalidToken", "TokenRefreshRequired"}
_REGION_CODES = {"PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException", "301"}
_NO_BUCKET_CODES = {"NoSuchBucket", "ContainerNotFound"}
_REFUSED_CODES = _DENIED_CODES | _WRONG_KEY_CODES | _EXPIRED_CODES
"""What the credentials are refused, in every request of its kind."""

_FULL_CODES = {"QuotaExceeded", "XMinioStorageFull"}
# Class names, of errors before any request: nothing to sign one with.
_NO_CREDENTIALS_NAMES = {
    "ClientAuthenticationError", "CredentialRetrievalError", "CredentialUnavailableError", "DefaultCredentialsError",
    "LoginError", "NoAuthTokenError", "NoCredentialsError", "PartialCredentialsError", "ProfileNotFound",
    "RefreshError", "SSOError", "TokenRetrievalError",
}  # fmt: skip

WRITING = {"upload", "write", "create", "replace", "delete"}
"""The verbs that change a store."""

_CONFLICT_CODES = {"PreconditionFailed", "412", "BlobAlreadyExists", "conditionNotMet", "ConditionNotMet"}


def library_errors() -> tuple[type[BaseException], ...]:
    """Every type that fsspec and the loaded store libraries raise when a request fails."""
    known = (getattr(sys.modules.get(module), name, None) for module, name in _LIBRARY_ERRORS)
    return (OSError, ValueError, EOFError, *(kind for kind in known if kind is not None))


def store_code(error: BaseException) -> str:
    """The store's word for a failure (`NoSuchBucket`, or the HTTP status when there is no word); empty without one."""
    for link in _chain(error):
        answer = getattr(link, "response", None)
        if isinstance(answer, dict) and "Error" in answer:
            return str(answer["Error"].get("Code", ""))
        word = _status_attribute(link) and (getattr(link, "error_code", None) or _status_attribute(link))
        if word:
            return str(getattr(word, "value", word))
    return ""


def is_conflict(error: BaseException) -> bool:
    """Tell whether an exclusive create failed because the object exists."""
    return store_code(error) in _CONFLICT_CODES or any(isinstance(link, FileExistsError) for link in _chain(error))


def retried(
    action: Callable[[int], T],
    *,
    doing: str,
    url: str,
    endpoint: str = "",
    patience: float,
    before: Callable[[], None] = lambda: None,
) -> T:
    """Run `action(attempt)`, attempt = 0, 1, …, until it succeeds, with exponential pauses under full jitter.

    Pause n is drawn from [0, min(30 s, 0.5 s · 2ⁿ)]: many workers that failed together do not come back together
    (M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog 2015).

    Args:
        action: one attempt; raises a library's error, or an error of `schemas.errors` that is passed on.
        doing: the verb for messages ("read", "list").
        url: what it is done to, for messages.
        endpoint: where the store answers, for messages; empty for a local disk.
        patience: seconds after which no further attempt is begun; 0: one attempt.
        before: called before every attempt; what it raises is passed on, and nothing is attempted.

    Raises:
        StoreError: the failure is permanent; AccessError, UnwritableError: it meets other requests as well.
        TransientError: the last of the attempts failed too.
    """
    attempt, started = 0, time.monotonic()
    while True:
        before()
        try:
            return action(attempt)
        except TransientError as error:
            failure: MtlueError = error
            cause: BaseException | None = error.__cause__
        except library_errors() as error:
            failure, cause = failure_of(error, doing=doing, url=url, endpoint=endpoint), error
        attempt += 1
        if not isinstance(failure, TransientError):
            raise failure from cause
        # A new generator is seeded by the system: forked workers must not pause in step.
        pause = random.Random().uniform(0, min(LONGEST_DELAY_SECONDS, FIRST_DELAY_SECONDS * 2 ** min(attempt - 1, 30)))
        waited = time.monotonic() - started
        if waited + pause > patience and (attempt >= LEAST_ATTEMPTS or not patience):
            times = "once" if attempt == 1 else f"{attempt} times in {waited:.0f} s"
            raise TransientError(f"{failure.message} (tried {times})") from cause
        logger.info("%s; tried again in %.1f s", failure.message, pause)
        time.sleep(pause)


def failure_of(error: BaseException, *, doing: str, url: str, endpoint: str = "") -> MtlueError:
    """Translate a library's error into a kind of StoreError or TransientError with the fix; without credentials."""
    code, status = store_code(error), _status(error)
    place = f"{url} at {endpoint}" if endpoint else url
    start = f"{place}: cannot {doing}:"
    if code or status:
        word = code or str(status)
        if code in _TRANSIENT_CODES or (status or _number(code)) in _TRANSIENT_STATUSES:
            return TransientError(f"{start} the store answered {word}; it is overloaded or out of order")
        return _kind_of(word, doing)(f"{start} {_refusal(word, doing, credentials_of(url))}")
    names = {kind.__name__ for link in _chain(error) for kind in type(link).__mro__}
    if names & _NO_CREDENTIALS_NAMES:
        return _access_error(doing)(
            f"{start} no credentials were found; check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE "
            "(or your provider's own) in the environment of every worker"
        )
    if "SSLError" in names:
        return StoreError(f"{start} no TLS connection; check dataset.storage.endpoint_url (http or https?)")
    if names & _TRANSIENT_NAMES or isinstance(error, TimeoutError | ConnectionError | EOFError):
        return TransientError(
            f"{start} no connection, or it broke ({type(error).__name__}); "
            "check dataset.storage.endpoint_url and the network"
        )
    if isinstance(error, OSError) and error.errno in _TRANSIENT_ERRNOS:
        return TransientError(f"{start} {_system_text(error)}")
    return _local_kind(error, doing)(f"{start} {_local_refusal(error, remote=bool(endpoint))}")


def _access_error(doing: str) -> type[AccessError]:
    return NoWriteAccessError if doing in WRITING else AccessError


def _kind_of(code: str, doing: str) -> type[StoreError]:
    """The class of a store's permanent answer."""
    if code in _REFUSED_CODES:
        return _access_error(doing)
    if code in _NO_BUCKET_CODES | _REGION_CODES:
        return AccessError
    return UnwritableError if doing in WRITING and code in _FULL_CODES else StoreError


def _local_kind(error: BaseException, doing: str) -> type[StoreError]:
    """The class of a failure without a store's answer."""
    number = error.errno if isinstance(error, OSError) else None
    if number in FULL_ERRNOS:  # also in a download: this machine's disk is full
        return UnwritableError
    if number == errno.EROFS and doing in WRITING:
        return NoWriteAccessError
    return AccessError if isinstance(error, PermissionError) else StoreError


def _refusal(code: str, doing: str, credentials: str) -> str:
    """What a store's permanent answer means, and what to do."""
    if code in _NO_BUCKET_CODES:
        return f"the bucket does not exist ({code}); create the bucket, or correct the URL or endpoint_url"
    if code in {"NoSuchKey", "404"}:
        return f"there is no such object ({code}); check the name and the bucket"
    if code in _DENIED_CODES:
        return f"access denied ({code}); check {credentials}, and that this identity is allowed to {doing} here"
    if code in _WRONG_KEY_CODES:
        return f"the credentials are wrong ({code}); check {credentials}"
    if code in _EXPIRED_CODES:
        return f"the credentials have expired ({code}); renew AWS_SESSION_TOKEN"
    if code in _REGION_CODES:
        return f"the bucket lies in another region ({code}); set AWS_DEFAULT_REGION to it"
    if code == "RequestTimeTooSkewed":
        return f"this machine's clock is wrong ({code}); set it"
    return f"the store refused it ({code}); check the URL, the endpoint_url and what this identity may do"


def _local_refusal(error: BaseException, *, remote: bool) -> str:
    """What an error without a store's answer means, and what to do."""
    if isinstance(error, FileNotFoundError) and remote:
        return "there is no such object; check the name and the bucket"
    if not isinstance(error, OSError):
        return f"{scrub(error)}; check the URL and dataset.storage.endpoint_url (http://host:port)"
    text = _system_text(error)
    if error.errno in FULL_ERRNOS:
        return f"{text}; free some space"
    if isinstance(error, FileNotFoundError):
        return f"{text}; check the path"
    if isinstance(error, FileExistsError | NotADirectoryError | IsADirectoryError):
        return f"{text}; a file stands where a directory is needed, or a directory where a file is"
    if isinstance(error, PermissionError) or error.errno == errno.EROFS:
        return f"{text}; check the permissions of the directory, or of the credentials in the environment"
    return text


def _system_text(error: OSError) -> str:
    """The system's sentence and the file that it is about."""
    text = error.strerror or str(error) or type(error).__name__
    return scrub(f"{text} ({error.filename})" if error.filename else text)


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error and what it was raised from."""
    link: BaseException | None = error
    for _ in range(8):
        if link is None:
            return
        yield link
        link = link.__cause__


def _status(error: BaseException) -> int:
    """HTTP status of the store's answer; 0 without one."""
    for link in _chain(error):
        answer = getattr(link, "response", None)
        if isinstance(answer, dict):
            return int(answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
        if status := _status_attribute(link):
            return status
    return 0


def _status_attribute(error: BaseException) -> int:
    """The status where gcsfs and azure keep it. Not aiohttp: it calls an answer that ends early a 400."""
    if not type(error).__module__.startswith(("gcsfs", "azure", "google", "huggingface_hub")):
        return 0
    for holder in (error, getattr(error, "response", None)):  # huggingface_hub keeps it in the answer
        for name in ("status", "status_code", "code"):
            value = getattr(holder, name, None)
            if _number(value) >= 100:
                return _number(value)
    return 0


def _number(value: object) -> int:
    return int(value) if isinstance(value, int) or (isinstance(value, str) and value.isdigit()) else 0
