"""The three places of a run (dataset, output, work), and what lies where in the private one."""

from __future__ import annotations

import os
from contextlib import suppress
from copy import copy

from schemas.config import Config
from schemas.dataset import Storage
from schemas.errors import AccessError, ConfigError, StoreError, UnwritableError
from schemas.model import fingerprint
from schemas.records import ShardRef
from stages.io.shards.listing import list_shards
from stages.io.store.objects import Guard
from stages.io.store.store import Store, places_overlap
from stages.io.store.urls import HUB, LOCAL, split_url

LEASE = "lease.json"
LAST_CONFIG = "configuration.json"
GENERATOR = "generator.json"
LEFT_OUT = "left-out.json"
REPORT = "report.html"
REPORT_MARKDOWN = "report.md"
REPORT_JSON = "report.json"
PROBE = ".mtlue-write-check"


class Places:
    """The stores of one configuration, opened and checked against each other.

    Raises:
        ConfigError: two places overlap, a shard is missing, or `output` holds the input.
        AccessError: a bucket is missing, or access is denied.
    """

    def __init__(self, config: Config) -> None:
        self.endpoint = Storage(endpoint_url=config.dataset.storage.endpoint_url)
        self.output = Store(config.output, self.endpoint)
        self.work = Store(config.work, self.endpoint)
        refuse_overlap("output", self.output.url, "work", self.work.url)
        if split_url(self.work.url)[0] == HUB:
            raise ConfigError(
                f"work ({self.work.url}) lies on the Hugging Face Hub, where each of many small files would be a "
                "commit; name a local disk or a bucket that is yours alone"
            )
        self.passed_by: list[str] = []
        """What lies among the shards and is not read, a sentence for each kind."""
        storage = config.dataset.storage
        self.source, listed = list_shards(config.dataset.shards, storage, passed_by=self.passed_by)
        published = {"output_format": config.protect.output_format}
        self.shards = [ref.model_copy(update=published) for ref in listed]
        self.test_source: Store | None = None
        self.test_shards: list[ShardRef] = []
        inputs = {"dataset.shards": self.shards}
        if config.dataset.test_shards is not None and config.audit is not None:
            self.test_source, self.test_shards = list_shards(
                config.dataset.test_shards, storage, "dataset.test_shards", passed_by=self.passed_by
            )
            inputs["dataset.test_shards"] = self.test_shards
        for key, shards in inputs.items():
            for folder in sorted({shard.url.rpartition("/")[0] for shard in shards}):
                refuse_overlap("output", self.output.url, key, folder)
                refuse_overlap("work", self.work.url, key, folder)
        shared = {shard.url for shard in self.shards} & {shard.url for shard in self.test_shards}
        if shared:
            raise ConfigError(
                f"{min(shared)} is in dataset.shards and in dataset.test_shards: the audit would test on what it "
                "trained on; leave it out of one of them"
            )

    def inside_work(self, folder: str) -> Store:
        """A store of its own in a folder of the private place."""
        return self.work.below(folder)

    def guarded(self, token: Guard) -> Places:
        """The same places; both are changed only while `token` agrees, in this process and in its workers."""
        return self._with(output=self.output.guarded(token), work=self.work.guarded(token))

    def with_output(self, output: Store) -> Places:
        """The same places with another store for `output`."""
        return self._with(output=output, work=self.work)

    def _with(self, *, output: Store, work: Store) -> Places:
        twin = copy(self)
        twin.output, twin.work = output, work
        return twin

    def sweep(self) -> None:
        """Remove the unfinished files of runs that were killed; they may hold protected images that no ledger knows."""
        self.output.sweep()
        self.work.sweep()

    def check_writable(self) -> None:
        """Write and remove an empty object in both places, so that a missing permission ends the run at its start."""
        _make_private(self.work)
        for key, store in (("output", self.output), ("work", self.work)):
            try:
                store.list(PROBE)  # some stores make a missing bucket when they are written to; a listing tells
                store.write(PROBE, b"")
                store.delete(PROBE)
            except UnwritableError as error:
                raise type(error)(f"{key}: {error.message}") from None
            except StoreError as error:
                raise AccessError(f"{key}: {error.message}") from None


def _make_private(work: Store) -> None:
    """Let nobody else into a local `work`: it holds the generator. The write check reports what goes wrong."""
    protocol, path = split_url(work.url)
    if protocol == LOCAL:
        with suppress(OSError):
            os.makedirs(path, mode=0o700, exist_ok=True)
            os.chmod(path, 0o700)


def refuse_overlap(key: str, url: str, other_key: str, other_url: str) -> None:
    """Raise ConfigError when one place is inside the other."""
    if places_overlap(url, other_url):
        raise ConfigError(
            f"{key} ({url}) and {other_key} ({other_url}) overlap; what is public and what is private must not lie in "
            "one place: choose another prefix"
        )


def shard_object(folder: str, ref: ShardRef, settings: str, ending: str) -> str:
    """Name in `work` of what belongs to one state of one shard: a new state, or other settings, is another name."""
    return f"{folder}/{shard_state(ref)}-{settings}.{ending}"


def shard_state(ref: ShardRef) -> str:
    """One state of one shard, in a name."""
    return f"{ref.name}.{fingerprint([ref.name, ref.size, ref.etag])}"
