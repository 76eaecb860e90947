"""The layers, and what keeps modules small: rules that nobody should have to check by eye.

The source is read, not imported. Each rule is a function from a module to the complaints about it;
the last test shows each of them a module that breaks it.
"""

from __future__ import annotations

import ast
import os
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))

#: The folders that ship, and the packages they install as.
FOLDERS = {"greengen": "greengen", "collectors": "greengen.collectors", "reports": "greengen.reports"}

MAX_LINES = 400
MAX_PARAMETERS = 8

#: What recording on a small edge device must do without.
HEAVY = {"numpy", "pandas", "plotly", "jinja2", "rich", "codecarbon"}
#: What a pure function has no use for.
INPUT_OUTPUT = {
    "http",
    "io",
    "os",
    "pathlib",
    "shutil",
    "socket",
    "sqlite3",
    "subprocess",
    "tempfile",
    "time",
    "urllib",
}
INPUT_OUTPUT_CALLS = {"open", "print", "input", "read_text", "read_bytes", "write_text", "write_bytes"}

#: These may import everything: the command line, the bridges to other tools, and the test kit.
FREE = ("greengen.cli", "greengen.integrations", "greengen.testing")
#: Of greengen itself, these import nothing but what is listed.
ONLY = {
    "greengen.accounting": (
        "greengen.accounting",
        "greengen.basis",
        "greengen.collector",
        "greengen.errors",
        "greengen.propagation",
        "greengen.quantity",
        "greengen.rows",
        "greengen.stated",
    ),
    "greengen.collectors": ("greengen.collectors", "greengen.collector", "greengen.errors", "greengen.helpers"),
}
#: And these never what is listed.
NEVER = {
    "greengen.recording": (*HEAVY, "greengen.accounting", "greengen.document", "greengen.run", *FREE),
    "greengen.accounting": tuple(INPUT_OUTPUT),
    "greengen.reports": ("greengen.recording", "greengen.collectors", *FREE),
    # The truth that policies are held against is not of their making.
    "greengen.testing.serving": ("greengen.accounting",),
}
#: Found by entry points, and imported by name by none but `FREE` and themselves.
PLUGINS = ("greengen.collectors", "greengen.reports")

BROAD_EXCEPT = {
    "greengen.recording.sampler",  # a collector that fails leaves a gap, and the others go on
    "greengen.recording.drive",  # what is thrown into a generator is the generator's to catch
    "greengen.recording.columns",  # a stranger's __str__ must not cost the other rows
    "greengen.recording.writer",  # nor one span that cannot be told
    "greengen.cli.profile",  # the command's exit code is passed on, whatever becomes of the report
    "greengen.plugins",  # a plug-in that does not load is reported, and the others do
}


@dataclass(frozen=True)
class Module:
    """A source file: its import name, its text and its syntax tree."""

    name: str
    text: str
    package: bool = False

    def nodes(self) -> Iterator[ast.AST]:
        return ast.walk(ast.parse(self.text))

    def imports(self) -> Iterator[str]:
        """What this module imports, anywhere in it; `from a import b` gives both `a` and `a.b`."""
        for node in self.nodes():
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                base = self._base(node)
                yield base
                yield from (f"{base}.{alias.name}" for alias in node.names)
            elif isinstance(node, ast.Call) and called(node) in ("import_module", "__import__"):
                yield from (str(argument.value) for argument in node.args[:1] if isinstance(argument, ast.Constant))

    def _base(self, node: ast.ImportFrom) -> str:
        if not node.level:
            return node.module or ""
        here = self.name.split(".")
        above = here[: len(here) - node.level + self.package]
        return ".".join([*above, *([node.module] if node.module else [])])


Rule = Callable[[Module], Iterator[str]]


def within(name: str, *packages: str) -> bool:
    """Whether a module is one of these, or inside one."""
    return any(name == package or name.startswith(f"{package}.") for package in packages)


def called(node: ast.Call) -> str:
    """The last name of what a call calls: `open` of `path.open()`."""
    return node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")


def imports_in_the_wrong_direction(module: Module) -> Iterator[str]:
    # `from greengen import rows` gives `greengen` too, which by itself loads nothing.
    for imported in set(module.imports()) - {"greengen"}:
        ours = within(imported, "greengen")
        for layer, allowed in ONLY.items():
            if ours and within(module.name, layer) and not within(imported, *allowed):
                yield f"{layer} imports {imported}"
        for layer, forbidden in NEVER.items():
            if within(module.name, layer) and within(imported, *forbidden):
                yield f"{layer} imports {imported}"


