"""`greengen profile` around real commands: nothing of the command's changes, and nothing of it is missed."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import termios
import time
from contextlib import closing
from pathlib import Path

import pytest

import greengen
from greengen.cli import main
from greengen.recording import schema
from tests.integration.commands import GREENGEN, balanced, environment, names, profile, script, spans, start
from tests.unit import unprivileged

pytestmark = pytest.mark.alone

#: Waits until a file is there.
WAIT = """
import os, signal, sys, time
def wait_for(path):
    deadline = time.monotonic() + 20
    while not os.path.exists(path):
        assert time.monotonic() < deadline, path
        time.sleep(0.01)
"""


def wait_for(path: Path) -> None:
    deadline = time.monotonic() + 20
    while not path.exists():
        assert time.monotonic() < deadline, f"there is no {path}"
        time.sleep(0.01)


# -- the command's own ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("how", "code"), [("sys.exit(0)", 0), ("sys.exit(3)", 3), ("sys.exit(300)", 44)])
def test_exit_code(tmp_path: Path, how: str, code: int) -> None:
    done = profile(tmp_path, command=[sys.executable, "-c", f"import sys; {how}"])
    assert done.returncode == code
    assert b"greengen: run " in done.stderr
    assert f"{tmp_path}/run.greengen".encode() in done.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL, signal.SIGSEGV, signal.SIGPIPE])
def test_command_ended_by_a_signal(tmp_path: Path, number: signal.Signals) -> None:
    done = profile(tmp_path, command=["sh", "-c", f"ulimit -c 0; kill -{number.value} $$"])
    assert done.returncode == 128 + number
    assert greengen.Run(tmp_path / "run.greengen").rows().timelines[0].segments[0].t1_ns is not None


@pytest.mark.parametrize(
    ("name", "code", "said"),
    [
        ("no-such-command", 127, "no-such-command: command not found"),
        ("./nothing/here", 127, "./nothing/here: command not found"),
        ("", 127, "'': command not found"),
        ("./folder", 126, "./folder: cannot be executed: Permission denied"),
        ("./plain", 126, "./plain: cannot be executed: Permission denied"),
        ("./garbage", 126, "./garbage: cannot be executed: Exec format error"),
    ],
)
def test_command_that_cannot_be_started(tmp_path: Path, name: str, code: int, said: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "plain").write_text("#!/bin/sh\n")
    (tmp_path / "garbage").write_bytes(b"\x00\x01")
    (tmp_path / "garbage").chmod(0o755)
    done = profile(tmp_path, command=[name])
    assert (done.returncode, done.stdout) == (code, b"")
    assert done.stderr.decode() == f"greengen: {said}\n"
    assert not (tmp_path / "run.greengen").exists()


def test_stdin_stdout_and_stderr_are_the_commands(tmp_path: Path) -> None:
    sent = bytes(range(256)) * 400
    program = "import sys; sys.stdout.buffer.write(sys.stdin.buffer.read()[::-1]); sys.stderr.write('mine\\n')"
    done = profile(tmp_path, command=[sys.executable, "-c", program], given=sent)
    assert done.stdout == sent[::-1]
    assert done.stderr.startswith(b"mine\n")


def test_arguments_are_the_commands_however_they_look(tmp_path: Path) -> None:
    program = "import os, sys; sys.stdout.buffer.write(b'|'.join(map(os.fsencode, sys.argv[1:])))"
    arguments = ["--help", "-o", "x", "--", "", "a b", "*", os.fsdecode(b"\xff\xfe"), "é", "--force"]
    done = profile(tmp_path, "--json", "r.json", command=[sys.executable, "-c", program, *arguments])
    assert done.stdout == b"|".join(map(os.fsencode, arguments))
    assert json.loads((tmp_path / "r.json").read_text())["run"]["command"].endswith("é --force")


@pytest.mark.parametrize("closed", ["2>&-", "<&-", "2>/dev/full"])
def test_without_one_of_its_streams(tmp_path: Path, closed: str) -> None:
    line = f"exec {GREENGEN} profile -o run.greengen -- sh -c 'echo out; exit 5' {closed}"
    done = subprocess.run(["sh", "-c", line], capture_output=True, cwd=tmp_path, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (5, b"out\n")
    balanced(tmp_path / "run.greengen")


def test_nobody_reads_the_summary(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    line = [GREENGEN, "profile", "-o", "run.greengen", "--json", "r.json", "--", "sh", "-c", "exit 6"]
    assert subprocess.run(line, cwd=tmp_path, stderr=writing, timeout=60, check=False).returncode == 6
    os.close(writing)
    balanced(tmp_path / "run.greengen")
    assert (tmp_path / "r.json").exists()


def test_reports_are_written_and_named(tmp_path: Path) -> None:
    done = profile(tmp_path, "--json", "r.json", "--html", "r.html", "--zone", "DEU", command=["true"])
    assert done.returncode == 0
    report = json.loads((tmp_path / "r.json").read_text())
    assert report["schema"] == "greengen.report/1"
    assert report["totals"]["carbon_g"]["value"] is not None
    assert b"<!DOCTYPE html>" in (tmp_path / "r.html").read_bytes()
    assert done.stderr.decode().splitlines()[-3:] == [
        f"greengen: run {tmp_path}/run.greengen",
        "greengen: report r.json",
        "greengen: page r.html",
    ]
    # Another time they are replaced: greengen has written them.
    assert profile(tmp_path, "--force", "--json", "r.json", "--html", "r.html", command=["true"]).returncode == 0


def test_unnamed_runs_of_one_second_take_different_names(tmp_path: Path) -> None:
    line = [GREENGEN, "profile", "--", "sleep", "0.3"]
    processes = [subprocess.Popen(line, cwd=tmp_path, stderr=subprocess.PIPE) for _ in range(3)]
    said = [process.communicate()[1].decode().splitlines()[-1] for process in processes]
    assert [process.returncode for process in processes] == [0] * 3
    runs = sorted(tmp_path.glob("greengen-*.greengen"))
    assert len(runs) == 3
    assert sorted(said) == sorted(f"greengen: run {run}" for run in runs)


def test_a_report_that_fails_does_not_change_the_exit_code(tmp_path: Path) -> None:
    work = script(tmp_path, "import os, sys; os.rmdir('out'); sys.exit(9)")
    (tmp_path / "out").mkdir()
    done = profile(tmp_path, "--json", "out/r.json", command=work)
    assert done.returncode == 9
    assert b"greengen: no report: " in done.stderr
    assert b"greengen: run " in done.stderr
    assert b"greengen: report " not in done.stderr
    assert b"Traceback" not in done.stderr


def test_a_run_that_was_deleted_meanwhile(tmp_path: Path) -> None:
    done = profile(tmp_path, command=["sh", "-c", "rm run.greengen*; exit 4"])
    assert done.returncode == 4
    assert b"the recording is incomplete: " in done.stderr
    assert b"no report: there is no run file" in done.stderr
    assert b"greengen: run " not in done.stderr
    assert list(tmp_path.iterdir()) == []


# -- signals -------------------------------------------------------------------------------------------

#: Writes down each signal it gets, and leaves with 40 plus their number half a second after the first.
COUNT = (
    WAIT
    + """
