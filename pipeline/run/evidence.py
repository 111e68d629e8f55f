"""Evidence in the private place: under which fingerprint it is stored, and what an earlier audit has stored."""

from __future__ import annotations

from pipeline.configuration.plans import audit_plan, victim_plans
from pipeline.state.generators import weights_sha256
from pipeline.state.places import Places
from schemas.config import Config
from schemas.evidence import VERSIONS, Evidence
from schemas.model import fingerprint
from schemas.training import Audit
from stages.io.store.records import read_record
from stages.io.store.store import Store

FOLDER = "evidence/"

RULES = "2"
"""Of the verdict, for the fingerprint of evidence. 2: victims that learn little from clean images judge nothing."""

BINARY_RULES = "3"
"""The same where a task is yes or no. 3: AUC decides such a task, not balanced accuracy."""


def evidence_state(config: Config, audit: Audit, places: Places, subject: str) -> str:
    """Fingerprint of all that decides the evidence about `subject`, whatever sample of the raw shards is looked at."""
    held_out = [[ref.name, ref.size, ref.etag] for ref in places.test_shards]
    victims = [plan.fingerprint for data in VERSIONS for plan in victim_plans(config, audit, data)]
    limits = [audit.max_samples, audit_plan(config, audit).fingerprint]
    rules = BINARY_RULES if any(task.yes_or_no for task in config.tasks) else RULES
    parts = [rules, subject, held_out, victims, limits, config.protected_tasks, audit.leaks]
    # Only where there are some: the evidence of audits without them stays found.
    more = [[*audit.tried]] if audit.tried else []
    weights = pretrained_sha256(audit)
    return fingerprint([*parts, *more, weights] if weights else [*parts, *more])


def pretrained_sha256(audit: Audit) -> str:
    """SHA-256 of the file of `audit.pretrained`; empty without one."""
    return weights_sha256(audit.pretrained.weights) if audit.pretrained is not None else ""


def find_evidence(work: Store, state: str) -> Evidence | None:
    """The evidence of an earlier audit under this fingerprint; None where it left something out, to go on with it."""
    name = f"{FOLDER}{state}.json"
    if work.stat(name) is None:
        return None
    evidence = read_record(work, name, Evidence, "remove it, and the generator is proven again")
    return None if evidence.left_out else evidence


def store_evidence(work: Store, evidence: Evidence) -> None:
    """Keep evidence under its fingerprint."""
    work.write(f"{FOLDER}{evidence.fingerprint}.json", evidence.model_dump_json().encode())
