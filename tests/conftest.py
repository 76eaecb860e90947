"""What holds for every test: no network, no thread left behind, the same examples on every machine."""

from __future__ import annotations

import gc
import os
import runpy
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

GUARD = Path(__file__).with_name("guard")
NETWORK_LOG = pytest.StashKey[Path]()

# A look at every change; `HYPOTHESIS_PROFILE=deep` is the long one.
settings.register_profile("ci", max_examples=32, derandomize=True, deadline=None, database=None)
settings.register_profile("deep", max_examples=2_000, deadline=None, database=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


def pytest_configure(config: pytest.Config) -> None:
    """Guard this process now, and through the environment every Python process that it starts."""
    guard = runpy.run_path(str(GUARD / "sitecustomize.py"))
    if hasattr(config, "workerinput"):
        # One of several processes that share the tests: the log is that of the one that started it.
        config.stash[NETWORK_LOG] = Path(os.environ[guard["LOG"]])
        return
    directory = tempfile.TemporaryDirectory(prefix="greengen-tests-")
    config.add_cleanup(directory.cleanup)
    log = Path(directory.name) / "network.log"
    log.touch()
    config.stash[NETWORK_LOG] = log
    os.environ[guard["LOG"]] = str(log)
    # Idle threads of numpy's OpenBLAS spin for a tenth of a second in each process that loads it (its issue 5171).
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    path = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = f"{GUARD}{os.pathsep}{path}" if path else str(GUARD)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """With `-m alone` only files that have such tests are read: importing torch takes longer than all of them."""
    if config.option.markexpr != "alone" or collection_path.suffix != ".py":
        return None
    return None if "mark.alone" in collection_path.read_text(encoding="utf-8") else True


def pytest_collection_finish() -> None:
    """Leave what was imported out of all further garbage collections: with torch, a million objects."""
    gc.freeze()


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail a session whose tests passed, but in which a call to the network was refused and swallowed."""
    if session.config.stash[NETWORK_LOG].stat().st_size:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say which calls those were."""
    refused = config.stash[NETWORK_LOG].read_text(encoding="utf-8").splitlines()
    if refused:
        terminalreporter.section("refused calls to the network", red=True)
        for line in refused:
            terminalreporter.line(line)


def recording_threads() -> set[threading.Thread]:
    """The live threads that a recording started."""
    return {thread for thread in threading.enumerate() if thread.name.startswith("greengen")}


@pytest.fixture(autouse=True)
def no_thread_left() -> Iterator[None]:
    """A test that starts a recording ends it."""
    before = recording_threads()
    yield
    left = recording_threads() - before
    assert not left, f"threads of a recording outlived the test: {sorted(thread.name for thread in left)}"
