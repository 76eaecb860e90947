"""The page that people decide from: one file that works offline, with no script that it needs to be read.

Its figures are drawn here, as SVG: they print as they show, follow light and dark, and cost no
library in the page. The only script sorts tables and opens what is folded when the page is printed.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from typing import Any

from greengen.reports import comparison_answers as answers
from greengen.reports import comparison_curves as curves
from greengen.reports import comparison_figures as figures
from greengen.reports import comparison_tables as tables
from greengen.reports import format as fmt
from greengen.reports import page, scaled, words

#: So many sentences are read at once; the rest unfold.
_SENTENCES = 6
_TITLE_NAMES = 3
_SIGNS = {"less": "▼", "more": "▲", "not distinguishable": "≈"}


def render(document: Mapping[str, Any]) -> str:
    """The page as text, to be written as UTF-8. document: schema greengen.comparison/1."""
    environment = page.environment()
    environment.filters |= {"bare": scaled.bare, "whole": scaled.whole, "sign": lambda verdict: _SIGNS.get(verdict, "")}
    script = page.script(files("greengen.reports").joinpath("templates/report.js").read_text("utf-8"))
    return environment.get_template("comparison.html.j2").render(
        document,
        title_text=title(document),
        per=figures.per(document),
        sentences=_SENTENCES,
        policy=page.policy([script]),
        script=script,
        scroll_rows=page.SCROLL_ROWS,
        paged_rows=page.PAGED_ROWS,
        footnotes=page.Footnotes(),
        data=page.data(document),
        grades=_grades(document),
        grade_words=words.GRADES,
        ratios=figures.ratios(document),
        tables=[tables.costs(document), tables.services(document), tables.tiers(document)],
        figures=[
            figures.carbon(document),
            figures.energy(document),
            *curves.tradeoffs(document),
            curves.batch(document),
            *answers.tornadoes(document),
            curves.distribution(document),
            *curves.power(document),
            figures.accounts(document, "accounts"),
            figures.accounts(document, "domains"),
        ],
        answers=answers.answers(document),
        unasked=answers.unasked(document),
        repeats=tables.repeats(document),
        factors=tables.sources(document),
        sites=_sites(document),
        told_warnings=_warnings(document),
    )


def title(document: Mapping[str, Any]) -> str:
    """What the page is called: its own title, or the options."""
    if document.get("title"):
        return str(document["title"])
    names = [fmt.shortened(option["name"], 40) for option in document["options"]]
    left = len(names) - _TITLE_NAMES
    if left > 0:
        return f"{', '.join(names[:_TITLE_NAMES])} and {left} more, compared"
    return f"{', '.join(names[:-1])} and {names[-1]}, compared" if len(names) > 1 else names[0]


def _grades(document: Mapping[str, Any]) -> list[str]:
    """The grades of the joules that are compared."""
    found = {option["energy_j"].get("grade") for option in document["options"]}
    return [grade for grade in words.GRADES if grade in found]


def _warnings(document: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(of which options, warning), each warning once; of nobody where it is of the comparison, or of all options."""
    of: dict[str, list[str]] = {str(text): [] for text in document["warnings"]}
    for option in document["options"]:
        for text in option["warnings"]:
            of.setdefault(str(text), []).append(str(option["name"]))
    told = []
    for text, names in of.items():
        left = len(names) - _TITLE_NAMES
        who = ", ".join(names[:_TITLE_NAMES]) + (f" and {left} more" if left > 0 else "")
        told.append(("" if len(names) == len(document["options"]) else who, text))
    return told


def _sites(document: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(options, site) of each site in use."""
    users: dict[str, list[str]] = {}
    for option in document["options"]:
        users.setdefault(tables.site(option.get("site")), []).append(option["name"])
    everyone = len(document["options"])
    return [("all options" if len(names) == everyone else ", ".join(names), told) for told, names in users.items()]
