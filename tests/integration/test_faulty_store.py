"""A store on a bad day: of its requests 10 % fail in some way, and what is published is that of a good day."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.state.ledger import Ledger
from schemas.config import Config
from stages.io.shards.tar import read_tar
from stages.io.store import failures
from stages.io.store.store import Store
from stages.publish.manifest import read_manifest
from tests.builders import config, labelled_samples, write_shard
from tests.running import run, shards_in
from tests.servers import FaultyProxy, S3Server

pytestmark = pytest.mark.slow

SHARDS, PER_SHARD = 8, 12


def keys_in(store: Store, name: str, directory: Path) -> list[str]:
    path = directory / "shard.tar"
    store.get(name, path)
    return [found.key for found in read_tar(path, name)]


def test_a_run_on_a_store_that_fails_at_every_tenth_request_loses_and_doubles_nothing(
    s3: S3Server, here: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(failures, "LONGEST_DELAY_SECONDS", 0.2)  # how long a pause is, other tests say
    raw = Store(f"{s3.bucket()}/raw", s3.storage)
    for shard in range(SHARDS):
        samples = [(f"{shard}-{key}", members) for key, members in labelled_samples(PER_SHARD, seed=shard)]
        raw.put(write_shard(tmp_path / "shard.tar", samples), f"train-{shard}.tar")

    def configuration(endpoint_url: str) -> Config:
        place = s3.bucket()
        dataset = {"shards": f"{raw.url}/*.tar", "storage": {"endpoint_url": endpoint_url}}
        return config(tmp_path, dataset=dataset, output=f"{place}/public", work=f"{place}/private")

    good = configuration(s3.endpoint_url)
    run(good)
    proxy = FaultyProxy(s3.endpoint_url, share=0.1, seed=0)
    try:
        made = configuration(proxy.endpoint_url)
        result = run(made)
        again = run(made)
    finally:
        proxy.close()
    assert result.failures == result.quarantined == []
    assert again.done_before == SHARDS
    output = Store(made.output, s3.storage)
    manifest = read_manifest(output)
    assert manifest == read_manifest(Store(good.output, s3.storage))
    assert shards_in(made.output, s3.storage) == shards_in(good.output, s3.storage)
    assert len(Ledger(Store(made.work, s3.storage)).identities()) == SHARDS
    keys = [key for shard in manifest.shards for key in keys_in(output, shard.name, tmp_path)]
    assert len(keys) == len(set(keys)) == SHARDS * PER_SHARD
    assert proxy.kinds.total() >= 10, "hardly anything went wrong"
    assert len(proxy.kinds) >= 4, f"only {proxy.kinds}"
