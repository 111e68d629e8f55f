"""Airflow (tried with 3.3): a nightly run of mtlue. Copy it into the folder of DAGs, and set COMMAND.

The exit code decides: 0 succeeds, 4 (another run does the work) is skipped, 1 to 3 wait for a person. A run that was
interrupted or killed is tried again and goes on where it was.
"""

from __future__ import annotations

import subprocess
from datetime import datetime, timedelta

from airflow.sdk import dag, task
from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowSkipException

COMMAND = ["/opt/mtlue/.venv/bin/mtlue", "run", "/etc/mtlue/pipeline.yaml"]

MEANINGS = {
    1: "a check failed, or a shard could not be processed; the log names it",
    2: "the configuration is wrong, or an input is refused",
    3: "too many samples or shards were left out",
}
"""Exit codes that no second attempt changes."""


@dag(schedule="0 2 * * *", start_date=datetime(2026, 1, 1), catchup=False, max_active_runs=1)
def mtlue_nightly():
    """Protect and publish what is new."""

    @task(retries=3, retry_delay=timedelta(minutes=5))
    def run():
        code = subprocess.run(COMMAND, check=False).returncode
        if code == 4:
            raise AirflowSkipException("another run holds the lease of this `work` and does the work")
        if code in MEANINGS:
            raise AirflowFailException(f"exit code {code}: {MEANINGS[code]}")
        if code:
            raise AirflowException(f"exit code {code}: interrupted; the next attempt goes on from there")

    run()


mtlue_nightly()
