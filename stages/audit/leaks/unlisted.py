"""What remains of tasks that were not listed? A victim's figure in each task that was left open on purpose.

No pair is looked at: the audit's victims have learned these tasks beside the others. Where every task was to be
protected there is nothing to measure, and labels that nobody declared are outside of any audit.
"""

from __future__ import annotations

from collections.abc import Sequence

from schemas.evidence import Leak, TaskEvidence


def unlisted(tasks: Sequence[TaskEvidence], samples: int) -> list[Leak]:
    """The strongest victim on protected images in each open task, beside the strongest one on clean images.

    Args:
        tasks: of an audit.
        samples: test images.
    """
    return [
        Leak(
            name="unlisted",
            task=task.name,
            metric=task.judged_by,
            reached=task.judged("protected").best,
            clean=task.judged("clean").best,
            chance=task.chance[task.metric],
            noise=task.judged("noise").best if "noise" in task.judged_scores else None,
            error=task.judged("protected").best_error,
            samples=samples,
        )
        for task in tasks
        if not task.wanted and {"clean", "protected"} <= task.judged_scores.keys()
    ]