def plugins_imported_by_name(module: Module) -> Iterator[str]:
    for imported in module.imports():
        for plugins in PLUGINS:
            if within(imported, plugins) and not within(module.name, plugins, *FREE):
                yield f"imports {imported}, which an entry point should find"


def input_or_output_in_accounting(module: Module) -> Iterator[str]:
    if within(module.name, "greengen.accounting"):
        calls = (called(node) for node in module.nodes() if isinstance(node, ast.Call))
        yield from (f"calls {name}()" for name in calls if name in INPUT_OUTPUT_CALLS)


def signal_handling_in_the_library(module: Module) -> Iterator[str]:
    if not within(module.name, "greengen.cli"):
        yield from (f"imports {name}" for name in module.imports() if within(name, "signal"))


def too_many_lines(module: Module) -> Iterator[str]:
    lines = len(module.text.splitlines())
    if lines > MAX_LINES:
        yield f"has {lines} lines: does it hold two ideas?"


def too_many_parameters(module: Module) -> Iterator[str]:
    """A command is left out: click hands it one parameter per option."""
    for node in module.nodes():
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and not is_command(node):
            of = node.args
            all_of_them = [*of.posonlyargs, *of.args, *of.kwonlyargs, *filter(None, (of.vararg, of.kwarg))]
            count = sum(parameter.arg not in ("self", "cls") for parameter in all_of_them)
            if count > MAX_PARAMETERS:
                yield f"{node.name}() has {count} parameters"


