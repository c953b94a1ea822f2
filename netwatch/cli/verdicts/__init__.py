"""How a verdict of `check` is shown: one module a format, one line in the table."""

from collections.abc import Callable
from typing import Final

from netwatch.cli.verdicts.github import github
from netwatch.cli.verdicts.json import json
from netwatch.cli.verdicts.junit import junit
from netwatch.cli.verdicts.markdown import markdown
from netwatch.cli.verdicts.sarif import sarif
from netwatch.cli.verdicts.text import text

FORMATS: Final[dict[str, Callable[..., str]]] = {
    "text": text,
    "json": json,
    "sarif": sarif,
    "junit": junit,
    "github": github,
    "md": markdown,
}
"""name -> function(verdict, *, options of its own): whole lines, the last one with its end."""
