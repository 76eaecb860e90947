"""A recording as users meet it: `profile` makes one, `Run` opens it and answers what it cost."""

from __future__ import annotations

import contextlib
import functools
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar, cast, overload

from greengen.errors import UsageError
from greengen.recording import active
from greengen.recording.profiler import Options, Profiler
from greengen.recording.spans import Span, span

if TYPE_CHECKING:
    from greengen.accounting.books import Window
    from greengen.accounting.carbon import Footprint, Site
    from greengen.accounting.choice import Plan
    from greengen.accounting.ledger import Ledger
    from greengen.collector import Host
    from greengen.rows import Rows

F = TypeVar("F", bound=Callable[..., Any])


class Run:
    """A run file. Every answer is computed from its rows, as often and under as many rules as you like."""

    def __init__(self, path: str | Path, *more: str | Path) -> None:
        self.path = Path(path)
        self.paths = (self.path, *(Path(other) for other in more))

    def rows(self) -> Rows:
        """What was recorded up to now; several files as one. Raises RunFileError."""
        if len(self.paths) == 1:
            return _read(self.path)
        from greengen.merging import merge  # noqa: PLC0415 -- one file needs it not

        return merge(map(_read, self.paths))

    def ledger(self, *, policy: str | Plan = "auto", window: Window = None, **rules: Any) -> Ledger:
        """The joules of every account. Raises RunFileError, PolicyError.

        policy  auto, equal, token, phase, affine or one of a plug-in; or an earlier ledger's `plan`
        rules   idle, static, held, given and exact, as of `greengen.accounting.choice.Plan`
        """
        from greengen.accounting import ledger  # noqa: PLC0415 -- numpy is for those who ask

        return ledger.build(self.rows(), policy=_plan(policy, rules), window=window)

    def footprint(self, *, policy: str | Plan = "auto", **options: Any) -> Footprint:
        """The footprint behind the joules: gCO2e, embodied, water, SCI. Recorded once, told for any place.

        options  of the site, as in `greengen.sites.OPTIONS` (zone or intensity, pue, hardware, wue, site …),
                 and as for `ledger` (idle, static, held, given)
        """
        from greengen.accounting import ledger  # noqa: PLC0415 -- numpy is for those who ask
        from greengen.accounting.carbon import Footprint  # noqa: PLC0415 -- the same

        where = _where(options)
        rows, window = self.rows(), options.pop("window", None)
        books = ledger.build(rows, policy=_plan(policy, options), window=window)
        return Footprint(books, _site(where, rows))

    def report(self, *, requests: str = "all", policy: str | Plan = "auto", **options: Any) -> dict[str, Any]:
        """The report as a document, `greengen.report/1`.

        options  as for `footprint` (zone, intensity, pue, hardware, site …) and as for `ledger` (idle, static, …);
                 and beside the books marginal (True), amortise (model → requests of its lifetime), training
                 (a Run, or paths of runs, in which those were trained) and network_kwh_per_gb
        """
        from greengen import document  # noqa: PLC0415 -- numpy is for those who ask
        from greengen.document.beside import OPTIONS, Beside  # noqa: PLC0415 -- the same

        # A name may hold bytes that are no text: half characters, which no file takes.
        path = Path(str(self.path).encode("utf-8", "replace").decode())
        where = _where(options)
        more = {name: options.pop(name) for name in OPTIONS if name in options}
        elsewhere = _run(more.pop("training", None))
        if elsewhere is not None:
            more |= {"training": elsewhere.rows(), "source": ", ".join(map(str, elsewhere.paths))}
        plan, asked = _plan(policy, options), Beside(**more)
        rows = self.rows()
        return document.build(rows, path, _site(where, rows), requests=requests, policy=plan, asked=asked)

    def render(self, renderer: str, **options: Any) -> str:
        """The report as text of a renderer: terminal, json, html, csv, markdown; options as for `report`."""
        from greengen import document, plugins  # noqa: PLC0415 -- numpy is for those who ask

        report = self.report(**options)
        report["series"] = document.power_series(self.rows()) if renderer == "html" else []
        render = plugins.load(plugins.REPORTS, [renderer]).plugins[renderer]
        # A stranger's file may say the same of a label.
        return str(render(report)).encode("utf-8", "replace").decode()

    def to_json(self, path: str | Path, **options: Any) -> Path:
        """Write the report as JSON; options as for `report`."""
        return self._write("json", path, options)

    def to_html(self, path: str | Path, **options: Any) -> Path:
        """Write the report as one self-contained page; options as for `report`."""
        return self._write("html", path, options)

    def _write(self, renderer: str, path: str | Path, options: dict[str, Any]) -> Path:
        target = Path(path)
        target.write_text(self.render(renderer, **options), encoding="utf-8")
        return target

    def merge(self, *others: Run, out: str | Path, force: bool = False) -> Run:
        """Write this run and others as one, each reading once. Raises KindMismatchError, RunFileError."""
        from greengen.recording import export  # noqa: PLC0415

        merged = Run(*self.paths, *(path for other in others for path in other.paths))
        export.write(merged.rows(), Path(out), force=force)
        return Run(out)

    def cut(self, start_s: float, end_s: float, *, out: str | Path, force: bool = False) -> Run:
        """Write what was recorded between two times, s from the start. Raises UsageError, RunFileError."""
        from greengen.merging import cut  # noqa: PLC0415
        from greengen.recording import export  # noqa: PLC0415

        rows = self.rows()
        if len(rows.timelines) != 1:
            msg = f"{self.path} holds {len(rows.timelines)} hosts: cut before merging, their clocks differ"
            raise UsageError(msg)
        start_ns = min((segment.t0_ns for segment in rows.timelines[0].segments), default=0)
        export.write(cut(rows, start_ns + int(start_s * 1e9), start_ns + int(end_s * 1e9)), Path(out), force=force)
        return Run(out)

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r})"


