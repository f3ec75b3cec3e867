"""
What was found, as tables in Markdown and reStructuredText, and as a picture.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from xml.sax.saxutils import escape

from benchmarks.speed.scenes import Found, sizeText
from benchmarks.speed.subjects import isOurs

_OWN, _OTHER = "var(--color-brand-content, #2757dd)", "currentColor"
_WIDTH, _NAMES, _BAR, _LINE = 760, 190, 440, 22


@dataclass(frozen=True)
class Table:
    """
    A table.

    :ivar title: what it shows.
    :ivar head: its first row.
    :ivar rows: the others.
    :ivar widths: of the columns, in parts of 100.
    """

    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    widths: Sequence[int]

    def markdown(self) -> str:
        """:returns: it in Markdown, with columns that can be read as they are."""
        lines = [self.head, *self.rows]
        wide = [max(map(len, column)) for column in zip(*lines, strict=True)]
        drawn = [
            " | ".join(
                cell.ljust(width) for cell, width in zip(line, wide, strict=True)
            )
            for line in lines
        ]
        drawn.insert(1, " | ".join("-" * width for width in wide))
        return f"{self.title}:\n\n" + "".join(f"| {line} |\n" for line in drawn)

    def restructured(self) -> str:
        """:returns: it as a list-table of reStructuredText."""
        shown = [f".. list-table:: {self.title}"]
        shown += ["   :header-rows: 1"]
        shown += [f"   :widths: {' '.join(map(str, self.widths))}", ""]
        for row in (self.head, *self.rows):
            for number, cell in enumerate(row):
                bullet = "*" if number == 0 else " "
                shown.append(f"   {bullet} - {_escaped(cell)}".rstrip())
        return "\n".join(shown) + "\n"


def _escaped(text: str) -> str:
    # An option is code: Sphinx makes one dash of two.
    return re.sub(r"(?<!\S)-[\w-]+", r"``\g<0>``", text.replace("|", r"\|"))


def _number(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}"


def figures(found: Iterable[Found], floor: float) -> Table:
    """
    :param found: what each subject has shown in each scene.
    :param floor: the least memory that can be seen, in MiB.
    :returns: a table of it.
    """
    rows = []
    for _, group in groupby(found, lambda each: each.scene.name):
        one, *others = group
        for each in (one, *others):
            name = each.scene.name if each is one else ""
            memory = each.memory
            seen = (
                f"< {floor:.0f}" if memory and memory <= floor else _number(memory, 0)
            )
            subject = each.subject
            if each.runs and each.bytes < each.scene.bytes:
                subject += f", {sizeText(each.bytes)}"
            if not each.runs:
                rows.append([name, subject, each.note, *[""] * 7])
                continue
            compared = each.rate / one.rate if each.rate and one.rate else None
            rows.append(
                [
                    name,
                    subject,
                    _number(each.seconds, 3),
                    _number(each.rate, 0 if (each.rate or 0) >= 10 else 2),
                    _number(compared, 2),
                    _number(each.cpu, 2) if each.scene.bytes >= 1 << 24 else "",
                    seen,
                    _number(each.inside, 0) if each.scene.bytes >= 1 << 24 else "",
                    _number(each.insideCPU, 2) if each.scene.bytes >= 1 << 24 else "",
                    _number(each.first, 0),
                ]
            )
    head = ["scene", "subject", "s", "MiB/s", "of the first", "CPU s/GiB", "MiB"]
    head += ["inside: MiB/s", "CPU s/GiB", "first byte, ms"]
    widths = (17, 21, 8, 8, 8, 8, 6, 8, 8, 8)
    return Table("Medians, whole processes", head, rows, widths)


def starts(found: Mapping[str, float]) -> Table:
    """:returns: a table of how long programs take to start."""
    rows = [[name, f"{seconds * 1000:.1f}"] for name, seconds in found.items()]
    return Table("Start-up", ["program", "ms"], rows, (80, 20))


def within(found: Mapping[str, float]) -> Table:
    """:returns: a table of what was found inside of processes."""
    rows = [[name, f"{value:g}"] for name, value in found.items()]
    return Table("In one process", ["figure", "value"], rows, (80, 20))


def picture(found: Iterable[Found]) -> str:
    """
    Draw the rates of the large transfers, as bars.

    :returns: SVG, in the colours of the page on which it is put.
    """
    drawn: list[str] = []
    y = 0
    for name, group in groupby(found, lambda each: each.scene.name):
        shown = [(each, each.rate) for each in group if each.rate]
        if not shown:
            continue
        most = max(rate for _, rate in shown)
        y += 34
        drawn.append(
            _text(0, y, f"{name}, MiB/s", "start", _OTHER, ' font-weight="600"')
        )
        y += 8
        for each, rate in shown:
            colour = _OWN if isOurs(each.subject) else _OTHER
            faint = "" if isOurs(each.subject) else ' opacity=".45"'
            width = _BAR * rate / most
            drawn.append(_text(_NAMES, y + 16, each.subject, "end", colour))
            drawn.append(
                f'<rect x="{_NAMES + 10}" y="{y + 3}" width="{width:.0f}" height="16" '
                f'style="fill:{colour}"{faint}/>'
            )
            right = _NAMES + 18 + round(width)
            drawn.append(_text(right, y + 16, f"{rate:.0f}", "start", colour))
            y += _LINE
    height = y + 10
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" viewBox="0 0 {_WIDTH} '
        f'{height}" width="{_WIDTH}" style="max-width:100%;height:auto" '
        'font-family="sans-serif" font-size="14"><title>How many MiB a second each '
        "subject moves</title>\n" + "\n".join(drawn) + "\n</svg>\n"
    )


def _text(x: int, y: int, text: str, anchor: str, colour: str, more: str = "") -> str:
    return (
        f'<text x="{x}" y="{y}" text-anchor="{anchor}" style="fill:{colour}"{more}>'
        f"{escape(text)}</text>"
    )
