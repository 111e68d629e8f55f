"""The files of deploy/: what a parser and Ray's own schema can tell without a cluster."""

from __future__ import annotations

import configparser
import json
from pathlib import Path
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
