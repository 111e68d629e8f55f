"""The one tree of errors. Each class carries the exit code that the command line ends with.

MtlueError                 1
├── ConfigError            2   the configuration, a path or the usage is wrong; nothing was started
├── InputError             1   an input shard cannot be read or is refused as a whole
├── SampleError            1   one sample cannot be protected; it is quarantined, never published
├── StoreError             1   a store answered with a permanent error (an object is missing)
│   ├── AccessError        2   credentials, rights or the bucket itself are missing or wrong
│   │   └── NoWriteAccessError 2   the same for every write; ends the run, the next one goes on
│   └── UnwritableError    1   it takes no write any more (full, read-only); ends the run, the next one goes on
├── TransientError         1   a store or worker failed in a way that a retry may fix
├── ClusterError           1   Ray itself is gone from this machine; ends the run, the next one goes on
├── ValidationError        1   what was written does not pass its checks; it is not published
├── GeneratorError         1   training or δ is unusable (not finite, constant); nothing is published
├── EvidenceError          1   the evidence does not meet `audit.require`; nothing is published
├── QuarantineError        3   more samples or shards were left out than `protect` allows
└── LeaseError             4   another run holds the lease of this `work` prefix
"""

from __future__ import annotations

from typing import Self


def location(shard: str | None, key: str | None) -> str:
    """How every message begins that is about one shard, one sample or both.

    >>> location("train-0.tar", "s1")
    "shard train-0.tar: sample 's1': "
    """
    return ("" if shard is None else f"shard {shard}: ") + ("" if key is None else f"sample {key!r}: ")


LONGEST_PROBLEM = 600
"""Letters of a problem of one sample, which may quote what is stored there: a label can be a report, or an image."""


def _cut(problem: str) -> str:
    """A problem without its middle where it is too long; what was found stands at its start, what to do at its end."""
    if len(problem) <= LONGEST_PROBLEM:
        return problem
    return f"{problem[: LONGEST_PROBLEM // 2]} … {problem[-LONGEST_PROBLEM // 4 :]}"


INTERRUPTED = 130
"""Exit code after SIGINT; the next run goes on."""

TERMINATED = 143
"""Exit code after SIGTERM, likewise."""

UNREAD = 141
"""Exit code when nobody reads what is printed any more (`mtlue status | head`): the shell's own after SIGPIPE."""


class MtlueError(Exception):
    """Base of every error that mtlue raises on purpose; its text names the thing, the value found and what to do.

    Args:
        problem: what was found and what to do, without the names of shard and sample.
        shard: the shard that it is about, where whoever raises the error knows it; else callers add it with `at`.
        key: the sample's key, likewise.
    """

    exit_code = 1
    ends_run = False
    """Whether no job of the run can go on after it, whatever the job does."""

    def __init__(self, problem: str, *, shard: str | None = None, key: str | None = None) -> None:
        super().__init__(problem)
        self.problem, self.shard, self.key = problem, shard, key

    @property
    def message(self) -> str:
        """The whole text: `shard x: sample 'k': …`."""
        return location(self.shard, self.key) + self.problem

    def __str__(self) -> str:
        return self.message

    def at(self, *, shard: str | None = None, key: str | None = None) -> Self:
        """This error, with what it lacks of its place filled in; what it knows itself stays."""
        self.shard = shard if self.shard is None else self.shard
        self.key = key if self.key is None else self.key
        return self


class ConfigError(MtlueError):
    """The configuration or the usage is wrong; raised before anything is written."""

    exit_code = 2


class InputError(MtlueError):
    """A whole input shard is unreadable (truncated tar, unsafe member name) or refused (undeclared image member)."""


class RefusedInputError(InputError, ConfigError):
    """An input that must not be processed until the user fixes the configuration or the data; ends the whole run."""

    exit_code = 2


class SampleError(MtlueError):
    """One sample cannot be decoded, labelled or bounded.

    Attributes:
        reason: short machine-readable word (`corrupt-image`, `label-out-of-range`, …), the key of every count.
    """

    def __init__(self, reason: str, problem: str, *, shard: str | None = None, key: str | None = None) -> None:
        problem = _cut(problem)
        super().__init__(problem, shard=shard, key=key)
        self.args = (reason, problem)  # what a pickled error is built from again, in another process
        self.reason = reason


class StoreError(MtlueError):
    """A store answered with a permanent error: an object is missing, or the store cannot be used."""


class AccessError(StoreError):
    """A store cannot be used as it is set up: no or wrong credentials, no right, no such bucket, another region."""

    exit_code = 2


class UnwritableError(StoreError):
    """A place takes no write any more: it is full or read-only; ends the whole run.

    What is done is kept, and the next run goes on from there once the cause is fixed.
    """

    ends_run = True


class NoWriteAccessError(AccessError, UnwritableError):
    """The credentials do not allow to write, or do not allow it any more; ends the whole run."""


class TransientError(MtlueError):
    """A timeout, a throttled or broken connection, a 5xx answer: worth a retry."""


class ClusterError(MtlueError):
    """Ray ended on the machine of this process: no job can run any more. Ends the whole run."""

    ends_run = True


class ValidationError(MtlueError):
    """Bytes that were written do not pass their checks; they are not published."""


class GeneratorError(MtlueError):
    """A training diverged, or δ is not finite, constant or the same for everything; ends the whole run."""


class EvidenceError(MtlueError):
    """The evidence does not meet `audit.require`; nothing new is published."""


class QuarantineError(MtlueError):
    """More samples were left out than `protect.max_quarantined` allows, or more shards than `protect.max_failed`."""

    exit_code = 3


class LeaseError(MtlueError):
    """Another run holds the lease of this `work` prefix; a run that has lost its own writes nothing any more."""

    exit_code = 4
    ends_run = True
