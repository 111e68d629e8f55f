"""The certificate: a short record that binds the evidence to what was published."""

from __future__ import annotations

from schemas.evidence import Word
from schemas.records import Record


class Certificate(Record):
    """`certificate.json` of the private place; for whoever must show what was published, and how it was tested."""

    format: str = "mtlue-certificate-1"
    dataset: str
    issued: str
    """When it was written: UTC, ISO 8601."""
    mtlue: str
    """Version that wrote it."""
    statement: str
    """What was done and what the test showed, in sentences for people who know no statistics."""
    verdict: Word
    samples: int
    shards: int
    bound: int
    """Largest change of a colour value, in levels of 255."""
    manifest_sha256: str
    """Of the bytes of `manifest.json` in the public place, which lists the checksum of every shard."""
    evidence_sha256: str
    """Of the bytes of `evidence.json` beside the certificate."""
