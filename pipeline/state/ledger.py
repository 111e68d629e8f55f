"""The ledger: one small object per published shard, written after everything else about it is done."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from schemas.fingerprints import fingerprint
from schemas.plans import ProtectPlan
from schemas.records import ShardRecord, ShardRef
from stages.io.store.objects import Entry
from stages.io.store.records import parse_record
from stages.io.store.store import Store

FOLDER = "ledger/"


def identity_of(ref: ShardRef, plan: ProtectPlan) -> str:
    """Hash of everything that decides a protected shard's bytes."""
    return fingerprint([ref.name, ref.size, ref.etag, plan.fingerprint])


def _shard_of(name: str) -> str:
    """The output shard's name in that of a record, `ledger/<shard>.<identity>.json`."""
    return name.removeprefix(FOLDER).rpartition(".")[0].rpartition(".")[0]


class Ledger:
    """The records of one `work` prefix.

    The name of a record holds the shard's name and identity, so one listing tells which shards are done.
    """

    def __init__(self, work: Store) -> None:
        self.work = work

    def identities(self) -> dict[str, str]:
        """Identity → object name, from one listing."""
        return {entry.name.rpartition(".")[0].rpartition(".")[2]: entry.name for entry in self.work.list(FOLDER)}

    def add(self, record: ShardRecord) -> None:
        """Write a record: from now on the shard counts as published."""
        self.work.write(f"{FOLDER}{record.name}.{record.identity}.json", record.model_dump_json().encode())

    def forget(self, shards: set[str]) -> None:
        """Remove every record of these output shards, before their bytes are replaced.

        A record that outlived its bytes would be believed again as soon as the configuration went back to it.
        """
        stale = [name for name in self.identities().values() if _shard_of(name) in shards]
        with ThreadPoolExecutor(16) as pool:
            list(pool.map(self.work.delete, stale))

    def shards(self) -> set[str]:
        """Output shards that have a record."""
        return {_shard_of(name) for name in self.identities().values()}

    def of_shards(self, shards: set[str]) -> dict[str, list[str]]:
        """Output shard → the object names of its records."""
        found: dict[str, list[str]] = {shard: [] for shard in shards}
        for name in self.identities().values():
            if _shard_of(name) in shards:
                found[_shard_of(name)].append(name)
        return found

    def read(self, names: list[str]) -> list[ShardRecord]:
        """The records stored under these object names.

        Raises:
            ValidationError: one of them cannot be read.
        """
        with ThreadPoolExecutor(16) as pool:
            return [
                parse_record(data, ShardRecord, self.work.join(name), "remove it, and its shard is protected again")
                for name, data in zip(names, pool.map(self.work.read, names), strict=True)
            ]

    def last_good(self, shards: set[str], bound: int, published: list[Entry]) -> list[ShardRecord]:
        """Records of what lies there of these output shards, whatever input and generator it was made from.

        Args:
            bound: B; what was protected under a larger one is not vouched for.
            published: the listing of `output`.
        """
        sizes = {entry.name: entry.size for entry in published}
        names = sorted(records[0] for records in self.of_shards(shards).values() if len(records) == 1)
        return [
            record
            for record in self.read(names)
            if sizes.get(record.name) == record.bytes and record.max_delta <= bound
        ]

    def done(self, shards: list[ShardRef], plan: ProtectPlan, published: list[Entry]) -> list[ShardRecord]:
        """Records of the shards that need no work: recorded under their identity, and there with the recorded size.

        Args:
            published: the listing of `output`.
        """
        known = self.identities()
        wanted = [identity_of(ref, plan) for ref in shards]
        sizes = {entry.name: entry.size for entry in published}
        records = self.read([known[identity] for identity in wanted if identity in known])
        return [record for record in records if sizes.get(record.name) == record.bytes]
