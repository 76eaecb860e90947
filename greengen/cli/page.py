"""Show again what a page holds: `greengen report page.html`, `greengen compare page.html`."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from greengen import pages, plugins
from greengen.errors import UsageError

#: Options that say how to show, and nothing of how to count.
_SHOWING = frozenset({"format_", "out", "force"})
_COMPARISONS = ("terminal", "json", "html", "csv", "markdown")


def among(paths: Collection[Path]) -> bool:
    """Whether one of the files is a page."""
    return any(map(pages.is_page, paths))


def held(paths: Collection[Path], argument: str, also: Collection[str] = ()) -> dict[str, Any]:
    """The document of the one page. argument: the parameter that holds the files; also: options that may be given.

    Raises UsageError for more than one file, for an option that would need the runs, and for a page
    that holds no document.
    """
    path = next(path for path in paths if pages.is_page(path))
    if len(paths) > 1:
        msg = f"{path} is a page, which is shown by itself: name its run files to put it with others"
        raise UsageError(msg)
    context = click.get_current_context()
    given = {
        parameter.opts[0]
        for parameter in context.command.params
        if parameter.name is not None
        and parameter.name not in {*_SHOWING, argument, *also}
        and context.get_parameter_source(parameter.name) in {ParameterSource.COMMANDLINE, ParameterSource.ENVIRONMENT}
    }
    if given:
        msg = f"{path} is a page: its numbers are made, and {', '.join(sorted(given))} needs the run files"
        raise UsageError(msg)
    return pages.read(path)


def shown(document: Mapping[str, Any], renderer: str) -> str:
    """The document as text of a renderer. Raises UsageError where it has no such form, or is damaged."""
    if document["schema"] == "greengen.comparison/1" and renderer not in _COMPARISONS:
        msg = f"a comparison has no form {renderer}: choose {', '.join(_COMPARISONS)}"
        raise UsageError(msg)
    from jinja2 import TemplateError  # noqa: PLC0415 -- runs are shown without it

    render = plugins.load(plugins.REPORTS, [renderer]).plugins[renderer]
    try:
        text = str(render(document))
    except (LookupError, TypeError, ValueError, AttributeError, TemplateError) as error:
        msg = f"the page holds a document that is damaged: {type(error).__name__} {error}"
        raise UsageError(msg) from error
    return text.encode("utf-8", "replace").decode()
