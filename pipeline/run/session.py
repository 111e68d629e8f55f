"""A session: all that every step of a run needs, opened once and under the lease."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from pipeline.cluster.executor import Executor
from pipeline.cluster.progress import Reporter
from pipeline.cluster.shared_disks import check_shared
from pipeline.cluster.workers import Workers
from pipeline.configuration.plans import Plans
from pipeline.state.lease import Lease
from pipeline.state.ledger import Ledger
from pipeline.state.owner import claim
from pipeline.state.places import Places
from pipeline.trackers.trackers import tracked
from schemas.config import Config
from schemas.errors import MtlueError
from schemas.records import Quarantined, ShardFailure, failure_of
from stages.io.store.store import Store


@dataclass(frozen=True)
class Session(Workers):
    """What every step of a run is given; `each` runs its jobs."""

    config: Config
    plans: Plans
    places: Places
    """Guarded: changed only while the lease is ours."""
    lease: Lease
    ledger: Ledger

    @property
    def work(self) -> Store:
        """The private place."""
        return self.places.work

    def check(self) -> None:
        """Raise LeaseError when another run has taken the lease."""
        self.lease.check()

    def leave_out(self, failures: list[ShardFailure], step: str, name: str, error: MtlueError) -> None:
        """Add a shard that could not be processed to `failures`, and say it."""
        failures.append(failure_of(name, step, error))
        self.reporter.events.tell("failed", step, name=name, number=len(failures), text=error.problem)
        self.reporter.show(f"{step}: {failures[-1].message}")

    def tell_quarantined(self, step: str, name: str, samples: Sequence[Quarantined]) -> None:
        """Let listeners know how many samples of a shard are left out, and why the first one is."""
        if samples:
            figures = {"samples": len(samples)}
            self.reporter.events.tell("quarantined", step, name=name, text=samples[0].problem, figures=figures)

    def claimed(self, *, take_over: bool) -> Session:
        """The session of a run that may write into `output`: it is this work's own from now on.

        Raises:
            ConfigError: another `work` publishes there.
        """
        return replace(self, places=claim(self.places, self.lease.token, take_over=take_over))


@contextmanager
def open_session(config: Config, reporter: Reporter, places: Places) -> Iterator[Session]:
    """Take the lease of `work`, let the trackers listen, and make sure that every node sees the places.

    Raises:
        LeaseError: another run holds the lease.
        ConfigError: a node does not see a place.
    """
    with Lease(places.work) as lease, Executor(config.compute) as executor:
        guarded = places.guarded(lease.token)
        with tracked(reporter, config, guarded.work):
            if config.compute.dashboard:
                executor.start()
                reporter.show(f"dashboard: {executor.dashboard}")  # for no log: it asks for a token, which it names
            check_shared(executor, guarded)
            ledger = Ledger(guarded.work)
            yield Session(executor, reporter, config, Plans(config), guarded, lease, ledger)
