"""The guard that keeps tests off the network, and the one that finds threads left behind."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
LOG = "GREENGEN_TESTS_NETWORK_LOG"
OUTSIDE = ("192.0.2.1", 9)  # TEST-NET-1: an address that nobody has


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A log for these tests, whose refused calls must not fail the session."""
    path = tmp_path / "network.log"
    monkeypatch.setenv(LOG, str(path))
    return path


def connect(sock: socket.socket) -> None:
    sock.connect(OUTSIDE)


def connect_ex(sock: socket.socket) -> None:
    sock.connect_ex(OUTSIDE)


def sendto(sock: socket.socket) -> None:
    sock.sendto(b"x", OUTSIDE)


def sendmsg(sock: socket.socket) -> None:
    sock.sendmsg([b"x"], [], 0, OUTSIDE)


def getaddrinfo(_sock: socket.socket) -> None:
    socket.getaddrinfo("example.invalid", 80)


def gethostbyname(_sock: socket.socket) -> None:
    socket.gethostbyname("example.invalid")


CALLS = [connect, connect_ex, sendto, sendmsg, getaddrinfo, gethostbyname]


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.__name__)
def test_the_network_is_refused_in_this_process(call: Callable[[socket.socket], None], log: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock, pytest.raises(RuntimeError, match="no network"):
        call(sock)
    assert "test_the_network_is_refused_in_this_process" in log.read_text(encoding="utf-8")


def test_the_network_is_refused_in_a_child_that_swallows_the_error(log: Path) -> None:
    program = f"import socket\ntry:\n    socket.create_connection({OUTSIDE})\nexcept Exception: print('swallowed')"
    child = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert child.stdout == "swallowed\n"
    assert "192.0.2.1" in log.read_text(encoding="utf-8")


def test_the_network_is_refused_in_a_grandchild(log: Path) -> None:
    inner = f"import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM).connect({OUTSIDE})"
    outer = f"import subprocess, sys; sys.exit(subprocess.run([sys.executable, '-c', {inner!r}]).returncode)"
    child = subprocess.run([sys.executable, "-c", outer], capture_output=True, text=True, check=False)
    assert child.returncode == 1
    assert "NetworkRefusedError" in child.stderr
    assert log.exists()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_loopback_passes(host: str, log: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        client = socket.create_connection((host, server.getsockname()[1]))
        accepted, _ = server.accept()
        with client, accepted:
            client.sendall(b"hello")
            assert accepted.recv(5) == b"hello"
    assert not log.exists()


def test_unix_sockets_pass(log: Path, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as client:
        server.bind(str(tmp_path / "s"))
        server.listen()
        client.connect(str(tmp_path / "s"))
    assert not log.exists()


def run_session(directory: Path, test: str) -> subprocess.CompletedProcess[str]:
    """Run a test session of its own that has our conftest and one test."""
    shutil.copy(TESTS / "conftest.py", directory)
    shutil.copytree(TESTS / "guard", directory / "guard")
    (directory / "test_one.py").write_text(test, encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--rootdir", str(directory), str(directory)]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=directory)


def test_a_session_that_swallowed_a_refusal_fails(tmp_path: Path) -> None:
    session = run_session(
        tmp_path,
        "import contextlib, socket\n"
        "def test_one() -> None:\n"
        "    with contextlib.suppress(Exception): socket.create_connection(('192.0.2.1', 9))\n",
    )
    assert "1 passed" in session.stdout
    assert "refused calls to the network" in session.stdout
    assert session.returncode == 1


def test_a_thread_of_a_recording_left_behind_fails_its_test(tmp_path: Path) -> None:
    session = run_session(
        tmp_path,
        "import threading\n"
        "stop = threading.Event()\n"
        "def test_one() -> None:\n"
        "    threading.Thread(target=stop.wait, name='greengen-sampler', daemon=True).start()\n",
    )
    assert "outlived the test: ['greengen-sampler']" in session.stdout
    assert session.returncode == 1


def test_a_quiet_session_passes(tmp_path: Path) -> None:
    session = run_session(tmp_path, "def test_one() -> None:\n    assert 1 + 1 == 2\n")
    assert session.returncode == 0, session.stdout
