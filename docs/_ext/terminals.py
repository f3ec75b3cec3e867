"""
A picture of the terminals whose commands the first page shows.

The README shows the picture.  ``python docs/_ext/terminals.py`` makes it again after a
change of the page; a test types the commands, and finds a picture that is not the
page's.
"""

from __future__ import annotations

import re
import textwrap
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from xml.sax.saxutils import escape

_DOCS = Path(__file__).resolve().parent.parent
PAGE = _DOCS / "index.rst"
PICTURE = _DOCS / "terminals.svg"

_COLUMNS = 88
_SIZE, _ADVANCE, _LINE, _EDGE, _BAR = 13, 7.8, 19, 16, 30

# What has a colour of its own; all have a dark ground.
_COLOURS = (
    (r"transfer:active:\S+", "#7ee787"),
    (r"stored( by the partner)?$", "#7ee787"),
    (r"^\$ ", "#79c0ff"),
)
_TYPED, _PRINTED, _GROUND, _FRAME = "#f0f6fc", "#b1bac4", "#0d1117", "#30363d"


def windows(page: str) -> dict[str, list[str]]:
    """
    Read what the terminals of a page show.

    :param page: its text.
    :returns: by each caption the lines of the blocks that have it.
    """
    shown: dict[str, list[str]] = {}
    pattern = r"^\.\. code-block:: console\n   :caption: (.*)\n\n((?:   .*\n)+)"
    for caption, body in re.findall(pattern, page, re.M):
        lines = [line for line in textwrap.dedent(body).splitlines() if line != "…"]
        shown.setdefault(caption, []).extend(lines)
    return shown


def _rows(line: str) -> list[str]:
    """:returns: the rows that a terminal needs for a line, with its colours, as SVG."""
    colours = [_TYPED if line.startswith("$ ") else _PRINTED] * len(line)
    for pattern, colour in _COLOURS:
        for found in re.finditer(pattern, line):
            colours[found.start() : found.end()] = [colour] * len(found[0])
    coloured = list(zip(colours, line, strict=True))
    return [
        "".join(
            f'<tspan fill="{colour}">{escape("".join(text for _, text in run))}</tspan>'
            for colour, run in groupby(row, key=itemgetter(0))
        )
        for row in (
            coloured[start : start + _COLUMNS]
            for start in range(0, len(line), _COLUMNS)
        )
    ]


def _window(top: int, caption: str, lines: list[str]) -> tuple[str, int]:
    """
    :returns: a window, as SVG, and its height.
    """
    rows = [row for line in lines for row in _rows(line)]
    height = _BAR + len(rows) * _LINE + _EDGE
    width = _width()
    texts = "".join(
        f'<text x="{_EDGE}" y="{top + _BAR + 18 + number * _LINE}" '
        f'xml:space="preserve">{row}</text>'
        for number, row in enumerate(rows)
    )
    dots = "".join(
        f'<circle cx="{18 + 16 * number}" cy="{top + 15}" r="5" fill="{_FRAME}"/>'
        for number in range(3)
    )
    return (
        f'<rect x=".5" y="{top + 0.5}" width="{width - 1}" height="{height - 1}" '
        f'rx="8" fill="{_GROUND}" stroke="{_FRAME}"/>{dots}'
        f'<text x="{width / 2:.0f}" y="{top + 20}" text-anchor="middle" '
        f'fill="{_PRINTED}" font-family="sans-serif">{escape(caption)}</text>{texts}',
        height,
    )


def _width() -> int:
    return round(_COLUMNS * _ADVANCE) + 2 * _EDGE


def picture(page: str) -> str:
    """
    Draw the terminals of a page, one below the other.

    :param page: its text.
    :returns: the picture, as SVG.
    """
    shown = windows(page)
    top, drawn = 0, ""
    for caption, lines in shown.items():
        window, height = _window(top, caption, lines)
        drawn += f"{window}\n"
        top += height + 12
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" width="{_width()}" '
        f'height="{top - 12}" viewBox="0 0 {_width()} {top - 12}" '
        f"font-family=\"ui-monospace, Menlo, Consolas, 'DejaVu Sans Mono', monospace\" "
        f'font-size="{_SIZE}">\n'
        f"<title>{escape(', '.join(shown))}</title>\n{drawn}</svg>\n"
    )


if __name__ == "__main__":
    PICTURE.write_text(picture(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
