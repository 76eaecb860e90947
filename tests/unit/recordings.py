"""A recording without a sampler, for tests of what spans write: a run file, and this process's writer to it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from greengen.recording import active, reader, runfile
from greengen.recording.writer import Writer
from greengen.rows import SpanRow


@dataclass
class Recording:
    """An active recording; `spans()` flushes and reads the file back."""

    writer: Writer

    @property
    def path(self) -> Path:
        return self.writer.path

    def spans(self) -> list[SpanRow]:
        """All spans on disk, in order of their start."""
        assert self.writer.flush()
        return [span for line in reader.read(self.path, self.writer.disconnected()).timelines for span in line.spans]

    def span(self) -> SpanRow:
        """The only span."""
        [span] = self.spans()
        return span

    def by_name(self) -> dict[str | None, SpanRow]:
        """Spans by their name, which is used once."""
        spans = self.spans()
        named = {span.name: span for span in spans}
        assert len(named) == len(spans)
        return named

    def parents(self) -> dict[str | None, str | None]:
        """Name of each span → name of its parent, or None."""
        names = {span.uid: span.name for span in self.spans()}
        return {span.name: names[span.parent] if span.parent else None for span in self.spans()}


@contextmanager
def recording(path: Path) -> Iterator[Recording]:
    """Record spans into a new run file."""
    runfile.claim(path, force=False, append=False)
    writer = Writer(path, "spans")
    active.activate(writer)
    try:
        yield Recording(writer)
    finally:
        active.deactivate()
        writer.close()
