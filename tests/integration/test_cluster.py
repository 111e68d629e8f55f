"""Clusters that the run joins: a node is lost, a disk is not shared, and Ray's own job submission starts the run."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.state.ledger import Ledger
from schemas.config import Config
from stages.io.store.store import Store
from tests.builders import config, jpeg, labelled_samples, picture, write_shard
from tests.running import PATIENCE_SECONDS, ROOT, contents, end, run, shards_in, start, wait_for, write_config
from tests.servers import free_port

pytestmark = pytest.mark.slow

SHARDS, PER_SHARD = 6, 24
STORE_BYTES = 100 * 2**20


def configuration(root: Path, place: str, **overrides: object) -> Config:
    """Class codes: their bytes do not depend on the number of a machine's cores, which a cluster of one has not."""
    train = {"perturber": "codes", "rounds": 1}
    dataset = {"shards": f"{root}/raw/*.tar"}
    return config(root / place, dataset=dataset, train=train, **overrides)


def node() -> dict[str, int]:
    """A node of one CPU, whose agent meets no other Ray's of this machine."""
    return {"num_cpus": 1, "object_store_memory": STORE_BYTES, "dashboard_agent_listen_port": free_port()}


@pytest.fixture(scope="module")
def cluster(ray_session: None) -> Iterator[object]:
    """Two nodes of one CPU on this machine, with Ray's dashboard, which takes jobs; drivers live on the first.

    `ray.init`, once called, turns token authentication on for this process and for all that it starts from then on
    (RAY_AUTH_MODE): not before some of the nodes and after others.
    """
    from ray.cluster_utils import Cluster

    head = {"include_dashboard": True, "dashboard_host": "127.0.0.1", "dashboard_port": free_port()}
    with pytest.MonkeyPatch.context() as environment, warnings.catch_warnings():
        environment.setenv("PYTHONPATH", str(ROOT))
        environment.setenv("RAY_memory_monitor_refresh_ms", "0")
        warnings.simplefilter("ignore")
        made = Cluster(initialize_head=True, head_node_args={**node(), **head})
        try:
            made.add_node(**node())
            yield made
        finally:
            made.shutdown()


def test_ray_job_submit_runs_all_of_it_on_the_cluster(cluster: object, tmp_path: Path) -> None:
    from ray.job_submission import JobStatus, JobSubmissionClient

    write_shard(tmp_path / "raw/train-0.tar", labelled_samples(12))
    made = configuration(tmp_path, "made")
    path = write_config(tmp_path / "pipeline.yaml", made)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        client = JobSubmissionClient(f"http://{cluster.webui_url}")
        command = f"{sys.executable} -c 'from pipeline.cli import main; main()' run {path} --address auto --json"
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                job = client.submit_job(entrypoint=command)
                break
            except RuntimeError as error:
                if "No available agent" not in str(error) or time.monotonic() > deadline:
                    raise  # else the agent is still starting
        while not (status := client.get_job_status(job)).is_terminal():
            assert time.monotonic() < deadline, client.get_job_logs(job)
            time.sleep(0.2)
        log = client.get_job_logs(job)
    assert status == JobStatus.SUCCEEDED, log
    assert '"shards": 1,' in log
    assert {"train-0.tar", "manifest.json"} <= contents(made.output).keys()


def test_a_run_on_three_nodes_that_loses_one_at_half_of_its_shards_ends_with_the_same_bytes(
    here: None, cluster: object, tmp_path: Path
) -> None:
    image = jpeg(picture(1, 320, 320))
    for shard in range(SHARDS):
        samples = [(key, [("jpg", image), members[1]]) for key, members in labelled_samples(PER_SHARD, seed=shard)]
        write_shard(tmp_path / f"raw/train-{shard}.tar", samples)
    unbroken = configuration(tmp_path, "unbroken")
    assert len(run(unbroken).records) == SHARDS

    while len(cluster.list_all_nodes()) < 3:
        cluster.add_node(**node())
    made = configuration(tmp_path, "made", compute={"address": cluster.address})
    ledger = Ledger(Store(made.work))
    process = start("run", write_config(tmp_path / "pipeline.yaml", made), "--json", directory=tmp_path)
    wait_for(lambda: len(ledger.identities()) >= SHARDS // 2, process)
    cluster.remove_node(cluster.list_all_nodes()[-1], allow_graceful=False)
    ended = end(process)
    assert ended.code == 0, ended.err
    assert f'"shards": {SHARDS},' in ended.out
    assert '"shards_failed": 0,' in ended.out
    assert shards_in(made.output) == shards_in(unbroken.output)
    names = ("manifest.json", "README.md")
    assert [contents(made.output)[name] for name in names] == [contents(unbroken.output)[name] for name in names]


def test_a_node_that_does_not_share_a_local_disk_is_named_before_anything_is_started(
    cluster: object, tmp_path: Path
) -> None:
    """A node in a mount namespace of its own, with an empty disk over `work`."""
    write_shard(tmp_path / "raw/train-0.tar", labelled_samples(12))
    made = configuration(tmp_path, "made", compute={"address": cluster.address})
    Path(made.work).mkdir(parents=True)
    script = f"mount -t tmpfs none {made.work} && exec {sys.executable} -m ray.scripts.scripts start --block"
    options = f"--address={cluster.address} --num-cpus=1 --object-store-memory={STORE_BYTES} --disable-usage-stats"
    options += f" --dashboard-agent-listen-port={free_port()}"
    unshare = shutil.which("unshare")
    if unshare is None or subprocess.run([unshare, "-m", "mount", "-t", "tmpfs", "none", "/mnt"]).returncode:
        pytest.skip("a mount namespace needs root")
    nodes = len(cluster.list_all_nodes())
    wait_for_nodes(cluster, nodes)  # one that was killed stays listed for a while
    elsewhere = subprocess.Popen([unshare, "-m", "sh", "-c", f"{script} {options}"], stdout=subprocess.DEVNULL)
    try:
        wait_for_nodes(cluster, nodes + 1)
        ended = end(start("run", write_config(tmp_path / "pipeline.yaml", made), directory=tmp_path))
    finally:
        elsewhere.send_signal(signal.SIGTERM)
        elsewhere.wait(PATIENCE_SECONDS)
    assert ended.code == 2, ended.err
    for word in ("work", made.work, "does not share", "s3://"):
        assert word in ended.err
    assert not Path(made.output).exists() or not contents(made.output)
    assert not Store(made.work).list("tables/"), "it started reading all the same"


def wait_for_nodes(cluster: object, count: int) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while (alive := len([node for node in cluster.global_state.node_table() if node["Alive"]])) != count:
        assert time.monotonic() < deadline, f"{alive} nodes instead of {count}"
        time.sleep(0.2)
