"""`greengen.profile(...)` in a program's own process, in every form."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
import time
from collections.abc import AsyncGenerator, Iterator
from pathlib import Path

import pytest

import greengen
from greengen.errors import RunFileError, UsageError
from greengen.recording import active
from greengen.rows import Segment, Timeline
from tests.integration.commands import balanced, environment, names, script, spans
from tests.unit import unprivileged

pytestmark = pytest.mark.alone


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run.greengen"


def spin(seconds: float) -> None:
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass


def timeline(path: Path) -> Timeline:
    [found] = greengen.Run(path).rows().timelines
    return found


def segments(path: Path) -> list[Segment]:
    """All of them, closed, in order and apart."""
    found = timeline(path).segments
    ends = [segment.t1_ns for segment in found]
    assert all(end is not None and end < following.t0_ns for end, following in zip(ends, found[1:], strict=False))
    assert ends[-1] is not None
    return found


def stands_alone(path: Path) -> None:
    """One file, in the mode that needs no other, and no trace of the recording in this process."""
    assert [child.name for child in path.parent.glob(f"{path.name}*")] == [path.name]
    assert path.read_bytes()[18:20] == b"\1\1"
    assert active.STATE.writer is None
    assert active.ENVIRONMENT_VARIABLE not in os.environ


# -- forms ---------------------------------------------------------------------------------------------


def test_with(path: Path) -> None:
    with greengen.profile(path, tier="edge", interval_s=0.02) as run:
        with greengen.request(model="m") as req:
            spin(0.1)
            req.tokens(input=1, output=2)
        assert run.path == path
    stands_alone(path)
    ledger = balanced(path)
    assert ledger[req].value
    assert run.ledger()[req] == ledger[req]
    [segment] = segments(path)
    assert segment.info["tier"] == "edge"
    assert segment.info["own_process"] is False
    [process] = timeline(path).processes
    assert (process.pid, process.role, process.closed) == (os.getpid(), "recorder+workload", True)


def test_async_with(path: Path) -> None:
    async def main() -> None:
        async with greengen.profile(path, interval_s=0.02), greengen.request(name="a"):
            await asyncio.sleep(0.05)

    asyncio.run(main())
    stands_alone(path)
    assert names(path) == ["a"]


def test_bare_decorator(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    @greengen.profile
    def work(n: int) -> int:
        """Say it."""
        with greengen.request(name=str(n)):
            return n + 1

    assert (work.__name__, work.__doc__) == ("work", "Say it.")
    assert list(tmp_path.iterdir()) == []
    assert [work(1), work(2)] == [2, 3]
    [path] = tmp_path.iterdir()
    assert path.name.startswith("greengen-")
    assert path.suffix == ".greengen"
    assert len(segments(path)) == 2
    assert names(path) == ["1", "2"]


def test_decorator_with_arguments_appends_a_segment_per_call(path: Path) -> None:
    @greengen.profile(path, interval_s=0.02)
    def work(n: int) -> None:
        with greengen.request(name=str(n)):
            spin(0.08)

    work(1)
    first = balanced(path)
    spin(0.1)
    work(2)
    stands_alone(path)
    both = balanced(path)
    assert len(segments(path)) == 2
    [one], [two] = first.chapters, both.chapters
    for before, after in zip(one.entries, two.entries, strict=True):
        # The time between the calls is in no account.
        assert after.books.curve.total_j > before.books.curve.total_j
        assert after.books.curve.known_s < (two.recorded[-1][1] - two.recorded[0][0]) / 1e9 - 0.09
    by_name = {span.name: span.uid for span in spans(path)}
    assert both[by_name["1"]].value == pytest.approx(first[by_name["1"]].value)
    assert both[by_name["2"]].value


def test_decorated_coroutine_generator_and_async_generator(path: Path) -> None:
    @greengen.profile(path)
    async def coroutine() -> str:
        with greengen.request(name="coroutine"):
            await asyncio.sleep(0)
        return "c"

    @greengen.profile(path.with_name("g"))
    def generator() -> Iterator[int]:
        for i in range(2):
            with greengen.request(name=f"generator {i}"):
                pass
            yield i

    @greengen.profile(path.with_name("a"))
    async def asynchronous() -> AsyncGenerator[int, None]:
        for i in range(2):
            with greengen.request(name=f"async {i}"):
                pass
            yield i

    async def collect() -> list[int]:
        return [i async for i in asynchronous()]

    assert asyncio.run(coroutine()) == "c"
    assert list(generator()) == [0, 1]
    assert asyncio.run(collect()) == [0, 1]
    assert names(path) == ["coroutine"]
    assert names(path.with_name("g")) == ["generator 0", "generator 1"]
    assert names(path.with_name("a")) == ["async 0", "async 1"]


def test_inside_a_recording_it_is_a_span_of_it(path: Path) -> None:
    other = path.with_name("other.greengen")

    @greengen.profile(other)
    def inner() -> None:
        with greengen.request(name="work"):
            pass

    with greengen.profile(path):
        inner()
        with greengen.profile(other) as run:
            assert run.path == path
        inner()
    assert not other.exists()
    found = {span.uid: span for span in spans(path)}
    assert [span.kind for span in found.values()] == ["profile", "request", "profile", "profile", "request"]
    assert all(found[span.parent or ""].kind == "profile" for span in found.values() if span.kind == "request")
    # The next call, outside, makes the file after all.
    inner()
    assert names(other) == ["work"]


def test_calls_from_several_threads_overlap_in_one_recording(path: Path) -> None:
    barrier = threading.Barrier(4)

    @greengen.profile(path)
    def work() -> None:
        barrier.wait(10)
        with greengen.request():
            pass
        barrier.wait(10)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    stands_alone(path)
    assert len(segments(path)) == 1
    assert len([span for span in spans(path) if span.kind == "request"]) == 4


def test_an_existing_file_is_refused_and_nothing_runs(path: Path) -> None:
    with greengen.profile(path):
        pass
    before = path.read_bytes()

    @greengen.profile(path)
    def work() -> None:
        pytest.fail("it ran")

    for _ in range(2):
        with pytest.raises(RunFileError, match=r"force=True"):
            work()
        with pytest.raises(RunFileError), greengen.profile(path):
            pytest.fail("it ran")
    assert path.read_bytes() == before
    stands_alone(path)
    with greengen.profile(path, force=True):
        pass
    assert path.read_bytes() != before


@pytest.mark.parametrize(
    "options", [{"interval_s": 0}, {"interval_s": float("nan")}, {"tier": "fog"}, {"collectors": ("teapot",)}]
)
def test_a_mistake_leaves_no_file(path: Path, options: dict[str, object]) -> None:
    with pytest.raises(UsageError), greengen.profile(path, **options):  # type: ignore[call-overload]
        pytest.fail("it ran")
    assert not path.exists()
    assert active.STATE.writer is None


def test_collectors_in_one_text_are_not_its_letters(path: Path) -> None:
    with pytest.raises(UsageError, match=r"'rapl' is a text: pass a tuple"):
        greengen.profile(path, collectors="rapl")  # type: ignore[call-overload]


def test_an_error_inside_passes_and_the_file_is_closed(path: Path) -> None:
    with pytest.raises(ZeroDivisionError), greengen.profile(path), greengen.request():
        _ = 1 / 0
    stands_alone(path)
    assert [span.outcome for span in spans(path)] == ["failed: ZeroDivisionError"]
    balanced(path)


def test_a_span_still_open_at_the_end(path: Path) -> None:
    with greengen.profile(path):
        late = greengen.request(name="late").start()
    late.end()
    [span] = spans(path)
    assert span.t1_ns is None
    balanced(path)


# -- the ledger, meanwhile ---------------------------------------------------------------------------------


def test_a_span_is_pending_until_a_reading_covers_its_end(path: Path) -> None:
    with greengen.profile(path, interval_s=1000) as run:
        with greengen.request() as req:
            spin(0.05)
            open_still = run.ledger()[req]
        ended = run.ledger()[req]
    assert open_still.value is None
    assert "pending" in open_still.reason
    assert ended.value is None
    assert "pending" in ended.reason
    assert run.ledger()[req].value


def test_a_span_has_its_joules_while_the_recording_goes_on(path: Path) -> None:
    with greengen.profile(path, interval_s=0.02) as run:
        with greengen.request() as req:
            spin(0.1)
        time.sleep(0.1)
        during = run.ledger()[req]
        with greengen.request():
            pass
    assert during.value
    after = run.ledger()[req]
    # Whose the machine's busy time was is known by the second, and better at the end.
    assert during.low is not None
    assert during.high is not None
    assert after.value is not None
    assert during.low <= after.value <= during.high


def test_the_recorder_is_not_charged_with_the_workload(path: Path) -> None:
    with greengen.profile(path, interval_s=0.02):
        spin(0.4)
    recorder_ns = timeline(path).usage[("cpu", "recorder")].values
    assert 0 <= recorder_ns[0] <= recorder_ns[-1]
    assert recorder_ns[-1] - recorder_ns[0] < 0.2e9


# -- several processes -------------------------------------------------------------------------------------


def test_children_find_the_recording(path: Path, tmp_path: Path) -> None:
    child = script(tmp_path, "import greengen\nwith greengen.request(name='child'): pass")
    with greengen.profile(path), greengen.request(name="parent"):
        subprocess.run(child, check=True)
    stands_alone(path)
    assert names(path) == ["child", "parent"]
    assert sorted(process.role for process in timeline(path).processes) == ["recorder+workload", "spans"]
    subprocess.run(child, check=True)
    assert names(path) == ["child", "parent"]


def test_of_several_processes_that_open_one_path_the_first_samples(path: Path, tmp_path: Path) -> None:
    child = script(
        tmp_path,
        """
        import sys, greengen
        with greengen.profile(sys.argv[1], force=True) as run:
            with greengen.request(name=sys.argv[2]): pass
            print(run.path == run.path.absolute(), len(run.rows().timelines[0].segments))
        """,
    )
    bare = environment()
    with greengen.profile(path), greengen.request(name="first"):
        done = [
            subprocess.run([*child, str(path), name], check=True, capture_output=True, text=True, env=bare)
            for name in ("second", "third")
        ]
    assert [process.stdout for process in done] == ["True 1\n"] * 2
    stands_alone(path)
    assert len(segments(path)) == 1
    assert names(path) == ["first", "second", "third"]
    assert len({key for key in timeline(path).usage if key[1] == "profiled"}) == 1
    balanced(path)


def test_a_fork_that_falls_out_of_the_block(path: Path, tmp_path: Path) -> None:
    work = script(
        tmp_path,
        """
        import os, sys, greengen
        with greengen.profile(sys.argv[1]) as run:
            with greengen.request(name="before"): pass
            with greengen.request(name="around"):
                pid = os.fork()
                with greengen.request(name="parent" if pid else "child"): pass
            if pid: assert os.waitpid(pid, 0)[1] == 0
        with greengen.request(name="outside" if pid else "child outside"): pass
        """,
    )
    subprocess.run([*work, str(path)], check=True, timeout=30)
    assert names(path) == ["around", "before", "child", "child outside", "parent"]
    [segment] = segments(path)
    assert [child.name for child in path.parent.glob("run*")] == [path.name]
    by_name = {span.name: span for span in spans(path)}
    assert by_name["child"].parent == by_name["around"].uid
    assert by_name["child"].process != by_name["around"].process
    assert by_name["around"].t1_ns is not None
    assert segment.process == by_name["around"].process
    balanced(path)


@unprivileged.needed
def test_a_closed_file_is_read_where_nothing_can_be_written(path: Path, tmp_path: Path) -> None:
    with greengen.profile(path), greengen.request(name="a"):
        pass
    program = script(tmp_path, "import sys, greengen\nprint(len(greengen.Run(sys.argv[1]).rows().timelines[0].spans))")
    path.chmod(0o444)
    path.parent.chmod(0o555)
    try:
        line = [*unprivileged.PREFIX, *program, str(path)]
        done = subprocess.run(line, check=True, capture_output=True, text=True)
    finally:
        path.parent.chmod(0o755)
    assert done.stdout == "1\n"


def test_a_disk_that_refuses_is_told_at_the_end(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with greengen.profile(path):
        for file in path.parent.glob("run*"):
            file.unlink()
        with greengen.request():
            pass
    said = capsys.readouterr().err
    assert said.startswith(f"greengen: the recording of process {os.getpid()} in {path} is incomplete: ")
    assert len(said.splitlines()) == 1


def test_names_of_one_file(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However it is named, it is the one that this process writes to."""
    monkeypatch.chdir(tmp_path)
    link = tmp_path / "link"
    link.symlink_to(path)
    with greengen.profile("run.greengen"):
        with greengen.request(name="a"):
            pass
        for name in ("run.greengen", path, "../" + tmp_path.name + "/run.greengen", link):
            assert [span.name for span in spans(Path(name))] == ["a"]
        # Nobody held it in between, so another process may close it for good: recording goes on.
        line = [sys.executable, "-c", "import greengen\nwith greengen.request(name='b'): pass"]
        subprocess.run(line, check=True)
        with greengen.request(name="c"):
            pass
        assert active.STATE.writer
        assert active.STATE.writer.flush()
        assert Path(f"{path}-wal").exists()
        # While it is held, nobody takes himself for the last.
        subprocess.run(line, check=True)
        assert Path(f"{path}-wal").exists()
    assert names(path) == ["a", "b", "b", "c"]
    stands_alone(path)
