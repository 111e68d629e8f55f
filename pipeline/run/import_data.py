"""An import: shards planned in order, made in parallel, those that are there left alone, all summed up at the end."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial

from pydantic import ValidationError

from pipeline.cluster.progress import Reporter
from schemas.config import Compute
from schemas.errors import ConfigError, InputError, MtlueError
from schemas.imports import ImportedShard, ImportSummary, Parameters, Skipped, SkippedCounts, SplitCount
from schemas.records import ManifestShard
from stages.adapters.adapter import Adapter
from stages.adapters.importing import PlannedShard, ShardLimit, import_shard, planned_shards, record_name
from stages.io.store.objects import Entry
from stages.io.store.store import Store

SUMMARY = "import.json"
"""Name of the summary beside the shards."""


def import_dataset(
    adapter: Adapter, store: Store, reporter: Reporter, *, limit: ShardLimit, compute: Compute = Compute()
) -> ImportSummary:
    """Turn a dataset into shards; only shards that are not there, or not right any more, are made.

    The shards are the same bytes for every number of workers. Memory holds the lists' keys and a shard of rows for each
    worker, never the images.

    Args:
        adapter: the dataset and its options.
        store: where the shards, `import.json` and the records in `import/` go.
        reporter: where progress goes.
        limit: when a shard is full.
        compute: the workers; with `cpus: 1` all is done in this process, without Ray, and so are few rows by default.

    Raises:
        ConfigError: the place holds something else, or an import with other parameters.
        InputError: a list or file of the source cannot be read, or no row became a sample. What is done is kept.
        StoreError, TransientError: the store failed.
    """
    checked = adapter.check()
    parameters = {**adapter.parameters, **limit.parameters, **checked.parameters}
    before = claimed(store, parameters)
    run = _Import(adapter, store, parameters, limit)
    # Ray takes longer to start than one shard takes to import.
    few = limit.samples is not None and checked.rows <= limit.samples and compute.cpus == "auto"
    if compute.address == "local" and (few or compute.cpus == 1):
        run.import_here(reporter, checked.rows)
    else:
        run.import_in_workers(reporter, checked.rows, compute)
    summary = run.summary()
    if not summary.samples:
        first = next((count.examples[0] for count in summary.skipped.reasons.values()), "there is no row at all")
        raise InputError(f"none of the {summary.rows} rows of {adapter.origin} became a sample; the first: {first}")
    for name in run.stale(summary):
        store.delete(name)
    if run.opened or summary != before:
        write_summary(store, summary)
    return summary


class _Import:
    """One import under way."""

    def __init__(self, adapter: Adapter, store: Store, parameters: Parameters, limit: ShardLimit) -> None:
        self.adapter, self.store, self.parameters, self.limit = adapter, store, parameters, limit
        self.present = {entry.name: entry for entry in store.list()}
        self.known = known_shards(store, [name for name in self.present if name.startswith("import/")])
        self.skipped = SkippedCounts()
        self.shards: dict[str, ImportedShard] = {}
        self.opened = False
        """Whether the place was marked as incomplete: a shard is made."""

    def import_here(self, reporter: Reporter, rows: int) -> None:
        """Import every shard in this process, one after the other."""
        with reporter.step("import", rows, "rows") as step:
            for shard in self._open_shards():
                self._add(shard.name, import_shard(*self._arguments(shard)))
                step.advance_to(min(self.rows_done, rows))

    def import_in_workers(self, reporter: Reporter, rows: int, compute: Compute) -> None:
        """Import every shard in a worker; the first error ends it."""
        from pipeline.cluster.executor import Executor
        from pipeline.cluster.jobs import Job
        from pipeline.cluster.workers import Workers

        def failed(name: str, error: MtlueError) -> None:
            raise error

        with Executor(compute) as executor:
            Workers(executor, reporter).each(
                "import",
                (Job(shard.name, partial(import_shard, *self._arguments(shard))) for shard in self._open_shards()),
                self._add,
                failed,
                count=rows,
                unit="rows",
                position=lambda: min(self.rows_done, rows),
            )

    @property
    def rows_done(self) -> int:
        """Rows whose shard is in the store, and rows that were left out so far."""
        of_shards = sum(record.shard.samples + record.skipped.total for record in self.shards.values())
        return of_shards + self.skipped.total

    def _open_shards(self) -> Iterator[PlannedShard]:
        """The shards to make or to compare; those whose etag is the recorded one are done."""
        for shard in planned_shards(self.adapter.rows(), self.limit, self.parameters, self._skip):
            known = self._fitting(shard)
            if known is not None and is_whole(known, self.present.get(shard.name)):
                self._add(shard.name, known)
                continue
            if not self.opened:
                write_summary(self.store, ImportSummary(parameters=self.parameters))
                self.opened = True
            yield shard

    def _arguments(self, shard: PlannedShard) -> tuple[Adapter, PlannedShard, Store, ImportedShard | None]:
        known, entry = self._fitting(shard), self.present.get(shard.name)
        comparable = known is not None and entry is not None and entry.size == known.shard.bytes
        return self.adapter, shard, self.store, known if comparable else None

    def _fitting(self, shard: PlannedShard) -> ImportedShard | None:
        known = self.known.get(record_name(shard.name))
        return known if known is not None and known.identity == shard.identity else None

    def _skip(self, row: Skipped) -> None:
        self.skipped = self.skipped.merge(SkippedCounts.of([row]))

    def _add(self, name: str, record: ImportedShard) -> None:
        self.shards[name] = record

    def summary(self) -> ImportSummary:
        """The whole of it, in the order of the names: it does not tell which worker was quicker."""
        skipped, splits = self.skipped, dict[str, list[ManifestShard]]()
        for _, record in sorted(self.shards.items()):
            skipped = skipped.merge(record.skipped)
            shards = splits.setdefault(record.split, [])
            if record.shard.samples:
                shards.append(record.shard)
        counts = {
            split: SplitCount(samples=sum(shard.samples for shard in shards), shards=shards)
            for split, shards in sorted(splits.items())
        }
        samples = sum(count.samples for count in counts.values())
        return ImportSummary(
            parameters=self.parameters, complete=True, splits=counts, rows=samples + skipped.total, skipped=skipped
        )

    def stale(self, summary: ImportSummary) -> list[str]:
        """Objects of an earlier state of the same import, of which the source has no rows any more."""
        wanted = {shard.name for split in summary.splits.values() for shard in split.shards}
        ours = {record.shard.name for record in self.known.values()} - wanted
        records = self.known.keys() - {record_name(name) for name in self.shards}
        return sorted((ours & self.present.keys()) | records)


def claimed(store: Store, parameters: Parameters) -> ImportSummary | None:
    """The summary of an earlier import with these parameters; None when the place is empty.

    Raises:
        ConfigError: shards lie there that no import has recorded, or those of an import with other parameters.
    """
    if store.stat(SUMMARY) is None:
        found = [entry.name for entry in store.list() if entry.name.endswith((".tar", ".parquet"))]
        if found:
            raise ConfigError(
                f"{store.join(found[0])} exists, and {SUMMARY} is not there to say what it is ({len(found)} shards): "
                "import to an empty place, or delete them"
            )
        return None
    try:
        known = ImportSummary.model_validate_json(store.read(SUMMARY))
    except ValidationError as error:
        raise ConfigError(
            f"{store.join(SUMMARY)} is not the summary of an import ({error.errors()[0]['msg']}): import to an empty "
            "place, or delete it together with the shards"
        ) from None
    if not known.complete and not any(entry.name.endswith(".tar") for entry in store.list()):
        return None  # an earlier import that came to nothing
    if known.parameters != parameters:
        names = sorted({*known.parameters, *parameters})
        pairs = [(name, known.parameters.get(name), parameters.get(name)) for name in names]
        differ = ", ".join(f"{name}: {there} there, {asked} asked" for name, there, asked in pairs if there != asked)
        raise ConfigError(
            f"{store.join(SUMMARY)} records an import with other parameters ({differ}): import to another place, or "
            "delete it together with the shards"
        )
    return known


def known_shards(store: Store, names: list[str]) -> dict[str, ImportedShard]:
    """Records of shards by their own names; one that cannot be read counts as none."""
    records = {}
    with ThreadPoolExecutor(16) as pool:
        for name, text in zip(names, pool.map(store.read, names), strict=True):
            with suppress(ValidationError):
                records[name] = ImportedShard.model_validate_json(text)
    return records


def is_whole(record: ImportedShard, entry: Entry | None) -> bool:
    """Whether the object in the store is the one that was recorded, as far as a listing tells."""
    if not record.shard.samples:
        return entry is None
    return entry is not None and (entry.size, entry.etag) == (record.shard.bytes, record.etag)


def write_summary(store: Store, summary: ImportSummary) -> None:
    """Write `import.json`."""
    store.write(SUMMARY, summary.model_dump_json(indent=1).encode() + b"\n")
