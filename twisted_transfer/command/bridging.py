"""
The ``bridge`` command: join two connections both ways.
"""

from __future__ import annotations

import sys
from typing import Any, ClassVar

from twisted.internet.defer import CancelledError
from twisted.internet.error import ConnectError, DNSLookupError
from twisted.internet.task import deferLater
from twisted.python.usage import UsageError

from twisted_transfer import errors
from twisted_transfer.addresses import waitingText
from twisted_transfer.command import reports
from twisted_transfer.command.commandline import (
    STANDARD,
    TALK,
    Worded,
    parseDescription,
    readDescription,
)
from twisted_transfer.connecting.connector import TransferConnector
from twisted_transfer.deferreds import deferring
from twisted_transfer.descriptions.mtls import makesInvitation
from twisted_transfer.descriptions.transfer import TransferDescription
from twisted_transfer.transfers.bridging import Bridged, bridge

_STDIO = "stdio:"

_PAUSE = 1.0
"""Seconds after an error until the next partner is waited for, with ``--again``."""

_PASSES = (
    ConnectError,
    DNSLookupError,
    errors.NotAdmitted,
    errors.PartnerTimeout,
    errors.PeerRefused,
    errors.RelayFailed,
    errors.Truncated,
)
"""The errors after which the next partner may do better."""


class BridgeOptions(Worded):
    """
    The options of ``bridge``.

    :ivar descriptions: how to get the two partners, once the options have been read.
    """

    synopsis = "[options] DESCRIPTION DESCRIPTION"
    longdesc = (
        "Join two connections both ways: what comes from one goes to the other, and "
        "the end of one direction is passed on.  One that dials does so when the other "
        "one, if that listens, has its partner.  stdio: as a description stands for "
        "standard input and output; @FILE and - are read as by send.  For example, to "
        "let partners on port 8000 reach a program on a UNIX socket, one after the "
        "other: twisted-transfer bridge --again transfer:passive:port=8000 "
        "transfer:active:unix:path=/run/app.sock"
    )
    optFlags: ClassVar[list[list[str | None]]] = [
        *TALK,
        ["again", None, "Serve one partner after the other, until this is stopped."],
    ]

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.descriptions: list[TransferDescription] = []

    def parseArgs(self, *words: str) -> None:
        """Read the two descriptions."""
        if len(words) != 2:
            raise UsageError(
                f"two descriptions are wanted, and {len(words) or 'no'} words are given"
            )
        if words[0] == words[1] and words[0] in (STANDARD, _STDIO):
            raise UsageError(f"{words[0]} can be given once")
        if STANDARD in words and _STDIO in words:
            raise UsageError(
                "standard input can give a description or the data, not both: use "
                "@FILE for the description"
            )
        for word in words:
            text = readDescription(word, sys.stdin)
            if text == _STDIO:
                text = f"transfer:passive:{_STDIO}"
            description = parseDescription(text)
            if description.again:
                raise UsageError(
                    "again=yes is for servers; for a bridge that serves one partner "
                    "after the other there is --again"
                )
            self.descriptions.append(description)

    def job(self, reactor: Any, report: reports.Report) -> BridgeJob:
        """:returns: the bridge, which has not begun."""
        return BridgeJob(reactor, self.descriptions, bool(self["again"]), report)


class BridgeJob:
    """One bridge, or one after the other."""

    def __init__(
        self,
        reactor: Any,
        descriptions: list[TransferDescription],
        again: bool,
        report: reports.Report,
    ) -> None:
        """
        :param reactor: runs it.
        :param descriptions: how to get the two partners.
        :param again: whether there is another bridge after each.
        :param report: is told what happens.
        """
        self._reactor = reactor
        self._descriptions = descriptions
        self._again = again
        self._report = report

    @deferring
    async def run(self) -> int:
        """
        Make the bridge.

        :returns: a Deferred with the exit status, when nothing is left open.
            Everything that fails is reported and becomes a status; but when it is
            cancelled, it fails with ``CancelledError``, after everything was closed.
        """
        while True:
            try:
                await self._one()
                if not self._again:
                    return reports.Status.DONE
            except CancelledError:
                raise
            except Exception as error:
                status = reports.tellError(self._report, error)
                if not (self._again and isinstance(error, _PASSES)):
                    return status
                await deferLater(self._reactor, _PAUSE)

    async def _one(self) -> None:
        """Get two partners, and join them until their end."""
        one, other = (
            TransferConnector.fromDescription(self._reactor, each)
            for each in self._descriptions
        )
        began: list[float] = []

        def moved(passed: Bridged) -> None:
            if not began:
                began.append(self._reactor.seconds())

        running = bridge(one, other, moved)
        for connector, description in zip(
            (one, other), self._descriptions, strict=True
        ):
            if description.mode == "passive":
                self._sayHow(connector, description)
        passed = await running
        seconds = self._reactor.seconds() - began[0] if began else 0.0
        self._report.say(
            f"passed {passed.there} bytes there and {passed.back} back in "
            f"{seconds:.2f} s"
        )

    @deferring
    async def _sayHow(
        self, connector: TransferConnector, description: TransferDescription
    ) -> None:
        """Say where this side listens, and what lets the partner in."""
        command = description.socketCommand
        if command is not None and command.kind == "stdio":
            return
        try:
            address = await connector.whenListening()
        except Exception:
            return  # the bridge fails as well, and says why
        self._report.say(waitingText(address))
        if command is not None and makesInvitation(command):
            self._report.tellSecret(f"partner: {await connector.invitation()}")
