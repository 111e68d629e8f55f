"""`mtlue status`: say what is done, what is left, what was left out, and who works on it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.commands.options import AsJson, ConfigPath, Overrides, checked_config, print_result
from pipeline.state.last_run import last_run

if TYPE_CHECKING:
    from schemas.config import Config


def status(config: ConfigPath = None, overrides: Overrides = None, as_json: AsJson = False) -> None:
    """Say what is done, what is left, what was left out and who works on it. Writes nothing.

    Without a configuration it is that of the last `mtlue run` in this directory, with its `--set`.
    """
    last = last_run() if config is None and not overrides else None
    if last is not None:
        config, overrides = None if last.config is None else Path(last.config), last.overrides
    found = status_of(checked_config(config, overrides))
    of = [] if last is None else [f"of          {last.words} (the last run in this directory)"]
    figures = {**asdict(found), "of": None if last is None else last.words}
    print_result([*of, *status_lines(found)], figures, as_json=as_json)


@dataclass(frozen=True)
class Status:
    """Where the work on one configuration stands."""

    planned: int
    """Input shards."""
    committed: int
    """Of these, published under this configuration and its generator."""
    failed: dict[str, str] = field(default_factory=dict)
    """Shard → why the last run could not process it."""
    quarantined: dict[str, int] = field(default_factory=dict)
    """Reason → samples left out."""
    empty: list[str] = field(default_factory=list)
    """Shards in which the last run found no sample that can be published."""
    withdrawn: list[str] = field(default_factory=list)
    """Published shards for which the last run found no input any more; they are public still."""
    passed_by: list[str] = field(default_factory=list)
    """What lies among the data and was not read by the last run, a sentence for each kind."""
    generator: str | None = None
    """Fingerprint of the generator that fits the configuration."""
    manifest: bool = False
    """Whether a run was finished and its manifest published."""
    differs: list[str] = field(default_factory=list)
    """Keys in which the last run's configuration differs from this one, with both values."""
    strangers: list[str] = field(default_factory=list)
    """What this `work` did not write in `output` and a run would refuse, a sentence each."""
    holder: str | None = None
    """Run that holds the lease."""
    log: str | None = None
    """Log of the last run."""


def status_of(config: Config) -> Status:
    """Read where the work on `config` stands, and whether the last run had another one; writes nothing."""
    from pipeline.configuration.plans import Plans
    from pipeline.state.generators import fitting_generator
    from pipeline.state.last_run import differences
    from pipeline.state.lease_record import holder_of
    from pipeline.state.ledger import Ledger
    from pipeline.state.places import LEFT_OUT, Places
    from pipeline.state.written import strangers
    from pipeline.trackers.folder import last_log
    from schemas.records import LeftOut
    from stages.io.store.records import read_record
    from stages.publish.manifest import MANIFEST

    places, plans = Places(config), Plans(config)
    work = places.work
    ledger, published = Ledger(work), places.output.list()
    generator, committed = fitting_generator(work, plans.train), 0
    if generator is not None:
        committed = len(ledger.done(places.shards, plans.protect(generator.content), published))
    left_out = LeftOut(quarantined=[], failures=[])
    if work.stat(LEFT_OUT) is not None:
        left_out = read_record(work, LEFT_OUT, LeftOut, "remove it; the next run writes it again")
    reasons: dict[str, int] = {}
    for sample in left_out.quarantined:
        reasons[sample.reason] = reasons.get(sample.reason, 0) + 1
    holder = holder_of(work)
    return Status(
        planned=len(places.shards),
        committed=committed,
        failed={failure.name: failure.message for failure in left_out.failures},
        quarantined=dict(sorted(reasons.items())),
        empty=left_out.empty,
        withdrawn=left_out.withdrawn,
        passed_by=left_out.passed_by,
        generator=generator.fingerprint if generator else None,
        manifest=places.output.stat(MANIFEST) is not None,
        differs=differences(work, config),
        strangers=strangers(places, ledger, published).problems(places.output),
        holder=f"{holder.run[:8]} on {holder.host} (process {holder.process})" if holder else None,
        log=last_log(work),
    )


def status_lines(found: Status) -> list[str]:
    """What `mtlue status` prints."""
    left = max(0, found.planned - found.committed - len(found.failed) - len(found.empty))
    empty = f"{len(found.empty)} empty, " if found.empty else ""
    lines = []
    if found.differs:
        lines.append(
            f"differs     the last run used {'; '.join(found.differs)}. Shards and generator below are those of the "
            "configuration here; give the last run's `--set` to see its own"
        )
    lines += [
        f"shards      {found.planned} planned, {found.committed} published, {len(found.failed)} failed, "
        f"{empty}{left} to do",
        f"generator   {found.generator or 'not trained yet'}",
        f"manifest    {'published' if found.manifest else 'not published yet'}",
        f"running     {found.holder or 'nobody'}",
    ]
    lines += [f"stranger    {problem}" for problem in found.strangers]
    lines += [f"failed      {message}" for message in found.failed.values()]
    lines += [
        f"withdrawn   {name}: no input any more, but public still; --prune removes it" for name in found.withdrawn
    ]
    lines += [f"left out    {count} samples: {reason}" for reason, count in found.quarantined.items()]
    lines += [f"not read    {sentence}" for sentence in found.passed_by]
    lines += [f"log         {found.log}"] if found.log else []
    return lines
