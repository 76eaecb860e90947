"""Runs put together and cut: a union that counts nothing twice, and parts that add up to the whole."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greengen.accounting.books import Books
from greengen.accounting.ledger import build
from greengen.collector import Domain, Event, Unavailable
from greengen.errors import KindMismatchError, UsageError
from greengen.merging import cut, merge
from greengen.rows import Engine, EngineStep, ProcessRow, Rows, Segment, Series, SpanRow, Stint, Timeline
from tests.properties import told
from tests.properties.strategies import DOMAINS, Case, cases

SECOND = 1_000_000_000
PACKAGE = DOMAINS[0]


def run(start: int, end: int, *, boot: str = "boot", meta: dict[str, object] | None = None) -> Rows:
    """A recording of one package at 10 W, read every second from `start` to `end` (s)."""
    t_ns = [t * SECOND for t in range(start, end + 1)]
    uid = f"{boot}:{start}:1"
    timeline = Timeline(
        boot,
        "host",
        domains=[PACKAGE],
        samples={PACKAGE.uid: Series(t_ns, [10.0 * t for t in range(start, end + 1)], [0, *[SECOND] * (end - start)])},
        spans=[SpanRow(f"{uid}/1", uid, None, "request", t_ns[0], t_ns[-1])],
        processes=[ProcessRow(uid, start, "recorder", t_ns[-1], closed=True, lost_rows=0, command="x")],
        segments=[Segment(f"{uid}/s", uid, t_ns[0], t_ns[-1], start, {"interval_s": 1.0})],
    )
    return Rows(meta=dict(meta or {}), timelines=[timeline])


def served(steps: list[EngineStep]) -> tuple[Rows, str]:
    """A run of ten seconds, and the uid of its request, which an engine serves in some steps."""
    rows = run(0, 10)
    rows.timelines[0].engines, rows.timelines[0].steps = [Engine("e", "boot:0:1")], steps
    return rows, rows.timelines[0].spans[0].uid


class TestUnion:
    @given(cases(most_boots=2), cases(most_boots=1), st.data())
    def test_it_is_idempotent_commutative_and_associative(self, one: Case, other: Case, data: st.DataObject) -> None:
        elsewhere = [replace(t, boot_id=f"other-{t.boot_id}") for t in other.rows.timelines]
        first, last = one.rows, Rows(meta={"greengen": "1", "made": 5}, timelines=elsewhere)
        part = cut(first, 0, data.draw(st.integers(1, 10**15 + 10**10)))
        runs = [first, last, part]
        merged = merge(runs)
        assert merge([merged, *runs, merged]) == merged
        for order in ([2, 1, 0], [1, 0, 2], [1, 2, 0]):
            assert merge([runs[i] for i in order]) == merged
        assert merge([merge([first, last]), part]) == merge([first, merge([last, part])]) == merged

    def test_segments_one_after_the_other_are_both_told(self) -> None:
        """Between them nothing was recorded, and nothing is claimed."""
        merged = merge([run(20, 25), run(0, 10)])
        assert [segment.t0_ns for segment in merged.timelines[0].segments] == [0, 20 * SECOND]
        assert build(merged).total().value == 150.0

    def test_a_gap_that_another_recorder_read_is_none(self) -> None:
        ours = run(0, 10)
        [timeline] = ours.timelines
        series = timeline.samples[PACKAGE.uid]
        for column in (series.t_ns, series.values, series.spacing_ns):
            del column[3:7]
        series.spacing_ns[3] = 5 * SECOND
        gaps = [Event(t * SECOND + 1, "gap", PACKAGE.uid, "not read") for t in (3, 6)]
        timeline.events = list(gaps)
        assert build(ours).events() == gaps
        assert build(merge([ours, run(2, 8)])).events() == []
        # In a gap of both it is one, whoever had it first.
        assert build(merge([ours, run(2, 5)])).events() == gaps[1:]

    def test_a_span_is_on_the_tier_of_its_own_recording(self) -> None:
        """And not of the one that began last."""
        one, other = run(0, 10), run(2, 8)
        for rows, tier in ((one, "cloud"), (other, "edge")):
            [timeline] = rows.timelines
            timeline.segments = [replace(s, info=s.info | {"tier": tier}) for s in timeline.segments]
        late = replace(one.timelines[0].spans[0], uid="boot:0:1/2", t0_ns=4 * SECOND)
        one.timelines[0].spans.append(late)
        found = {span.uid: span.tier for span in build(merge([one, other])).chapters[0].table.rows}
        assert found == {"boot:0:1/1": "cloud", "boot:0:1/2": "cloud", "boot:2:1/1": "edge"}

    def test_who_sees_one_gpu_only_uses_no_other(self) -> None:
        """One server per GPU: as each recorded it alone, so it is in the merged run; the package serves both."""
        runs = [run(0, 10), run(2, 8)]
        for number, rows in enumerate(runs):
            [timeline] = rows.timelines
            gpu = Domain(f"nvml:{number}", "nvml", "gpu", f"GPU {number}", max_power_w=400.0)
            package = timeline.samples[PACKAGE.uid]
            timeline.domains.append(gpu)
            timeline.samples[gpu.uid] = replace(package, values=[(20 + number) * joules for joules in package.values])
        alone = [told.every_account(rows) for rows in runs]
        merged = told.every_account(merge(runs))
        for number, rows in enumerate(runs):
            [span] = rows.timelines[0].spans
            key = ("boot", f"nvml:{number}")
            assert merged[key][span.uid] == alone[number][key][span.uid]
            assert merged["boot", PACKAGE.uid][span.uid] == (70.0, 30.0)[number]

    def test_each_boot_is_a_timeline_of_its_own(self) -> None:
        merged = merge([run(0, 10, boot="b"), run(5, 10, boot="a")])
        assert [timeline.boot_id for timeline in merged.timelines] == ["a", "b"]
        assert build(merged).total().value == 150.0

    def test_two_recordings_at_one_time_count_each_joule_once(self) -> None:
        merged = merge([run(0, 10), run(5, 15)])
        [timeline] = merged.timelines
        assert [recording.uid for recording in timeline.recordings] == ["boot:0:1/s", "boot:5:1/s"]
        ledger = build(merged)
        assert (ledger.total().value, ledger.chapters[0].recorded_s) == (150.0, 15.0)
        # What follows them without overlapping goes on in one series.
        assert [r.uid for r in merge([merged, run(20, 25)]).timelines[0].recordings] == ["boot:0:1/s", "boot:5:1/s"]
        assert build(merge([run(20, 25), merged])).total().value == 200.0

    def test_readings_that_contradict_one_another_are_an_error(self) -> None:
        other = run(0, 10)
        other.timelines[0].samples[PACKAGE.uid].values[3] += 1.0
        with pytest.raises(
            KindMismatchError, match=r"two readings of c:package at 3000000000 ns disagree: 30.0 and 31"
        ):
            merge([run(0, 10), other])

    def test_a_reading_that_is_no_number_contradicts_nothing(self) -> None:
        rows = run(0, 3)
        rows.timelines[0].samples[PACKAGE.uid].values[1] = math.nan
        assert merge([rows, rows]).timelines[0].segments == rows.timelines[0].segments

    def test_a_recording_that_was_cut_off_ends_with_its_last_reading(self) -> None:
        """After a crash the next one appends a segment: the two do not overlap."""
        crashed, later = run(0, 10), run(20, 25)
        [segment] = crashed.timelines[0].segments
        crashed.timelines[0].segments = [replace(segment, t1_ns=None)]
        merged = merge([later, crashed])
        assert build(merged).total().value == 150.0
        assert merge([merged, crashed]) == merged
        assert build(merge([crashed, run(5, 15)])).total().value == 150.0

    def test_an_earlier_copy_of_a_file_adds_nothing_to_a_later_one(self) -> None:
        whole = run(0, 10)
        [timeline] = whole.timelines
        early = replace(
            timeline,
            samples={uid: Series(s.t_ns[:4], s.values[:4], s.spacing_ns[:4]) for uid, s in timeline.samples.items()},
            spans=[replace(span, t1_ns=None) for span in timeline.spans],
            segments=[replace(segment, t1_ns=None) for segment in timeline.segments],
            processes=[replace(process, last_seen_ns=3, closed=False) for process in timeline.processes],
        )
        for runs in ([Rows(timelines=[early]), whole], [whole, Rows(timelines=[early])]):
            assert merge(runs) == merge([whole])

    def test_what_differs_does_not_depend_on_the_order(self) -> None:
        one, other = run(0, 5, meta={"greengen": "1.0", "a": 1}), run(10, 15, meta={"greengen": "1.1", "b": 2})
        for rows, watts, python in ((one, 100.0, "3.11"), (other, 200.0, "3.12")):
            [timeline] = rows.timelines
            timeline.domains = [replace(PACKAGE, max_power_w=watts)]
            timeline.info = {"python": python}
            timeline.events = [Event(int(watts), "warning", "x", "y")]
            timeline.unavailable = [Unavailable("nvml", "no driver", str(watts))]
        merged = merge([one, other])
        assert merged == merge([other, one])
        assert merged.meta == {"a": 1, "b": 2, "greengen": "1.0"}
        # The looser bound believes both recordings.
        assert merged.timelines[0].domains[0].max_power_w == 200.0
        assert len(merged.timelines[0].events) == 2


def one_rule(books: Sequence[Books]) -> bool:
    """Whether whose work it was is told in all of them, or in none: law 4 speaks of one rule."""
    return len({book.other_j is None for book in books if book.curve.known.any()}) <= 1


class TestCut:
    @given(cases(), st.data())
    def test_parts_add_up_and_merge_to_the_whole(self, case: Case, data: st.DataObject) -> None:
        """In the energy of every domain and in every account."""
        [timeline] = case.rows.timelines
        times = sorted({t for series in timeline.samples.values() for t in series.t_ns})
        anywhere = st.integers(times[0] - SECOND, times[-1] + SECOND) | st.sampled_from(times)
        a, b, c = sorted(data.draw(st.lists(anywhere, min_size=3, max_size=3, unique=True)))
        first, second, whole = cut(case.rows, a, b), cut(case.rows, b, c), cut(case.rows, a, c)
        parts, accounts = [told.books(rows) for rows in (first, second)], told.books(whole)
        for key, book in accounts.items():
            found = [books[key] for books in parts if key in books]
            added: told.Accounts = {}
            for name in told.accounts(book):
                joules = [told.accounts(part).get(name, 0.0) for part in found if part.curve.known.any()]
                added[name] = None if None in joules else math.fsum(j for j in joules if j is not None)
            if book.curve.known.any() and one_rule([book, *found]):
                told.same(added, told.accounts(book), book.total_j)
            energy = math.fsum(part.total_j for part in found)
            assert abs(energy - book.total_j) <= told.TOLERANCE * max(book.total_j, 1.0)
        if first.timelines[0].segments and second.timelines[0].segments:
            assert merge([first, second]) == merge([whole])

    @given(cases(), st.data())
    def test_a_cut_holds_what_the_whole_held_in_its_time(self, case: Case, data: st.DataObject) -> None:
        """The same accounts as the whole has between the readings at which it was cut."""
        [timeline] = case.rows.timelines
        times = sorted({t for series in timeline.samples.values() for t in series.t_ns})
        a, b = sorted(data.draw(st.lists(st.integers(times[0], times[-1]), min_size=2, max_size=2, unique=True)))
        for (boot, uid), book in told.books(cut(case.rows, a, b)).items():
            if book.curve.known.any():
                window = (int(book.curve.t_ns[0]), int(book.curve.t_ns[-1]))
                within = told.books(case.rows, window)[boot, uid]
                if one_rule([book, within]):
                    told.same(told.accounts(book), told.accounts(within), book.total_j)

    def test_both_ends_move_back_to_the_reading_before(self) -> None:
        part = cut(run(0, 10), int(2.5 * SECOND), int(7.9 * SECOND))
        assert part.timelines[0].samples[PACKAGE.uid].t_ns == [t * SECOND for t in range(2, 8)]
        assert build(part).total().value == 50.0
        [segment] = part.timelines[0].segments
        assert (segment.t0_ns, segment.t1_ns) == (2 * SECOND, 7 * SECOND)
        # The wall clock goes along, so that the grid's hour can be found.
        assert segment.epoch_ns == 2 * SECOND

    def test_a_cut_of_a_cut_is_a_cut(self) -> None:
        rows = run(0, 10)
        again = cut(cut(rows, SECOND, 9 * SECOND), 3 * SECOND, 5 * SECOND)
        assert merge([again]) == merge([cut(rows, 3 * SECOND, 5 * SECOND)])

    def test_parts_apart_leave_a_gap(self) -> None:
        rows = run(0, 10)
        merged = merge([cut(rows, 6 * SECOND, 9 * SECOND), cut(rows, 0, 3 * SECOND)])
        assert len(merged.timelines[0].segments) == 2
        ledger = build(merged)
        assert ledger.total().value == 60.0
        assert ledger.coverage() == 1.0

    def test_parts_that_overlap_count_once(self) -> None:
        rows = run(0, 10)
        merged = merge([cut(rows, 0, 6 * SECOND), cut(rows, 4 * SECOND, 9 * SECOND)])
        assert merged == merge([cut(rows, 0, 9 * SECOND)])
        assert merge([merged, rows]) == merge([rows])

    def test_a_span_inside_another_stays_so_though_the_one_between_ended_before(self) -> None:
        rows = run(0, 10)
        [timeline] = rows.timelines
        [outer] = timeline.spans
        between = replace(outer, uid="b:0:1/2", parent=outer.uid, t1_ns=2 * SECOND)
        inner = replace(outer, uid="b:0:1/3", parent=between.uid, t0_ns=SECOND, t1_ns=8 * SECOND)
        timeline.spans += [between, inner]
        ledger = build(cut(rows, 4 * SECOND, 9 * SECOND))
        assert (ledger[inner.uid].value, ledger[outer.uid].value) == (40.0, 10.0)

    def test_a_request_waits_for_its_first_step_though_that_lies_beyond_the_cut(self) -> None:
        rows, waiting = served([EngineStep("e", 1, 2 * SECOND, 3 * SECOND), EngineStep("e", 2, 6 * SECOND, 7 * SECOND)])
        rows.timelines[0].stints = [Stint("e", waiting, 1, 1, 9), Stint("e", waiting, 2, 2, 0, 1)]
        # It is at its engine from its first step on, in its pause too.
        for (a, b), joules in (((0, 2), 0.0), ((4, 6), 20.0), ((8, 10), 20.0)):
            ledger = build(cut(rows, a * SECOND, b * SECOND))
            assert [ledger.span(chapter, i).value for chapter, i in ledger] == [joules]

    def test_a_step_that_outlasts_its_request_keeps_it(self) -> None:
        rows, outlasted = served([EngineStep("e", 1, 2 * SECOND, 8 * SECOND)])
        [timeline] = rows.timelines
        timeline.spans = [replace(timeline.spans[0], t1_ns=4 * SECOND)]
        timeline.stints = [Stint("e", outlasted, 1, 1, 9)]
        assert told.every_account(cut(rows, 6 * SECOND, 10 * SECOND))["boot", PACKAGE.uid][outlasted] == 20.0

    def test_weights_around_a_cut_end_with_the_machine_s_last_reading(self) -> None:
        """What is left over of a second then belongs to the one before it, in a part as in the whole."""
        tenth = SECOND // 10
        rows = run(0, 4)
        [timeline] = rows.timelines
        read = {
            "machine": ([7, 8, 11], [6.0, 6.0, 7.6]),
            "profiled": ([6, 9, 11, 24], [0.0, 0.0, 1.0, 13.0]),
            "recorder": ([7, 8, 24], [0.0, 0.0, 0.75]),
        }
        for consumer, (times, busy) in read.items():
            series = Series([t * tenth for t in times], [tenth * b for b in busy], [0] * len(times))
            timeline.usage["cpu", consumer] = series
        whole = told.every_account(rows)["boot", PACKAGE.uid]
        parts = [
            told.every_account(cut(rows, a * SECOND, b * SECOND))["boot", PACKAGE.uid] for a, b in ((0, 2), (2, 4))
        ]
        told.same({name: sum(part[name] or 0.0 for part in parts) for name in whole}, whole, 40.0)

    def test_an_empty_stretch_is_refused(self) -> None:
        with pytest.raises(UsageError, match="earlier time first"):
            cut(run(0, 10), 5 * SECOND, 5 * SECOND)

    def test_a_counter_is_cut_where_it_had_changed(self) -> None:
        """Where a reading told nothing yet, the energy of its time comes with the next one, in one part."""
        slow = Domain("nvml:0", "nvml", "gpu", "GPU", max_power_w=400.0, refresh_s=0.1)
        tenth = SECOND // 10
        series = Series([0, tenth, 2 * tenth, 3 * tenth], [0.0, 10.0, 10.0, 30.0], [0, tenth, tenth, tenth])
        segment = Segment("s", "p", 0, 3 * tenth, 0)
        rows = Rows(timelines=[Timeline("b", "h", domains=[slow], samples={slow.uid: series}, segments=[segment])])
        first, second = cut(rows, 0, 2 * tenth), cut(rows, 2 * tenth, 3 * tenth)
        assert first.timelines[0].samples[slow.uid].t_ns == [0, tenth]
        assert second.timelines[0].samples[slow.uid].t_ns == [tenth, 2 * tenth, 3 * tenth]