def _run(given: Run | str | Path | Sequence[str | Path] | None) -> Run | None:
    if given is None or isinstance(given, Run):
        return given
    paths = [given] if isinstance(given, str | Path) else list(given)
    return Run(*paths) if paths else None


def _read(path: Path) -> Rows:
    from greengen.recording.reader import read  # noqa: PLC0415 -- recording does not need it

    writer = active.STATE.writer
    if writer is None or not (path.exists() and writer.path.exists() and path.samefile(writer.path)):
        return read(path)
    # It is the one that this process writes to.
    writer.flush()
    return read(path, writer.disconnected())


def _plan(policy: str | Plan, rules: Mapping[str, Any]) -> Plan:
    """How to share, by a policy's name; those of third parties are found by entry points. Raises PolicyError."""
    from greengen.accounting.choice import Plan  # noqa: PLC0415 -- numpy is for those who ask
    from greengen.accounting.policies import AUTO, POLICIES  # noqa: PLC0415 -- the same

    if not isinstance(policy, str):
        return replace(policy, **rules)
    if policy == AUTO or policy in POLICIES:
        return Plan(policy, **rules)
    from greengen import plugins  # noqa: PLC0415 -- 20 ms, and most name one of ours

    return Plan(policy, extra=plugins.load(plugins.POLICIES).plugins, **rules)


def _where(options: dict[str, Any]) -> dict[str, Any]:
    """Those of some options that say where the energy was used and with what, taken out of them."""
    from greengen.sites import OPTIONS  # noqa: PLC0415 -- for those who ask

    return {name: options.pop(name) for name in OPTIONS if name in options}


def _site(where: Mapping[str, Any], rows: Rows) -> Site:
    """Where the energy was used; a live source is asked for the hours of the run."""
    from greengen import grid  # noqa: PLC0415 -- for those who ask

    return site(**where, period=grid.period(rows))


