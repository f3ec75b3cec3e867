"""
The drawings of the documentation, as SVG.

They are put into the pages as they are, and so have the colours of the theme that the
reader has chosen, light or dark.  Nothing of Sphinx is needed here, so that the tests
can look at them, too.
"""

from __future__ import annotations

from collections.abc import Callable
from xml.sax.saxutils import escape

# What is right, and what is not, in the theme's colours.
GOOD = "var(--color-brand-content, #2757dd)"
BAD = "var(--color-problematic, #b30000)"
PLAIN = "currentColor"

_SIZE = 14
_LINE = 18


class Drawing:
    """
    Boxes, arrows and words.

    :ivar width: of the whole.
    :ivar height: of the whole.
    """

    def __init__(self, width: int, height: int, title: str) -> None:
        self.width = width
        self.height = height
        self._title = title
        self._drawn: list[str] = []

    def box(
        self, x: int, y: int, width: int, height: int, text: str, colour: str = PLAIN
    ) -> None:
        """
        Draw a box.

        :param x: its left edge.
        :param y: its upper edge.
        :param width: how wide it is.
        :param height: how high it is.
        :param text: its lines, in its middle.
        :param colour: of its edge.
        """
        self._drawn.append(
            f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="5" '
            f'fill="none" style="stroke:{colour}"/>'
        )
        rows = text.count("\n") + 1
        self.text(
            x + width // 2,
            y + height // 2 + 5 - (rows - 1) * _LINE // 2,
            text,
            "middle",
        )

    def arrow(
        self,
        x1: int,
        y1: int,
        x2: int,
        y2: int,
        text: str = "",
        colour: str = PLAIN,
        isDashed: bool = False,
    ) -> None:
        """
        Draw an arrow, with words above its middle.

        :param x1: where it begins.
        :param y1: where it begins.
        :param x2: where its tip is.
        :param y2: where its tip is.
        :param text: the words.
        :param colour: of the arrow.
        :param isDashed: whether it is only about to happen, or does not arrive.
        """
        dashes = ' stroke-dasharray="5 4"' if isDashed else ""
        self._drawn.append(
            f'<line x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}" style="stroke:{colour}" '
            f'stroke-width="1.5"{dashes} marker-end="url(#{self._tip(colour)})"/>'
        )
        if text:
            self.text((x1 + x2) // 2, (y1 + y2) // 2 - 7, text, "middle", colour)

    def line(self, x1: int, y1: int, x2: int, y2: int, colour: str = PLAIN) -> None:
        """Draw a line."""
        self._drawn.append(
            f'<line x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}" style="stroke:{colour}" '
            'stroke-width="1.5"/>'
        )

    def text(
        self, x: int, y: int, text: str, anchor: str = "start", colour: str = PLAIN
    ) -> None:
        """
        Write some lines.

        :param x: where they are anchored.
        :param y: the base line of the first.
        :param text: the lines.
        :param anchor: the side at which they are anchored, or ``middle``.
        :param colour: of the words.
        """
        for number, line in enumerate(text.split("\n")):
            self._drawn.append(
                f'<text x="{x}" y="{y + number * _LINE}" text-anchor="{anchor}" '
                f'style="fill:{colour}">{escape(line)}</text>'
            )

    def _tip(self, colour: str) -> str:
        """:returns: the name of an arrow's tip, of which there is one a colour."""
        names = {PLAIN: "plain", GOOD: "good", BAD: "bad"}
        return f"{names[colour]}-{self.width}-{self.height}"

    def svg(self) -> str:
        """:returns: the drawing."""
        tips = "".join(
            f'<marker id="{self._tip(colour)}" viewBox="0 0 8 8" refX="7" refY="4" '
            'markerWidth="7" markerHeight="7" orient="auto"><path d="M0 0 8 4 0 8z" '
            f'style="fill:{colour}"/></marker>'
            for colour in (PLAIN, GOOD, BAD)
        )
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" role="img" '
            f'viewBox="-1 -1 {self.width + 2} {self.height + 2}" width="{self.width}" '
            f'style="max-width:100%;height:auto" font-family="sans-serif" '
            f'font-size="{_SIZE}"><title>{escape(self._title)}</title>'
            f"<defs>{tips}</defs>" + "".join(self._drawn) + "</svg>"
        )


def sides() -> Drawing:
    """Who dials, and who sends."""
    drawing = Drawing(720, 236, "Who dials, and who sends: all four go")
    for x, text in ((205, "sends"), (625, "receives")):
        drawing.text(x, 18, text, "middle")
    drawing.text(0, 75, "the sender dials")
    drawing.text(0, 185, "the receiver dials")
    for y, senderDials in ((34, True), (144, False)):
        active, passive = "active: dials", "passive: listens"
        drawing.box(130, y, 150, 72, active if senderDials else passive)
        drawing.box(550, y, 150, 72, passive if senderDials else active)
        start, end = (280, 548) if senderDials else (550, 282)
        drawing.arrow(start, y + 26, end, y + 26, "connection", isDashed=True)
        drawing.arrow(280, y + 58, 548, y + 58, "file", GOOD)
    return drawing