got = []
def note(number, frame):
    got.append(number)
    with open("got", "a") as file: print(signal.Signals(number).name, file=file)
for name in ("INT", "TERM", "HUP", "QUIT", "USR1"): signal.signal(getattr(signal, f"SIG{name}"), note)
open("ready", "w").close()
deadline = time.monotonic() + 20
while not got and time.monotonic() < deadline: time.sleep(0.02)
time.sleep(0.5)
sys.exit(40 + len(got))
"""
)


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGHUP", "SIGUSR1"])
def test_a_signal_to_greengen_is_passed_on(tmp_path: Path, name: str) -> None:
    process = start(tmp_path, command=script(tmp_path, COUNT))
    wait_for(tmp_path / "ready")
    process.send_signal(signal.Signals[name])
    _, said = process.communicate(timeout=60)
    assert process.returncode == 41
    assert (tmp_path / "got").read_text() == f"{name}\n"
    assert b"The books balance" in said


def test_a_signal_that_ends_the_command(tmp_path: Path) -> None:
    process = start(tmp_path, command=["sh", "-c", "touch ready; exec sleep 60"])
    wait_for(tmp_path / "ready")
    time.sleep(0.1)
    process.terminate()
    _, said = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM
    assert b"The books balance" in said


def test_a_recorder_that_was_stopped_for_a_while_goes_on(tmp_path: Path) -> None:
    """As by Ctrl-Z and fg: nothing is passed on that nobody sent."""
    process = start(tmp_path, command=script(tmp_path, COUNT))
    wait_for(tmp_path / "ready")
    process.send_signal(signal.SIGSTOP)
    time.sleep(1.2)
    process.send_signal(signal.SIGCONT)
    process.send_signal(signal.SIGUSR1)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 41, said
    assert (tmp_path / "got").read_text() == "SIGUSR1\n"
    assert b"The books balance" in said


@pytest.mark.parametrize(("key", "name"), [(b"\x03", "SIGINT"), (b"\x1c", "SIGQUIT")])
def test_a_key_at_the_terminal_reaches_the_command_once(tmp_path: Path, key: bytes, name: str) -> None:
    keyboard, terminal = os.openpty()

    def control() -> None:
        os.setsid()
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    line = [GREENGEN, "profile", "-o", "run.greengen", "--", *script(tmp_path, COUNT)]
    process = subprocess.Popen(
        line,
        cwd=tmp_path,
        stdin=terminal,
        stdout=terminal,
        stderr=subprocess.PIPE,
        preexec_fn=control,  # noqa: PLW1509 -- to be the terminal's own process group
    )
    os.close(terminal)
    wait_for(tmp_path / "ready")
    os.write(keyboard, key)
    _, said = process.communicate(timeout=60)
    os.close(keyboard)
    assert process.returncode == 41
    assert (tmp_path / "got").read_text() == f"{name}\n"
    assert b"The books balance" in said


def test_a_signal_before_the_start_starts_nothing(tmp_path: Path) -> None:
    program = (
        "import os, signal, sys\nfrom greengen.cli.child import Child\n"
        "child = Child(['touch', 'started']); child.hold_signals()\n"
        "os.kill(os.getpid(), signal.SIGTERM)\nprint(child.start({}), child.trouble)"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout == "143 SIGTERM came before touch was started\n"
    assert not (tmp_path / "started").exists()


def test_the_command_has_its_own_signal_mask(tmp_path: Path) -> None:
    command = ["grep", "-E", "^Sig(Blk|Ign)", "/proc/self/status"]
    bare = subprocess.run(command, capture_output=True, check=True).stdout
    profiled = profile(tmp_path, command=command).stdout
    # posix_spawn leaves two signals ignored that glibc keeps for itself.
    own = sum(1 << (number - 1) for number in (32, 33))
    assert [int(line.split()[1], 16) & ~own for line in profiled.splitlines()] == [
        int(line.split()[1], 16) & ~own for line in bare.splitlines()
    ]


# -- processes -----------------------------------------------------------------------------------------


def test_a_child_that_outlives_the_command(tmp_path: Path) -> None:
    late = (
        WAIT
        + """
