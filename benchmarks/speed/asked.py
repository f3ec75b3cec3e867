"""
The figures that this library has to reach, beside those that it has.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from benchmarks import startup
from benchmarks.speed.scenes import Found
from benchmarks.speed.subjects import (
    BARE,
    BLOCKING,
    IN_PROCESS,
    RAW,
    RECEIPTS,
    SOCAT,
    TAR,
    TUNED_SOCAT,
    TWISTED,
)


@dataclass(frozen=True)
class Asked:
    """
    One figure.

    :ivar text: what it is.
    :ivar bound: what it has to be.
    :ivar atLeast: whether it may be more, or less.
    :ivar reached: what it is; None: it was not measured.
    :ivar unit: of both.
    """

    text: str
    bound: float
    atLeast: bool
    reached: float | None
    unit: str = ""

    @property
    def row(self) -> tuple[str, str, str, str]:
        """Its words, the bound, what was reached, and whether that is enough."""
        asked = f"{'≥' if self.atLeast else '≤'} {self.bound:g}{self.unit}"
        if self.reached is None:
            return self.text, asked, "not measured", ""
        good = (
            self.reached >= self.bound if self.atLeast else self.reached <= self.bound
        )
        return (
            self.text,
            asked,
            f"{self.reached:.2f}{self.unit}",
            "yes" if good else "no",
        )


def ratio(one: float | None, other: float | None) -> float | None:
    """:returns: one figure as a part of another, if there are both."""
    return None if one is None or not other else one / other


class Figures:
    """All that was found."""

    def __init__(
        self,
        found: Mapping[str, Iterable[Found]],
        starts: Mapping[str, float],
        within: Mapping[str, float],
    ) -> None:
        """
        :param found: by part, what each subject has shown.
        :param starts: what ``startUp()`` has found.
        :param within: what was found inside of processes.
        """
        self._found = found
        self._starts = starts
        self._within = within

    def _of(self, part: str, subject: str) -> Found | None:
        for found in self._found.get(part, ()):
            if found.subject == subject and found.runs:
                return found
        return None

    def _ratio(
        self, part: str, one: str, other: str, get: Callable[[Found], float | None]
    ) -> float | None:
        first, second = self._of(part, one), self._of(part, other)
        if first is None or second is None:
            return None
        return ratio(get(first), get(second))

    def rates(self, part: str, one: str, other: str) -> float | None:
        """:returns: the rate of one subject as a part of the rate of another."""
        return self._ratio(part, one, other, lambda found: found.rate)

    def cpu(self, one: str, other: str) -> float | None:
        """:returns: CPU seconds of one subject as a part of those of another."""
        return self._ratio("plain", one, other, lambda found: found.cpu)

    def inside(self, one: str, other: str) -> float | None:
        """:returns: the rate from the first byte to the last, likewise."""
        return self._ratio("plain", one, other, lambda found: found.inside)

    def insideCPU(self, one: str, other: str) -> float | None:
        """:returns: CPU seconds from the first byte to the last, likewise."""
        return self._ratio("plain", one, other, lambda found: found.insideCPU)

    def growth(self) -> float | None:
        """:returns: the most MiB that a process has more for the larger file."""
        found = list(self._found.get("memory", ()))
        sizes = {each.scene.size for each in found}
        if len(sizes) < 2:
            return None
        largest, growth = max(sizes), 0.0
        for few in found:
            for many in found:
                if (
                    few.scene.transport == many.scene.transport
                    and few.subject == many.subject
                    and few.scene.size < many.scene.size == largest
                    and few.runs
                    and many.runs
                ):
                    one, other = few.runs[0], many.runs[0]
                    growth = max(
                        growth,
                        other.sender.memory - one.sender.memory,
                        other.receiver.memory - one.receiver.memory,
                    )
        return growth

    def _waiting(self) -> tuple[float | None, float | None]:
        """:returns: KiB more than a port, and how much these vary."""
        more, own = [], []
        for name, value in self._within.items():
            if name.startswith("bytes of a waiting connector"):
                own.append(value)
                port = name.replace("connector", "port")
                more.append((value - self._within[port]) / 1024)
        return (max(more), max(own) / min(own)) if own else (None, None)

    def asked(self) -> list[Asked]:
        """:returns: all figures, with what was reached."""
        start = self._starts.get
        usual = start(startup.REACTOR)
        web, without = start(startup.WEB), start(startup.WEB_WITHOUT)
        plugin = start(startup.PLUGIN)
        dropin = (web - without) * 1000 if web and without else None
        more, varies = self._waiting()
        plain = "plain, whole commands:"
        inside = "plain, first to last byte:"
        mtls = "mtls, whole commands:"
        raw = f"{RAW} / {{}}".format
        kept = f"{RECEIPTS} / {RAW}"
        bridge = f"bridge, plain: {RECEIPTS} / {{}}".format
        pairs = self._within.get
        return [
            Asked(f"{plain} {raw(BARE)}", 0.85, True, self.rates("plain", RAW, BARE)),
            Asked(
                f"{plain} {raw(TUNED_SOCAT)}",
                0.9,
                True,
                self.rates("plain", RAW, TUNED_SOCAT),
            ),
            Asked(
                f"{plain} {raw(TWISTED)}", 2.5, True, self.rates("plain", RAW, TWISTED)
            ),
            Asked(f"{plain} CPU of {raw(BARE)}", 1.15, False, self.cpu(RAW, BARE)),
            Asked(
                f"{inside} {IN_PROCESS} / {BARE}",
                0.95,
                True,
                self.inside(IN_PROCESS, BARE),
            ),
            Asked(
                f"{inside} CPU of {IN_PROCESS} / {BARE}",
                1.15,
                False,
                self.insideCPU(IN_PROCESS, BARE),
            ),
            Asked(
                f"{mtls} {raw(BLOCKING)}", 0.95, True, self.rates("mtls", RAW, BLOCKING)
            ),
            Asked(
                f"{mtls} {raw(TUNED_SOCAT)}",
                0.9,
                True,
                self.rates("mtls", RAW, TUNED_SOCAT),
            ),
            Asked(f"{plain} {kept}", 0.8, True, self.rates("plain", RECEIPTS, RAW)),
            Asked(f"{mtls} {kept}", 0.9, True, self.rates("mtls", RECEIPTS, RAW)),
            Asked(bridge(SOCAT), 2, True, self.rates("bridge", RECEIPTS, SOCAT)),
            Asked(bridge(BARE), 0.9, True, self.rates("bridge", RECEIPTS, BARE)),
            Asked(
                "set-ups a CPU second: connectors / Twisted's endpoints",
                0.7,
                True,
                pairs("set-ups a CPU second, plain Twisted = 1"),
            ),
            Asked(
                "set-ups a CPU second: mtls / wrapServerTLS and wrapClientTLS",
                0.85,
                True,
                pairs("mtls set-ups a CPU second, Twisted's TLS = 1"),
            ),
            Asked(
                "a waiting connector beside a port of Twisted's", 3, False, more, " KiB"
            ),
            Asked(
                "a waiting connector, the most / the least, 100 to 10,000 of them",
                1.1,
                False,
                varies,
            ),
            Asked(
                f"many small files: {RECEIPTS} / {TAR}",
                0.5,
                True,
                self.rates("files", RECEIPTS, TAR),
            ),
            Asked(
                "more memory for the largest file than for 1 MiB",
                8,
                False,
                self.growth(),
                " MiB",
            ),
            Asked(
                f"{startup.HELP} / {startup.REACTOR}",
                1.2,
                False,
                ratio(start(startup.HELP), usual),
            ),
            Asked(
                f"{startup.RECEIVE} / {startup.REACTOR}",
                1.2,
                False,
                ratio(start(startup.RECEIVE), usual),
            ),
            Asked(f"{startup.WEB}: what our plugin adds", 5, False, dropin, " ms"),
            Asked(startup.PLUGIN, 5, False, plugin and plugin * 1000, " ms"),
        ]
