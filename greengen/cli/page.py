"""Show again what a page holds: `greengen report page.html`, `greengen compare page.html`."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import click
from click.core import ParameterSource
from jinja2 import TemplateError

from greengen import pages, plugins
from greengen.errors import UsageError

#: Options that say how to show, and nothing of how to count.
_SHOWING = frozenset({"format_", "out", "force"})
_COMPARISONS = ("terminal", "json", "html", "csv", "markdown")


def among(paths: Collection[Path]) -> bool:
    """Whether one of the files is a page."""
    return any(map(pages.is_page, paths))


def shown(paths: Collection[Path], renderer: str, argument: str) -> str:
    """The page's document as text of a renderer. argument: the parameter that holds the files.

    Raises UsageError for more than one file, for an option that would need the runs, and for a page
    that holds no document or a damaged one.
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
        and parameter.name not in _SHOWING | {argument}
        and context.get_parameter_source(parameter.name) in {ParameterSource.COMMANDLINE, ParameterSource.ENVIRONMENT}
    }
    if given:
        msg = f"{path} is a page: its numbers are made, and {', '.join(sorted(given))} needs the run files"
        raise UsageError(msg)
    document = pages.read(path)
    if document["schema"] == "greengen.comparison/1" and renderer not in _COMPARISONS:
        msg = f"{path} holds a comparison, which has no form {renderer}: choose {', '.join(_COMPARISONS)}"
        raise UsageError(msg)
    render = plugins.load(plugins.REPORTS, [renderer]).plugins[renderer]
    try:
        text = str(render(document))
    except (LookupError, TypeError, ValueError, AttributeError, TemplateError) as error:
        msg = f"{path} holds a document that is damaged: {type(error).__name__} {error}"
        raise UsageError(msg) from error
    return text.encode("utf-8", "replace").decode()
