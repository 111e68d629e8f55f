"""Metrics to MLflow: one MLflow run for each run; figures and names of tasks leave, no image, label, file or log."""

from __future__ import annotations

import math
import os
import re
from importlib.util import find_spec
from typing import Any

from pipeline.run.events import Event
from schemas.errors import ConfigError

LIMITS = {"MLFLOW_HTTP_REQUEST_TIMEOUT": "10", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1"}
"""A run does not wait for a server that does not answer; set in the environment where nobody has set them."""


def check_mlflow() -> None:
    """Raise ConfigError when the package is not installed."""
    if find_spec("mlflow") is None:
        raise ConfigError("watch.mlflow: MLflow is not installed; pip install 'mtlue[mlflow]', or remove the key")


class MLflow:
    """Sends every curve to a tracking server or a local store.

    Args:
        uri: tracking URI; user name and password come from MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD.
        experiment: its name; made when there is none.
        run: name of the run.
        parameters: what the run was asked for.
    """

    def __init__(self, uri: str, experiment: str, run: str, parameters: dict[str, str]) -> None:
        for name, value in LIMITS.items():
            os.environ.setdefault(name, value)
        self.uri, self.experiment, self.name, self.parameters = uri, experiment, run, parameters
        self.client: Any = None
        self.run = ""

    def hear(self, event: Event) -> None:
        """Send the event's points; the first event opens the run, the last one closes it."""
        if event.kind == "began":
            self._open(event)
        for name, value in event.curves.items():
            if math.isfinite(value):
                milliseconds = round(event.time * 1000)
                self.client.log_metric(self.run, _allowed(name), value, timestamp=milliseconds, step=event.number)
        if event.kind == "ended":
            failed = event.figures.get("exit_code", 0)
            self.client.set_terminated(self.run, "FAILED" if failed else "FINISHED")

    def close(self) -> None:
        """Nothing is left open: the event that ends a run has done it."""

    def _open(self, event: Event) -> None:
        from mlflow.tracking import MlflowClient

        self.client = MlflowClient(tracking_uri=self.uri, registry_uri=self.uri)
        found = self.client.get_experiment_by_name(self.experiment)
        experiment = found.experiment_id if found is not None else self.client.create_experiment(self.experiment)
        started = round(event.time * 1000)
        self.run = self.client.create_run(experiment, start_time=started, run_name=self.name).info.run_id
        for name, value in self.parameters.items():
            self.client.log_param(self.run, name, value)


def _allowed(name: str) -> str:
    """A name as MLflow takes it: letters, digits and `_-. /`."""
    return re.sub(r"[^\w\-. /]", "_", name, flags=re.ASCII)