def site(**told: Any) -> Site:
    """Where the energy was used and with what, from what a user passes. Raises UsageError."""
    from greengen import sites  # noqa: PLC0415 -- for those who ask

    return sites.site(**told)


class Profile:
    """Record what happens inside: a context manager (sync or async) and a decorator.

    Inside another recording it is a span of that one. Each call of a decorated function appends a
    segment to the same file.
    """

    def __init__(
        self, path: str | Path | None, options: Options, *, force: bool, host: Host | None, append: bool = False
    ) -> None:
        self._path = Path(path) if path is not None else None
        self._options = options
        self._force = force
        self._append = append
        self._host = host
        self._profiler: Profiler | None = None
        self._span: Span | None = None

    def __enter__(self) -> Run:
        with active.STATE.lock:
            outer = active.STATE.writer
            if outer is None:
                profiler = Profiler(self._path, self._options, host=self._host)
                profiler.start(force=self._force, append=self._append)
                self._profiler = profiler
                return Run(profiler.path)
        self._span = span("profile", name=str(self._path) if self._path else None).__enter__()
        return Run(outer.path)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        inner, self._span = self._span, None
        if inner is not None:
            inner.__exit__(kind, error, trace)
        profiler, self._profiler = self._profiler, None
        if profiler is not None:
            profiler.stop()

    async def __aenter__(self) -> Run:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, trace)

    def __call__(self, function: F) -> F:
        """Record each call of `function`, as a segment. Calls may overlap: the outer one samples."""
        if inspect.isasyncgenfunction(function):

            @functools.wraps(function)
            async def wrapper(*args: Any, **kwargs: Any) -> Any:
                with self._call():
                    async with contextlib.aclosing(function(*args, **kwargs)) as items:
                        async for item in items:
                            yield item

        elif inspect.isgeneratorfunction(function):

            @functools.wraps(function)
            def wrapper(*args: Any, **kwargs: Any) -> Any:
                with self._call():
                    return (yield from function(*args, **kwargs))

        elif inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def wrapper(*args: Any, **kwargs: Any) -> Any:
                with self._call():
                    return await function(*args, **kwargs)

        else:

            @functools.wraps(function)
            def wrapper(*args: Any, **kwargs: Any) -> Any:
                with self._call():
                    return function(*args, **kwargs)

        return cast("F", wrapper)

    @contextlib.contextmanager
    def _call(self) -> Iterator[None]:
        segment = Profile(self._path, self._options, force=self._force, host=self._host, append=self._append)
        with segment:
            if segment._profiler is not None:
                # The file is there now, and ours: the next call goes on with it.
                self._path, self._append = segment._profiler.path, True
            yield


@overload
def profile(path: F) -> F: ...


@overload
def profile(
    path: str | Path | None = None,
    *,
    tier: str | None = None,
    interval_s: float = 0.1,
    collectors: tuple[str, ...] | None = None,
    force: bool = False,
    host: Host | None = None,
    cgroup: str | None = None,
) -> Profile: ...


def profile(
    path: Any = None,
    *,
    tier: str | None = None,
    interval_s: float = 0.1,
    collectors: tuple[str, ...] | None = None,
    force: bool = False,
    host: Host | None = None,
    cgroup: str | None = None,
) -> Any:
    """Record into a run file, as a context manager, a decorator, or a decorator with arguments.

    path        the run file; without one, greengen-<time>.greengen in the working directory
    tier        cloud, edge or device
    interval_s  time between two readings
    collectors  names to use, or to leave out with a leading `-`
    force       overwrite an existing run file
    host        where collectors look; for tests and containers
    cgroup      "self": all that runs in this process's cgroup (its container) is profiled, not only what descends
                from this process; a path or a process id of a cgroup that holds it
    """
    options = Options(interval_s=interval_s, tier=tier, collectors=collectors, cgroup=cgroup)
    if callable(path):
        return Profile(None, options, force=force, host=host)(path)
    return Profile(path, options, force=force, host=host)
