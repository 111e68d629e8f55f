"""Events as JSON lines: `events.jsonl` of the run's folder, one object a line."""

from __future__ import annotations

from pathlib import Path

from pipeline.run.events import Event


class JsonLines:
    """Appends each event to a file, at once: `tail -f` follows a run."""

    def __init__(self, path: Path) -> None:
        self.file = path.open("a", encoding="utf-8")

    def hear(self, event: Event) -> None:
        """Write one line; empty fields are left out."""
        self.file.write(event.model_dump_json(exclude_defaults=True) + "\n")
        self.file.flush()

    def close(self) -> None:
        """Close the file."""
        self.file.close()
