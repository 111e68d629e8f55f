"""Whole datasets from Python: what the commands `mtlue run`, `plan`, `audit` and `verify` do, as functions.

Each takes a configuration: the path of a YAML file, a mapping with the same keys, or a checked `Config`. It also takes
`overrides` such as `["train.rounds=4"]`. Errors are those of `schemas.errors`; nothing is printed but progress.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import TYPE_CHECKING, Any

from schemas.config import Config

if TYPE_CHECKING:
    from pipeline.run.estimate import RunEstimate
    from pipeline.run.result import RunResult
    from pipeline.run.verify import Verified
    from schemas.evidence import Evidence

Configuration = Config | Mapping[str, Any] | str | Path
"""A checked configuration, a mapping with its keys, or the path of a YAML file."""


def run(
    config: Configuration,
    overrides: Sequence[str] = (),
    *,
    retrain: bool = False,
    take_over: bool = False,
    prune: bool = False,
) -> RunResult:
    """Protect and publish a dataset, as `mtlue run` does: ingest, train, prove, protect, publish.

    Args:
        config: path of the YAML file, mapping, or checked configuration.
        overrides: `a.b=c`, one key each.
        retrain: train another perturber and protect every shard again.
        take_over: publish into an output that belongs to another `work`.
        prune: remove published shards that have no input any more.

    Raises:
        ConfigError: the configuration is wrong.
        EvidenceError: `audit.require` is not met; nothing new was published.
        MtlueError: as `mtlue run`. Shards that fail on their own are in the result's `failures`.
    """
    from pipeline.cluster.progress import Reporter
    from pipeline.run.run import run as run_config

    checked = _checked(config, overrides)
    return run_config(checked, Reporter("auto"), retrain=retrain, take_over=take_over, prune=prune)


def plan(config: Configuration, overrides: Sequence[str] = ()) -> RunEstimate:
    """What a run would do, its time and its bytes, from a measured sample; writes nothing.

    Raises:
        MtlueError: as `run` would raise it before it writes anything.
    """
    from pipeline.run.estimate import make_plan

    return make_plan(_checked(config, overrides))


def audit(config: Configuration, overrides: Sequence[str] = (), *, url: str | None = None) -> Evidence:
    """Train victims on what a published prefix really holds, as `mtlue audit` does.

    Args:
        config: path of the YAML file, mapping, or checked configuration, with an `audit` section.
        overrides: `a.b=c`, one key each.
        url: the prefix; None: the configuration's `output`.

    Raises:
        ConfigError: the configuration is wrong or has no `audit`.
        InputError: the prefix holds nothing that belongs to the configured shards.
    """
    from pipeline.cluster.progress import Reporter
    from pipeline.run.audit_published import audit_published

    evidence, _ = audit_published(_checked(config, overrides), Reporter("auto"), url)
    return evidence


def verify(url: str, config: Configuration | None = None, overrides: Sequence[str] = ()) -> Verified:
    """Check every shard of a published prefix against its manifest, as `mtlue verify` does.

    Args:
        url: the prefix.
        config: its configuration; every pixel is then compared with the input as well.
        overrides: `a.b=c`, one key each.
    """
    from pipeline.cluster.progress import Reporter
    from pipeline.run.verify import verify_url

    return verify_url(url, Reporter("auto"), None if config is None else _checked(config, overrides))


def _checked(config: Configuration, overrides: Sequence[str]) -> Config:
    from pipeline.configuration.loading import check_config, load_config

    if isinstance(config, Config):
        if not overrides:
            return config
        config = config.model_dump(mode="json", exclude_unset=True)
    if isinstance(config, str | Path):
        return load_config(Path(config), list(overrides))
    return check_config(deepcopy(dict(config)), list(overrides), "configuration")
