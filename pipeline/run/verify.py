"""Verify a published prefix: every shard against the manifest, and against its input if known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial, reduce
from pathlib import Path

from pipeline.cluster.executor import Executor
from pipeline.cluster.jobs import Job
from pipeline.cluster.progress import Reporter
from pipeline.cluster.workers import Workers
from pipeline.configuration.plans import protect_plan
from pipeline.run.certify import certificate_problems
from pipeline.state.places import Places
from schemas.config import Compute, Config
from schemas.dataset import Storage
from schemas.errors import ConfigError
from schemas.records import ManifestShard, ShardRef
from schemas.stats import Moments
from stages.io.shards.sample import key_hash
from stages.io.store.store import Store
from stages.protect.validate import Measured
from stages.publish.certificate import CERTIFICATE
from stages.publish.manifest import read_manifest
from stages.publish.public_files import UPDATING, possible_data
from stages.verify import verify_shard


@dataclass
class Verified:
    """What `verify` found."""

    shards: int = 0
    samples: int = 0
    max_delta: int | None = None
    """Largest |Δ| in levels of 255; None when the input is not known."""
    psnr_mean: float | None = None
    certified: bool | None = None
    """Whether the certificate belongs to what is published; None when none was checked."""
    problems: list[str] = field(default_factory=list)


def verify_url(
    url: str,
    reporter: Reporter,
    config: Config | None = None,
    *,
    fraction: float = 1.0,
    endpoint_url: str | None = None,
    certificate: Path | None = None,
    signer: Path | None = None,
) -> Verified:
    """Check the published prefix at a URL, with its configuration against the input as well.

    Args:
        url: the prefix.
        reporter: where progress goes.
        config: names the input; None: shards are compared with the manifest alone.
        fraction: share of the shards to read.
        endpoint_url: of an S3-compatible store; None: the configuration's.
        certificate: file that must belong to the prefix, its evidence beside it; None: that of the configuration's
            `work`, where there is one and the prefix is its `output`.
        signer: public key that must have signed it.

    Raises:
        InputError: there is no manifest, or no certificate where one is asked for.
    """
    places = None if config is None else Places(config)
    storage = Storage(endpoint_url=endpoint_url or (config.dataset.storage.endpoint_url if config else None))
    output = Store(url, storage)
    work = places.work if places is not None and places.output.url == output.url else None
    problems = _certificate_problems(output, work, certificate, signer)
    if config is None or places is None:
        verified = verify_prefix(output, reporter, Compute(), fraction=fraction)
    else:
        verified = _against_input(output, reporter, config, places, fraction)
    verified.certified = None if problems is None else not problems
    verified.problems += problems or []
    return verified


def _certificate_problems(
    output: Store, work: Store | None, certificate: Path | None, signer: Path | None
) -> list[str] | None:
    """What is wrong with the certificate that is to be checked; None where no certificate is given."""
    if certificate is not None:
        return certificate_problems(output, Store(str(certificate.parent)), certificate.name, signer)
    if work is not None and (signer is not None or work.stat(CERTIFICATE) is not None):
        return certificate_problems(output, work, CERTIFICATE, signer)
    if signer is not None:
        raise ConfigError("--signer: which certificate? Give --certificate FILE, or --config with its `work`")
    return None


def _against_input(output: Store, reporter: Reporter, config: Config, places: Places, fraction: float) -> Verified:
    return verify_prefix(
        output,
        reporter,
        config.compute,
        fraction=fraction,
        config=config,
        source=places.source,
        shards=places.shards,
    )


def verify_prefix(
    output: Store,
    reporter: Reporter,
    compute: Compute,
    *,
    fraction: float = 1.0,
    config: Config | None = None,
    source: Store | None = None,
    shards: Sequence[ShardRef] = (),
) -> Verified:
    """Check a published prefix.

    Args:
        output: the prefix.
        fraction: share of the shards to read, chosen by the hash of their names; 1 reads all.
        config: with `source` and `shards`, the input that every pixel is compared with.

    Every problem is listed; nothing stops at the first.
    """
    manifest = read_manifest(output)
    result = Verified()
    found = output.list()
    there = {entry.name for entry in found}
    listed = {shard.name for shard in manifest.shards}
    if UPDATING in there:
        result.problems.append(
            f"{UPDATING}: shards are being replaced, or that was broken off; some may not be those of the manifest: "
            "wait until it is gone, or let `mtlue run` end it"
        )
    result.problems += [f"shard {name}: in the manifest, but not there" for name in sorted(listed - there)]
    result.problems += [
        f"{name}: a shard that the manifest does not list; nobody checked it, or it was withdrawn: remove it"
        if name.endswith((".tar", ".parquet"))
        else f"{name}: mtlue did not write it, and it may be data that nobody protected: remove it"
        for name in possible_data(output, found, listed)
    ]
    inputs = {ref.output_name: ref for ref in shards}
    if config is not None:
        result.problems += [f"shard {name}: no such input shard" for name in sorted(listed - inputs.keys())]
    present = sorted((s for s in manifest.shards if s.name in there), key=lambda shard: key_hash(shard.name))
    chosen = present[: max(1, round(fraction * len(present)))]
    plan = protect_plan(config) if config is not None else None
    moments: list[Moments] = []

    def job(shard: ManifestShard) -> Job[tuple[int, Measured | None]]:
        return Job(shard.name, partial(verify_shard, output, shard, source, inputs.get(shard.name), plan))

    def done(name: str, found: tuple[int, Measured | None]) -> None:
        samples, measured = found
        result.shards += 1
        result.samples += samples
        if measured is not None:
            result.max_delta = max(result.max_delta or 0, measured.max_delta)
            moments.append(measured.psnr)

    with Executor(compute) as executor:
        Workers(executor, reporter).each(
            "verify",
            map(job, chosen),
            done,
            lambda name, error: result.problems.append(str(error)),
            count=len(chosen),
        )
    result.psnr_mean = reduce(Moments.merge, moments).mean if moments else None
    return result
