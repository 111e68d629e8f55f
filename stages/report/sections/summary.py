"""Summary: what was published, and whether the bound holds."""

from __future__ import annotations

from typing import Any

from stages.formatting import number
from stages.report.report_input import ReportInput, merged


def facts(material: ReportInput) -> dict[str, Any]:
    """Counts, bytes, bound and distances."""
    records, bound = material.records, material.plan.published.bound
    psnr, delta = merged([record.psnr for record in records]), merged([record.delta for record in records])
    largest = max((record.max_delta for record in records), default=0)
    return {
        "encoding": material.plan.published.encoding,
        "summary": {
            "shards": len(records),
            "planned": len(material.profiles) + sum(failure.stage == "ingest" for failure in material.failures),
            "samples": sum(record.samples for record in records),
            "bytes_in": sum(profile.bytes for profile in material.profiles),
            "bytes_out": sum(record.bytes for record in records),
            "quarantined": len(material.quarantined),
            "failed": len(material.failures),
            "max_delta": largest,
            "bound": bound,
            "holds": largest <= bound,
            "psnr_mean": number(psnr.mean) if psnr.count else "–",
            "psnr_minimum": number(psnr.minimum) if psnr.count else "–",
            "delta_mean": number(delta.mean, 2) if delta.count else "–",
        },
    }
