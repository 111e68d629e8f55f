"""Dagster (tried with 1.13): the protected dataset as an asset, made anew every night.

Add it to your code location, and set COMMAND.

The exit code decides: 0 materialises the asset, 4 (another run does the work) leaves it as it is, 1 to 3 wait for a
person, and a run that was interrupted or killed is tried again and goes on where it was.
"""

import json
import subprocess

import dagster as dg

COMMAND = ["/opt/mtlue/.venv/bin/mtlue", "run", "/etc/mtlue/pipeline.yaml", "--json"]

MEANINGS = {
    1: "a check failed, or a shard could not be processed; the log names it",
    2: "the configuration is wrong, or an input is refused",
    3: "too many samples or shards were left out",
}
"""Exit codes that no second attempt changes."""


@dg.asset(retry_policy=dg.RetryPolicy(max_retries=3, delay=300), output_required=False)
def protected_dataset():
    """Shards that are protected, checked and published."""
    done = subprocess.run(COMMAND, check=False, stdout=subprocess.PIPE, text=True)
    if done.returncode == 4:
        return
    if done.returncode:
        reason = MEANINGS.get(done.returncode, "interrupted; the next attempt goes on from there")
        raise dg.Failure(f"exit code {done.returncode}: {reason}", allow_retries=done.returncode not in MEANINGS)
    figures = json.loads(done.stdout)
    wanted = ("shards", "samples", "bytes", "quarantined", "max_delta", "psnr_mean_db", "report")
    yield dg.MaterializeResult(metadata={name: figures[name] for name in wanted})


defs = dg.Definitions(
    assets=[protected_dataset],
    schedules=[dg.ScheduleDefinition("mtlue_nightly", target=[protected_dataset], cron_schedule="0 2 * * *")],
)