import greengen
with greengen.span("work", name="late"): pass
open("late is ready", "w").close()
wait_for("the recorder has ended")
with greengen.span("work", name="later"): pass
"""
    )
    work = script(
        tmp_path,
        WAIT
        + f"""
import subprocess, greengen
with greengen.span("work", name="early"):
    subprocess.Popen({script(tmp_path, late, "late.py")}, start_new_session=True,
                     stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_for("late is ready")
time.sleep(0.6)
""",
    )
    done = profile(tmp_path, command=work)
    assert done.returncode == 0
    path = tmp_path / "run.greengen"
    assert Path(f"{path}-wal").exists()
    assert names(path) == ["early", "late"]
    balanced(path)
    (tmp_path / "the recorder has ended").touch()
    deadline = time.monotonic() + 20
    while Path(f"{path}-wal").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert names(path) == ["early", "late", "later"]
    balanced(path)
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("delete",)


def test_a_command_outlives_a_killed_recorder(tmp_path: Path) -> None:
    work = script(
        tmp_path,
        WAIT
        + """
import greengen
with greengen.span("work", name="before"): time.sleep(0.2)
open("ready", "w").close()
wait_for("killed")
with greengen.span("work", name="after"): time.sleep(0.1)
open("done", "w").close()
""",
    )
    process = start(tmp_path, command=work, silent=True)
    wait_for(tmp_path / "ready")
    time.sleep(0.7)
    process.kill()
    process.wait()
    (tmp_path / "killed").touch()
    wait_for(tmp_path / "done")
    path = tmp_path / "run.greengen"
    deadline = time.monotonic() + 20
    while names(path) != ["after", "before"] and time.monotonic() < deadline:
        time.sleep(0.05)
    ledger = balanced(path)
    said = greengen.Run(path).report()["warnings"]
    assert any("was cut off" in warning for warning in said)
    by_name = {span.name: span for span in spans(path)}
    assert ledger[by_name["before"].uid].value is not None
    assert ledger[by_name["after"].uid].value is None


def test_inside_another_recording_it_is_a_span_of_that(tmp_path: Path) -> None:
    inner = script(tmp_path, "import greengen\nwith greengen.request(name='work'): pass")
    outer = [GREENGEN, "profile", "-o", "inner.greengen", "--", *inner]
    done = profile(tmp_path, command=outer)
    assert done.returncode == 0
    assert names(tmp_path / "inner.greengen") == ["work"]
    [span] = spans(tmp_path / "run.greengen")
    assert (span.kind, span.name, span.outcome) == ("profile", str(tmp_path / "inner.greengen"), "ok")
    balanced(tmp_path / "inner.greengen")
    balanced(tmp_path / "run.greengen")


def test_a_recording_that_another_is_writing_is_refused(tmp_path: Path) -> None:
    first = start(tmp_path, command=["sh", "-c", "touch ready; exec sleep 60"])
    wait_for(tmp_path / "ready")
    second = profile(tmp_path, "--force", command=["touch", "second"])
    assert second.returncode == 2
    assert f"is being recorded by process {first.pid}" in second.stderr.decode()
    assert not (tmp_path / "second").exists()
    first.terminate()
    first.communicate()
    assert first.returncode == 143


def test_four_processes_under_one_recording(tmp_path: Path) -> None:
    work = script(
        tmp_path,
        """
    import sys, time, greengen
    def spin(s):
        end = time.process_time() + s
        while time.process_time() < end: pass
    for i in range(5):
        with greengen.request(model=sys.argv[1], name=f"{sys.argv[1]}{i}") as req:
            spin(0.04)
            req.tokens(output=i)
        time.sleep(0.02)
    """,
    )
    line = " & ".join(" ".join([*work, f"m{n}"]) for n in range(4)) + " & wait"
    done = profile(tmp_path, command=["sh", "-c", line])
    assert done.returncode == 0
    path = tmp_path / "run.greengen"
    ledger = balanced(path)
    assert names(path) == sorted(f"m{n}{i}" for n in range(4) for i in range(5))
    [timeline] = greengen.Run(path).rows().timelines
    assert len({span.process for span in timeline.spans}) == 4
    assert all(process.closed and not process.lost_rows for process in timeline.processes)
    for chapter in ledger.chapters:
        for entries in chapter.totalled:
            accounts = [ledger.spans(lambda row, n=n: row.model == f"m{n}", f"m{n}").value for n in range(4)]  # type: ignore[misc]
            accounts += [ledger.account(name).value for name in ("overhead", "other", "idle")]
            assert sum(value or 0.0 for value in accounts) == pytest.approx(entries.books.curve.total_j, rel=1e-9)


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_multiprocessing_children(tmp_path: Path, method: str) -> None:
    work = script(
        tmp_path,
        """
    import multiprocessing, sys, greengen
    def work(n):
        for i in range(3):
            with greengen.request(name=f"{n}.{i}"): pass
    if __name__ == "__main__":
        multiprocessing.set_start_method(sys.argv[1])
        with greengen.span("root", name="root"):
            children = [multiprocessing.Process(target=work, args=(n,)) for n in range(3)]
            for child in children: child.start()
            for child in children: child.join()
        with multiprocessing.Pool(2) as pool:
            pool.map(work, [3, 4])
            pool.close()
            pool.join()
    """,
    )
    done = profile(tmp_path, command=[*work, method])
    assert (done.returncode, done.stdout) == (0, b"")
    path = tmp_path / "run.greengen"
    assert names(path) == sorted(["root", *(f"{n}.{i}" for n in range(5) for i in range(3))])
    assert sorted(tmp_path.glob("run*")) == [path]
    if method == "fork":
        parents = {span.parent for span in spans(path) if (span.name or "")[0] in "012"}
        assert parents == {span.uid for span in spans(path) if span.name == "root"}
    balanced(path)


@pytest.mark.skipif(
    subprocess.run(["unshare", "-pf", "true"], capture_output=True, check=False).returncode != 0
    if shutil.which("unshare")
    else True,
    reason="no PID namespace can be made here",
)
def test_under_the_procfs_of_another_pid_namespace(tmp_path: Path) -> None:
    work = script(tmp_path, "import time\nwhile time.process_time() < 0.5: pass")
    line = ["unshare", "-pf", GREENGEN, "profile", "-o", "run.greengen", "--", *work]
    subprocess.run(line, cwd=tmp_path, capture_output=True, timeout=60, check=True)
    with closing(sqlite3.connect(tmp_path / "run.greengen")) as connection:
        query = "SELECT max(value) - min(value) FROM point JOIN series ON series = id WHERE consumer = 'profiled'"
        [[worked_ns]] = connection.execute(query)
        [[info]] = connection.execute("SELECT info FROM segment")
    assert worked_ns >= 0.45e9
    # In there the recorder is process 1, which out here is another.
    assert json.loads(info)["root"].split(":")[1] != "1"


def test_forked_children_with_rows_pending(tmp_path: Path) -> None:
    work = script(
        tmp_path,
        """
    import os, sys, greengen
    def spans(who):
        for i in range(50):
            with greengen.request(name=f"{who}.{i}"): pass
    spans("parent")
    children = []
    for n in range(4):
        pid = os.fork()
        if not pid:
            spans(n)
            sys.exit(n)
        children.append(pid)
    assert [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children] == [0, 1, 2, 3]
    """,
    )
    done = profile(tmp_path, command=work)
    assert done.returncode == 0
    expected = sorted(f"{who}.{i}" for who in ("parent", 0, 1, 2, 3) for i in range(50))
    assert names(tmp_path / "run.greengen") == expected


def test_the_first_second_of_a_command_is_not_lost(tmp_path: Path) -> None:
    """Its CPU time is known from the first reading on, and the recorder's own is none of it."""
    spin = "import time\nend = time.process_time() + 0.4\nwhile time.process_time() < end: pass"
    assert profile(tmp_path, command=[sys.executable, "-S", "-c", spin]).returncode == 0
    [timeline] = greengen.Run(tmp_path / "run.greengen").rows().timelines
    busy_ns = timeline.usage[("cpu", "profiled")].values
    assert 0.4e9 <= busy_ns[-1] - busy_ns[0] < 0.9e9
    assert busy_ns[2] - busy_ns[0] > 0.05e9
    recorder_ns = timeline.usage[("cpu", "recorder")].values
    assert 0 < recorder_ns[-1] - recorder_ns[0] < 0.3e9


def test_while_the_command_runs_no_numpy_is_loaded(tmp_path: Path) -> None:
    """And what only a page needs is not loaded for a summary either."""
    seen = "import os; print('numpy' in open(f'/proc/{os.getppid()}/maps').read())"
    line = [GREENGEN, "profile", "-o", "run.greengen", "--", sys.executable, "-c", seen]
    done = subprocess.run(
        [sys.executable, "-X", "importtime", *line], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout == "False\n"
    imported = {part[2].strip() for row in done.stderr.splitlines() if len(part := row.split("|")) == 3}
    assert "numpy" in imported
    assert not imported & {"pandas", "plotly", "jinja2", "psutil", "codecarbon", "numpy.ma"}
    # Nobody stated a site, told a step of an engine, counted in nanojoules or recorded side by side.
    assert not imported & {
        f"greengen.{name}"
        for name in (
            *("accounting.exact", "accounting.fit", "accounting.hourly", "accounting.marginal", "accounting.market"),
            *("accounting.pooling", "accounting.timed", "accounting.transfer", "data", "data.hardware", "merging"),
        )
    }


def test_a_name_that_is_no_text(tmp_path: Path) -> None:
    name = os.fsdecode(b"\xff.greengen")
    line = [GREENGEN, "profile", "-o", name, "--json", "r.json", "--html", "r.html", "--", "true"]
    done = subprocess.run(line, cwd=tmp_path, capture_output=True, timeout=60, check=False)
    assert done.returncode == 0
    assert b"no report" not in done.stderr
    assert json.loads((tmp_path / "r.json").read_text())["run"]["path"].endswith("?.greengen")
    balanced(tmp_path / name)


# -- mistakes ------------------------------------------------------------------------------------------


def refuse(tmp_path: Path, *arguments: str) -> str:
    """The one line that `greengen profile ARGUMENTS` says; the command never started."""
    line = [GREENGEN, "profile", *arguments, "--", "touch", str(tmp_path / "started")]
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    done = subprocess.run(line, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
    [said] = done.stderr.splitlines()
    assert said.startswith("greengen: ")
    return said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--zone", "GER"], "unknown zone 'GER': did you mean "),
        (["--zone", "Germany"], "did you mean DEU (Germany)"),
        (["--zone", "qqqqqq"], "pass an ISO-3 country code such as DEU"),
        (["--zone", "DEU", "--intensity", "100"], "pass a zone or an intensity, not both"),
        (["--intensity", "-1"], "intensity -1 g/kWh is not possible"),
        (["--intensity", "nan"], "intensity nan g/kWh is not possible"),
        (["--pue", "-1"], "PUE -1 is not possible"),
        (["--pue", "0.5"], "PUE 0.5 is not possible"),
        (["--pue", "nan"], "PUE nan is not possible"),
        (["--pue", "inf"], "PUE inf is not possible"),
        (["--pue", "much"], "'much' is not a valid float"),
        (["--interval", "0"], "interval 0.0 s cannot be kept: pass 0.001 s or more"),
        (["--interval", "-1"], "interval -1.0 s cannot be kept"),
        (["--interval", "nan"], "interval nan s cannot be kept"),
        (["--interval", "inf"], "interval inf s cannot be kept"),
        (["--tier", "fog"], "'fog' is not one of 'cloud', 'edge', 'device'"),
        (["--collectors", "rapl,teapot"], "there is no plug-in 'teapot'"),
        (["--collectors", "-teapot"], "there is no plug-in 'teapot'"),
        (["--nonsense"], "No such option"),
        (["-o", "no/where.greengen"], "there is no directory"),
        (["--html", "no/where.html"], "there is no directory"),
        (["--json", "."], "it is a directory"),
        (["-o", "same", "--html", "./same"], "--out and --html both name same"),
        (["--json", "same", "--html", "same"], "--html and --json both name same"),
    ],
)
def test_a_mistake_is_one_line(tmp_path: Path, arguments: list[str], said: str) -> None:
    assert said in refuse(tmp_path, *arguments)


def test_outputs_that_would_overwrite_something(tmp_path: Path) -> None:
    (tmp_path / "thesis").write_text("my life's work on greengen")
    assert profile(tmp_path, command=["true"]).returncode == 0
    assert "run.greengen exists: pass --force" in refuse(tmp_path, "-o", "run.greengen")
    for force in ([], ["--force"]):
        assert "thesis exists and is not a run file" in refuse(tmp_path, *force, "-o", "thesis")
        assert "is not a run file" in refuse(tmp_path, *force, "-o", ".")
    for option in ("--html", "--json"):
        for name in ("thesis", "run.greengen"):
            said = refuse(tmp_path, option, name)
            assert f"{name} exists and is not a greengen report: pass --force to overwrite it" in said
    # A mistake beside --force costs nobody a file.
    refuse(tmp_path, "--force", "-o", "run.greengen", "--collectors", "teapot")
    refuse(tmp_path, "--force", "-o", "run.greengen", "--json", "no/where")
    with closing(sqlite3.connect(tmp_path / "run.greengen")) as connection:
        connection.execute(f"PRAGMA user_version={schema.VERSION + 1}")
    for force in ([], ["--force"]):
        assert "was written by a newer greengen" in refuse(tmp_path, *force, "-o", "run.greengen")


@unprivileged.needed
def test_outputs_that_may_not_be_written(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir()
    (tmp_path / "r.html").write_text("")
    (tmp_path / "r.html").chmod(0o444)
    closed.chmod(0o555)
    said = []
    try:
        for option, name in (("-o", "closed/r"), ("--html", "closed/r"), ("--json", "closed/r"), ("--html", "r.html")):
            line = [*unprivileged.PREFIX, GREENGEN, "profile", option, name, "--", "touch", "started"]
            done = subprocess.run(line, cwd=tmp_path, capture_output=True, text=True, check=False)
            assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
            said.append(done.stderr)
    finally:
        closed.chmod(0o755)
    assert all("ermission denied" in line and "name another file" in line for line in said)
    assert not (tmp_path / "started").exists()
    assert list(closed.iterdir()) == []


def test_no_command(tmp_path: Path) -> None:
    for line in (["profile"], ["profile", "--"], ["profile", "-o", "x", "--"]):
        done = subprocess.run([GREENGEN, *line], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.startswith("greengen: no command to profile: write it after --")
        assert len(done.stderr.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_mistakes_in_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert profile(tmp_path, command=["true"]).returncode == 0
    (tmp_path / "text").write_text("no run")
    (tmp_path / "r.html").write_text("<html>mine</html>")
    cases = [
        (["run.greengen", "--policy", "equl"], "unknown policy 'equl': did you mean 'equal'"),
        (["run.greengen", "--requests", "bottom:3"], "'bottom:3' is not understood: pass all, none or top:N"),
        (["run.greengen", "--requests", "top:-1"], "is not understood"),
        (["run.greengen", "--requests", "top:"], "is not understood"),
        (["run.greengen", "--zone", "DEUX"], "unknown zone"),
        (["run.greengen", "--pue", "0.5"], "PUE 0.5 is not possible"),
        (["run.greengen", "--format", "xml"], "'xml' is not one of"),
        (["run.greengen", "-o", "r.html"], "is not a greengen report"),
        (["run.greengen", "-o", "no/where.json"], "there is no directory"),
        (["run.greengen", "-o", "foo.pdf"], "foo.pdf: no format has the ending .pdf: name .json, .html,"),
        (["text"], "text is not a greengen run file"),
        (["absent"], "there is no run file absent"),
        (["."], "is not a greengen run file"),
        ([], "Missing argument"),
    ]
    for arguments, said in cases:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", ["greengen", "report", *arguments])
        with pytest.raises(SystemExit) as left:
            main()
        out, err = capsys.readouterr()
        assert (left.value.code, out) == (2, ""), arguments
        assert said in err, arguments
        assert err.startswith("greengen: "), arguments
        assert len(err.splitlines()) == 1, arguments


def test_a_report_whose_reader_leaves(tmp_path: Path) -> None:
    assert profile(tmp_path, command=["true"]).returncode == 0
    line = f"set -o pipefail; {GREENGEN} report run.greengen --format html | head -c 10"
    done = subprocess.run(
        ["bash", "-c", line], cwd=tmp_path, capture_output=True, check=False, env=environment(PYTHONUNBUFFERED="")
    )
    assert (done.returncode, done.stdout, done.stderr) == (1, b"<!DOCTYPE ", b"")
