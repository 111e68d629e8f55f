"""Figures for Prometheus, through Ray's own metrics: each node exports them beside Ray's, as `ray_mtlue_…`."""

from __future__ import annotations

import math
from typing import Any

from pipeline.run.events import Event


class Prometheus:
    """Sets gauges while Ray runs; Ray exports them where its dashboard is installed (`mtlue[dashboard]`)."""

    def __init__(self) -> None:
        self.gauges: dict[str, Any] = {}

    def hear(self, event: Event) -> None:
        """Units done and planned of a step, shards published and failed, every curve's last point."""
        import ray

        if not ray.is_initialized():
            return
        if event.kind == "advanced":
            self._set("mtlue_step_done", "Units of a step that are done.", event.number, step=event.step)
            self._set("mtlue_step_total", "Units of a step.", event.figures["total"], step=event.step)
        if event.kind == "published":
            self._set("mtlue_shards_published", "Shards that this run has published.", event.number)
        if event.kind == "failed":
            self._set("mtlue_shards_failed", "Shards that this run could not process.", event.number)
        for name, value in event.curves.items():
            if math.isfinite(value):
                self._set("mtlue_figure", "Last point of a curve.", value, curve=name)

    def close(self) -> None:
        """Ray's metrics end with Ray."""

    def _set(self, name: str, description: str, value: float, **tags: str) -> None:
        from ray.util.metrics import Gauge

        if name not in self.gauges:
            self.gauges[name] = Gauge(name, description=description, tag_keys=tuple(tags))
        self.gauges[name].set(value, tags=tags)
