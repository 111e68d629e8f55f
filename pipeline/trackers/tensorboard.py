"""Curves for TensorBoard: losses of the training, figures of the victims. `tensorboard --logdir …/runs` shows all runs.

Only the file's writer is used: TensorBoard itself need not be installed.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from pipeline.run.events import Event


class TensorBoard:
    """Writes an event file below a folder; nothing is imported or written before the first figure."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.writer: Any = None

    def hear(self, event: Event) -> None:
        """Add the event's points."""
        points = {name: value for name, value in event.curves.items() if math.isfinite(value)}
        if not points:
            return
        # Its own SummaryWriter has a thread and a queue of another process; here a run waits for a few bytes instead.
        from tensorboardX.event_file_writer import EventsWriter
        from tensorboardX.proto.event_pb2 import Event as Point

        if self.writer is None:
            self.writer = EventsWriter(str(self.folder / "events"))
        point = Point(wall_time=event.time, step=event.number)
        for name, value in points.items():
            point.summary.value.add(tag=name, simple_value=value)
        self.writer.write_event(point)
        self.writer.flush()

    def close(self) -> None:
        """Close the file."""
        if self.writer is not None:
            self.writer.close()
