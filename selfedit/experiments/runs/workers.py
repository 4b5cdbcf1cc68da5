"""Who did what in a run on many workers."""

from __future__ import annotations

from selfedit.experiments.runs.records import RunRecords
from selfedit.report import Table
from selfedit.search.executor import Work


def works(records: RunRecords) -> list[Work]:
    """All chunks that workers did, in the order in which they ended; none of a run in one process."""
    return [work for key in records.keys("work") if (work := records.get("work", key, Work)) is not None]


def workers_table(records: RunRecords) -> Table | None:
    """Chunks, adapters and time of each worker; None where there were none."""
    done: dict[tuple[str, str], list[Work]] = {}
    for work in works(records):
        done.setdefault((work.host, work.worker), []).append(work)
    if not done:
        return None
    rows = []
    for (host, worker), own in sorted(done.items()):
        adapters, seconds = sum(work.adapters for work in own), sum(work.seconds for work in own)
        rate = f"{3600 * adapters / seconds:.0f}" if seconds else "-"
        failed, again = sum(work.failed for work in own), sum(work.attempts > 1 for work in own)
        rows.append((host, worker, *map(str, (len(own), adapters, failed, again)), f"{seconds:.0f}", rate))
    columns = ("host", "worker", "chunks", "adapters", "failed", "begun again", "seconds", "adapters an hour")
    return Table("Who did what", columns, tuple(rows))