def port() -> Drawing:
    """A port that is attacked while it waits for its partner."""
    drawing = Drawing(760, 318, "A port under attack: strangers go, the partner stays")
    candidates = (
        ("a scanner", "hangs up", "dropped: hung up", BAD),
        ("a stranger", "shows another certificate", "dropped: unproven", BAD),
        ("a staller", "says nothing for 10 seconds", "dropped: timeout", BAD),
        ("the partner", "proves who it is", "admitted: the port closes", GOOD),
    )
    drawing.box(330, 12, 110, 230, "the port\nis open")
    for number, (who, what, outcome, colour) in enumerate(candidates):
        y = 46 + 56 * number
        drawing.text(0, y + 5, who, colour=colour)
        drawing.arrow(90, y, 328, y, what, colour)
        drawing.arrow(440, y, 500, y, colour=colour)
        drawing.text(510, y + 5, outcome, colour=colour)
    drawing.box(330, 256, 110, 44, "it is closed")
    drawing.text(0, 283, "whoever is late")
    drawing.arrow(110, 278, 328, 278, "", BAD, isDashed=True)
    drawing.text(510, 283, "refused by the system", colour=BAD)
    return drawing


def part() -> Drawing:
    """What becomes of a part."""
    drawing = Drawing(760, 300, "What becomes of a part")
    drawing.box(0, 20, 130, 56, "no part")
    drawing.box(240, 20, 150, 56, "a part, locked:\nbytes arrive")
    drawing.box(500, 20, 150, 56, "whole, and\non the disk")
    drawing.box(500, 224, 150, 56, "the new file;\nno part", GOOD)
    drawing.box(240, 150, 150, 56, "a part is left,\nnobody has it")
    drawing.arrow(130, 48, 238, 48, "a transfer")
    drawing.arrow(390, 48, 498, 48, "the last byte")
    drawing.arrow(575, 76, 575, 222, colour=GOOD)
    drawing.text(
        586, 142, "the target's name,\nin one step;\nthen the receipt", colour=GOOD
    )
    drawing.arrow(290, 76, 290, 148, colour=BAD)
    drawing.text(280, 116, "broken off,\nkilled", "end", BAD)
    drawing.arrow(350, 150, 350, 78, colour=GOOD)
    drawing.text(360, 106, "the next try:\nsame beginning", colour=GOOD)
    drawing.arrow(240, 178, 65, 78)
    drawing.text(120, 170, "another beginning:\nfrom the start", "middle")
    return drawing


def string() -> Drawing:
    """The way of a string to a channel."""
    drawing = Drawing(760, 250, "From a string to a channel")
    drawing.box(
        100, 8, 560, 32, "transfer:active:mtls:host=h.example:port=443:pin=…:within=60"
    )
    drawing.arrow(380, 40, 380, 70)
    drawing.box(0, 72, 150, 50, "mode:\nactive, passive")
    drawing.box(170, 72, 300, 50, "socket command:\nmtls:host=h.example:port=443:pin=…")
    drawing.box(
        490, 72, 270, 50, "options of the connector:\nwithin, retryFor, admit, …"
    )
    for x in (75, 320, 625):
        drawing.line(x, 122, x, 140)
    drawing.line(75, 140, 625, 140)
    drawing.arrow(75, 140, 75, 164)
    drawing.box(0, 166, 150, 50, "connector")
    drawing.box(210, 166, 150, 50, "endpoint:\ndial, or listen")
    drawing.box(420, 166, 150, 50, "links: TLS,\nproof, admission")
    drawing.box(630, 166, 130, 50, "channel", GOOD)
    for x in (150, 360):
        drawing.arrow(x, 191, x + 58, 191)
    drawing.arrow(570, 191, 628, 191, colour=GOOD)
    return drawing


def chunk() -> Drawing:
    """The ways of a chunk that comes in."""
    drawing = Drawing(760, 250, "The ways of a chunk that comes in")
    drawing.box(0, 96, 100, 50, "socket")
    drawing.box(150, 96, 150, 50, "transport\nof Twisted's, TLS")
    drawing.arrow(100, 121, 148, 121)
    drawing.box(610, 8, 150, 50, "your protocol", GOOD)
    drawing.box(610, 96, 150, 50, "read(),\nreadLine(), …")
    drawing.box(610, 184, 150, 50, "a file")
    drawing.arrow(300, 110, 608, 33, colour=GOOD)
    drawing.text(
        330, 18, "a protocol has the channel,\nno text settings: directly", colour=GOOD
    )
    drawing.box(360, 96, 170, 50, "inbox: decodes text,\nholds back")
    drawing.arrow(300, 121, 358, 121)
    drawing.arrow(530, 121, 608, 121)
    drawing.line(50, 146, 50, 209)
    drawing.arrow(
        50, 209, 608, 209, "from a plain socket into a file: the kernel, by splice(2)"
    )
    return drawing


DRAWINGS: dict[str, Callable[[], Drawing]] = {
    "sides": sides,
    "port": port,
    "part": part,
    "string": string,
    "chunk": chunk,
}
