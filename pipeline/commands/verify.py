"""`mtlue verify`: what it prints."""

from __future__ import annotations

from pipeline.driver.verify import Verified


def verify_lines(verified: Verified) -> list[str]:
    """What `mtlue verify` prints."""
    lines = [f"problem     {problem}" for problem in verified.problems]
    lines.append(f"verified    {verified.shards} shards, {verified.samples} samples")
    if verified.max_delta is not None:
        lines.append(f"max |Δ|     {verified.max_delta} of 255, compared with the input")
    if verified.psnr_mean is not None:
        lines.append(f"PSNR        {verified.psnr_mean:.1f} dB on average")
    lines.append(f"result      {len(verified.problems)} problems" if verified.problems else "result      clean")
    return lines
