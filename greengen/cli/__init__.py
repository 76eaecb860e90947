"""The command line: one file per verb, loaded when it is asked for."""

from __future__ import annotations

import errno
import io
import keyword
import os
import sys
from collections.abc import Mapping
from importlib import import_module
from types import MappingProxyType

import click

from greengen.errors import GreengenError

#: verb, which is also its module → what it is for
VERBS: Mapping[str, str] = MappingProxyType(
    {
        "calibrate": "Fit this machine's idle and active power to a meter.",
        "compare": "Hold deployments against one another.",
        "doctor": "What this machine can measure, what it cannot, and the remedy.",
        "factors": "The tables that figures are made with, and their sources.",
        "import": "Bring in logs recorded elsewhere.",
        "intensity": "The grid intensity in use, and where it comes from.",
        "merge": "Put several runs into one.",
        "profile": "Run a command and record what it costs.",
        "report": "Show what a run cost.",
    }
)


class _Verbs(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 -- click's signature
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in VERBS:
            return None
        # `import` is a word of Python's own, so its module is `import_`.
        module = f"{cmd_name}_" if keyword.iskeyword(cmd_name) else cmd_name
        command: click.Command = import_module(f"greengen.cli.{module}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        # From the table: --help loads no verb.
        with formatter.section("Commands"):
            formatter.write_dl(list(VERBS.items()))


@click.command(cls=_Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="greengen", prog_name="greengen")
def cli() -> None:
    """Joules and grams of CO2e of each request, model and training run, in books that balance.

    Start with `greengen doctor`, then put `greengen profile --` before your own command.
    """


def main() -> None:
    """Run the command line; a mistake of the user's is one line on stderr and exit code 2."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        # Where its encoding lacks a character, as ISO-8859-1 lacks the rules of tables.
        sys.stdout.reconfigure(errors="replace")
    try:
        code = cli.main(standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message())
        code = 2
    except click.ClickException as error:
        code = _say(error.format_message(), error.exit_code)
    except GreengenError as error:
        code = _say(str(error), error.exit_code)
    except OSError as error:
        said = _refusal(error)
        if not said:
            raise
        code = _say(said, 2)
    except click.Abort:
        code = _say("interrupted", 130)
    sys.exit(code if isinstance(code, int) else 0)


def _refusal(error: OSError) -> str:
    """What to say where the system refused what the user asked for; empty where it is our own mistake."""
    if error.filename is not None:
        # A path that it will not even look at: a closed directory on the way, a name too long.
        return f"{error.filename}: {error.strerror}; name another file"
    if error.errno == errno.ENOENT:
        return "the working directory is no longer there: change to one that is, or name all files from the root"
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO):
        # What is left of it would fail once more when the interpreter ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return f"cannot write to the standard output: {error.strerror}"
    return ""


def _say(message: str, code: int) -> int:
    click.echo(f"greengen: {' '.join(message.split())}", err=True)
    return code
