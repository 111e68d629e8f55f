"""Plans: what decides the result of a stage, frozen. A stage's plan is its argument and its fingerprint."""

from __future__ import annotations

from schemas.config import Dataset, Model
from schemas.tasks import Task


class IngestPlan(Model):
    """What ingest does to each shard; a change of any field is another table."""

    dataset: Dataset
    tasks: list[Task]
    resolution: int
    """Side of the images in the table, in pixels."""
    samples_per_shard: int
    """Images in the table at most; chosen by key hash."""
    noise: float | None = None
    """ε of uniform integer noise that is added at the image's own resolution (the audit's control); None: none."""
    seed: int = 0
    """Seed of that noise."""