def is_command(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    return any(isinstance(by, ast.Call) and called(by) == "command" for by in function.decorator_list)


def broad_excepts(module: Module) -> Iterator[str]:
    """Handlers that swallow every error; one that ends in a bare `raise` swallows none."""
    if module.name in BROAD_EXCEPT:
        return
    for node in module.nodes():
        if isinstance(node, ast.ExceptHandler):
            last = node.body[-1]
            if is_broad(node.type) and not (isinstance(last, ast.Raise) and last.exc is None):
                yield f"line {node.lineno} catches everything"
        elif isinstance(node, ast.Call) and called(node) == "suppress" and any(map(is_broad, node.args)):
            yield f"line {node.lineno} suppresses everything"


def is_broad(error: ast.expr | None) -> bool:
    """Whether an except clause names no error, or one that is every error."""
    if isinstance(error, ast.Tuple):
        return any(map(is_broad, error.elts))
    return error is None or (isinstance(error, ast.Name) and error.id in ("Exception", "BaseException"))


def files() -> Iterator[tuple[str, Path]]:
    """Every file that could ship, with the package it belongs to; links are not followed."""
    for folder, package in FOLDERS.items():
        for directory, below, names in os.walk(ROOT / folder):
            below[:] = sorted(name for name in below if name != "__pycache__")
            inside = Path(directory).relative_to(ROOT / folder).parts
            yield from ((".".join([package, *inside]), Path(directory, name)) for name in sorted(names))


@cache
def modules() -> list[Module]:
    """Every module that ships, read once for all tests."""
    found = []
    for package, path in files():
        if path.suffix == ".py":
            is_package = path.name == "__init__.py"
            name = package if is_package else f"{package}.{path.stem}"
            found.append(Module(name, path.read_text(encoding="utf-8"), is_package))
    return found


RULES: list[Rule] = [
    imports_in_the_wrong_direction,
    plugins_imported_by_name,
    input_or_output_in_accounting,
    signal_handling_in_the_library,
    too_many_lines,
    too_many_parameters,
    broad_excepts,
]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_rule(rule: Rule) -> None:
    complaints = [f"{module.name}: {complaint}" for module in modules() for complaint in rule(module)]
    assert not complaints, "\n".join(complaints)


def test_recording_needs_nothing_heavy() -> None:
    """By any path: what recording imports may import something heavy in its turn."""
    light = ("greengen.recording", "greengen.collectors", "greengen.plugins")
    names = sorted(module.name for module in modules() if within(module.name, *light))
    program = f"import importlib, sys\nfor name in {names}: importlib.import_module(name)\nprint(*sys.modules)"
    child = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert not HEAVY & set(child.stdout.split())


def test_packages_are_listed() -> None:
    found = {package for package, path in files() if path.suffix == ".py"}
    assert found == set(PYPROJECT["tool"]["setuptools"]["packages"])


def test_packages_have_an_init() -> None:
    found = {package for package, path in files() if path.suffix == ".py"}
    assert found == {package for package, path in files() if path.name == "__init__.py"}


def test_data_files_ship() -> None:
    patterns = PYPROJECT["tool"]["setuptools"]["package-data"]
    shipped = [f"{package.replace('.', '/')}/{glob}" for package, globs in patterns.items() for glob in globs]
    data = [f"{package.replace('.', '/')}/{path.name}" for package, path in files() if path.suffix != ".py"]
    assert [name for name in data if not any(fnmatch(name, glob) for glob in shipped)] == []


ENTRY_POINTS = [
    target
    for group in (PYPROJECT["project"]["scripts"], *PYPROJECT["project"]["entry-points"].values())
    for target in group.values()
]


@pytest.mark.parametrize("target", ENTRY_POINTS)
def test_entry_point_exists(target: str) -> None:
    name, _, attribute = target.partition(":")
    [tree] = [ast.parse(module.text) for module in modules() if module.name == name]
    defined = {node.name for node in tree.body if isinstance(node, (ast.FunctionDef, ast.ClassDef))}
    imported = {a.asname or a.name for node in tree.body if isinstance(node, ast.ImportFrom) for a in node.names}
    assert attribute in defined | imported


PARAMETERS = ", ".join("abcdefgh")


@pytest.mark.parametrize(
    ("rule", "name", "text"),
    [
        (imports_in_the_wrong_direction, "greengen.recording.x", "from greengen.accounting import ledger"),
        (imports_in_the_wrong_direction, "greengen.recording.x", "def f():\n    import pandas"),
        (imports_in_the_wrong_direction, "greengen.recording.x", "from greengen import run"),
        (imports_in_the_wrong_direction, "greengen.accounting.x", "from greengen import data"),
        (imports_in_the_wrong_direction, "greengen.accounting.x", "from ..recording import spans"),
        (imports_in_the_wrong_direction, "greengen.accounting.x", "import os.path"),
        (imports_in_the_wrong_direction, "greengen.collectors.x", "from greengen.recording import spans"),
        (imports_in_the_wrong_direction, "greengen.reports.x", "import greengen.collectors.rapl"),
        (imports_in_the_wrong_direction, "greengen.testing.serving.x", "from greengen.accounting import ledger"),
        (plugins_imported_by_name, "greengen.run", "from greengen.reports import html"),
        (plugins_imported_by_name, "greengen.plugins", "import_module('greengen.collectors.rapl')"),
        (input_or_output_in_accounting, "greengen.accounting.x", "open('f')"),
        (input_or_output_in_accounting, "greengen.accounting.x", "path.read_text()"),
        (signal_handling_in_the_library, "greengen.recording.x", "import signal"),
        (too_many_lines, "greengen.x", "\n" * (MAX_LINES + 1)),
        (too_many_parameters, "greengen.x", f"def f(self, {PARAMETERS}, *, i): ..."),
        (too_many_parameters, "greengen.x", f"async def f({PARAMETERS}, **i): ..."),
        (broad_excepts, "greengen.x", "try: ...\nexcept: ..."),
        (broad_excepts, "greengen.x", "try: ...\nexcept (OSError, Exception): ..."),
        (broad_excepts, "greengen.x", "with contextlib.suppress(Exception): ..."),
    ],
)
def test_rule_sees_a_breach(rule: Rule, name: str, text: str) -> None:
    assert list(rule(Module(name, text)))


@pytest.mark.parametrize(
    ("rule", "name", "text"),
    [
        (imports_in_the_wrong_direction, "greengen.recording.x", "from greengen.recording import numpy_free"),
        (imports_in_the_wrong_direction, "greengen.accounting.x", "from greengen import rows"),
        (imports_in_the_wrong_direction, "greengen.accounting.x", "import timeit"),
        (plugins_imported_by_name, "greengen.cli.x", "from greengen.reports import html"),
        (plugins_imported_by_name, "greengen.reports.x", "from greengen.reports import html"),
        (plugins_imported_by_name, "greengen.plugins", "entry_points(group='greengen.collectors')"),
        (signal_handling_in_the_library, "greengen.cli.profile", "import signal"),
        (too_many_parameters, "greengen.x", f"def f(self, {PARAMETERS}): ..."),
        (too_many_parameters, "greengen.cli.x", f"@click.command('x')\ndef f({PARAMETERS}, i): ..."),
        (broad_excepts, "greengen.x", "try: ...\nexcept BaseException:\n    undo()\n    raise"),
    ],
)
def test_rule_lets_pass(rule: Rule, name: str, text: str) -> None:
    assert not list(rule(Module(name, text)))
