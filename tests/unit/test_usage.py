"""CPU time divided between the profiled processes, the recorder and foreign ones."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from greengen.accounting.usage import Use, activity, cpu_use
from greengen.rows import Series

SECOND = 1_000_000_000
TENTH = SECOND // 10
Usage = dict[tuple[str, str], Series]


def usage(times_s: Sequence[float], **busy_s: Sequence[float]) -> Usage:
    t_ns = [round(t * SECOND) for t in times_s]
    return {("cpu", who): Series(list(t_ns), [b * SECOND for b in busy]) for who, busy in busy_s.items()}


def one(read: Usage, *, recorder_is_profiled: bool = False) -> Use:
    use = cpu_use(read, [(0, 1000 * SECOND)], [recorder_is_profiled])
    assert use is not None
    return use


def shares(use: Use, *edges_s: float) -> list[float]:
    return [float(share) for share in use.between(np.array([round(e * SECOND) for e in edges_s])).ours]


def test_what_is_not_ours_is_foreign() -> None:
    read = usage((0, 1, 2), machine=(100, 102, 103), profiled=(0, 1, 1), recorder=(0, 0, 0))
    assert shares(one(read), 0, 1, 2) == [0.5, 0.0]


def test_the_recorder_is_ours_and_told_apart() -> None:
    read = usage((0, 1), machine=(0, 1.0), profiled=(0, 0.5), recorder=(0, 0.1), capacity=(0, 4.0))
    cells = one(read).between(np.array([0, SECOND]))
    assert cells.foreign / SECOND == pytest.approx([0.4])
    assert cells.recorder_part == pytest.approx([0.025])
    # As a thread of a profiled process its time is already in that process's.
    cells = one(read, recorder_is_profiled=True).between(np.array([0, SECOND]))
    assert cells.profiled / SECOND == pytest.approx([0.4])
    assert cells.foreign / SECOND == pytest.approx([0.5])


def test_where_nobody_was_busy_nothing_was_foreign() -> None:
    assert shares(one(usage((0, 1, 2), machine=(5, 5, 5), profiled=(1, 1, 1))), 0, 1, 2) == [1.0, 1.0]


def test_the_machines_ticks_do_not_make_foreign_work() -> None:
    """A single process, whose own clock has ns, on a machine whose clock steps by 10 ms and lags."""
    times = [i / 10 for i in range(51)]
    own = [t * 0.937 for t in times]
    machine = [int(b * 100) / 100 for b in own]
    use = one(usage(times, machine=machine, profiled=own))
    # Clamped at every reading, the ticks would have made up 0.25 s of foreign work.
    assert float(use.foreign[-1]) / SECOND < 0.03


def test_foreign_time_is_told_by_the_seconds_of_the_clock() -> None:
    """So that a part of a recording is divided as the whole is."""
    times = [i / 10 for i in range(3, 60)]
    busy = [t * 1.5 + 0.05 * (i % 3) for i, t in enumerate(times)]
    read = usage(times, machine=busy, profiled=[0.5 * t for t in times])
    part = {key: Series(s.t_ns[13:45], s.values[13:45]) for key, s in read.items()}
    whole, cut = one(read), one(part)
    assert (whole.foreign_t_ns / SECOND).tolist() == [0.3, 1.0, 2.0, 3.0, 4.0, 5.9]
    assert (cut.foreign_t_ns / SECOND).tolist() == [1.6, 2.0, 3.0, 4.7]
    assert shares(whole, 2.0, 2.5, 3.0) == shares(cut, 2.0, 2.5, 3.0)


def test_a_clock_that_seems_to_run_back_is_held() -> None:
    use = one(usage((0, 1, 2), machine=(0, 1, 2), profiled=(0, 0.5, 0.4999)))
    assert (use.profiled / SECOND).tolist() == [0.0, 0.5, 0.5]


def test_each_segment_counts_from_its_own_0() -> None:
    """A new recorder starts again, and the machine goes on; between them nobody is charged."""
    read = usage((0, 1, 10, 11), machine=(50, 51, 90, 92), profiled=(7, 7.5, 0, 1), recorder=(3, 3, 0, 0))
    use = cpu_use(read, [(0, 2 * SECOND), (9 * SECOND, 12 * SECOND)], [False, False])
    assert use is not None
    assert shares(use, 0, 1) == [0.5]
    assert shares(use, 10, 11) == [0.5]
    between = use.between(np.array([1, 10]) * SECOND)
    assert float(between.profiled[0]) == float(between.foreign[0]) == 0.0


def test_each_segment_knows_whether_its_recorder_is_one_of_the_profiled() -> None:
    read = usage((0, 1, 10, 11), machine=(0, 1, 1, 2), profiled=(0, 0.5, 0, 0.5), recorder=(0, 0.25, 0, 0.25))
    use = cpu_use(read, [(0, 2 * SECOND), (9 * SECOND, 12 * SECOND)], [True, False])
    assert use is not None
    assert use.between(np.array([0, 1, 10, 11]) * SECOND).profiled[[0, 2]] / SECOND == pytest.approx([0.25, 0.5])


def test_what_was_not_read_is_none() -> None:
    read = usage((0, 1), machine=(0, 1), profiled=(0, 1))
    for gone in ("machine", "profiled"):
        assert cpu_use({k: v for k, v in read.items() if k[1] != gone}, [(0, SECOND)], [False]) is None
    assert cpu_use(usage((0,), machine=(0,), profiled=(0,)), [(0, SECOND)], [False]) is None
    assert cpu_use({}, [], []) is None


def test_activity_is_a_rise_of_a_devices_busy_time() -> None:
    edges = np.array([0, 1, 2, 3]) * SECOND
    busy = Series([0, SECOND, 2 * SECOND, 3 * SECOND], [0.0, 0.0, 5.0, 5.0])
    told = activity(busy, edges)
    assert told is not None
    assert told.tolist() == [False, True, False]
    # Where nobody can tell, it is not told.
    assert activity(None, edges) is None
    assert activity(Series([0], [0.0]), edges) is None
