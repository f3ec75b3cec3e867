"""
One transfer from beginning to end, as the command and the service run it.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IAddress
from twisted.python.failure import Failure

from twisted_transfer.channel import TransferChannel
from twisted_transfer.connector import TransferConnector
from twisted_transfer.copying import Progress, receive
from twisted_transfer.descriptions import TransferDescription
from twisted_transfer.errors import BadOption
from twisted_transfer.localends import destinationAt, sourceAt
from twisted_transfer.mtlsstrings import makesInvitation
from twisted_transfer.partnercommands import partnerCommands
from twisted_transfer.progress import summary
from twisted_transfer.raw import sendRaw
from twisted_transfer.reports import Report
from twisted_transfer.statuses import Status, statusOf, wordsFor

_KEEP_IT = """\
(It holds a secret, good for one connection.  Where others can see command lines,
put - in the place of the description, and paste that when asked.)"""


@dataclass(frozen=True)
class Request:
    """
    What is to be done.

    :ivar sends: whether this side sends; otherwise it receives.
    :ivar path: where from or where to; ``-`` for standard input or output.
    :ivar description: how to get the partner.
    :ivar force: whether a file that is there may be replaced.
    :ivar standardOutput: the descriptor that ``-`` stands for when receiving.
    """

    sends: bool
    path: str
    description: TransferDescription
    force: bool = False
    standardOutput: int = 1


@dataclass
class _Ends:
    """What the two directions have different: the local end, and the moving."""

    move: Callable[[TransferChannel, Progress | None], Deferred[int]]
    release: Callable[[], None]
    doing: str
    done: str


class RawJob:
    """One raw transfer."""

    def __init__(self, reactor: Any, request: Request, report: Report) -> None:
        """
        :param reactor: does everything.
        :param request: what is to be done.
        :param report: is told what happens.
        """
        self._reactor = reactor
        self._request = request
        self._report = report
        command = request.description.socketCommand
        self._invites = (
            request.description.mode == "passive"
            and command is not None
            and makesInvitation(command)
        )

    def run(self) -> Deferred[int]:
        """
        Do it.

        :returns: a Deferred with the exit status, when nothing is left open.
            Everything that fails is reported and becomes a status; but when it
            is cancelled, it fails with ``CancelledError``, after everything
            was closed.
        """
        return Deferred.fromCoroutine(self._run())

    async def _run(self) -> int:
        try:
            await self._transfer()
        except CancelledError:
            raise
        except Exception as error:
            status = statusOf(error)
            if status is Status.BUG:
                self._report.bug(Failure())
            else:
                self._report.complain(wordsFor(error))
            return status
        return Status.DONE

    def _open(self) -> _Ends:
        """Get the local end ready, before anybody is listened for or dialled."""
        request = self._request
        if request.sends:
            source = sourceAt(self._reactor, request.path)
            source.open()
            return _Ends(
                lambda channel, progress: sendRaw(
                    self._reactor, source, channel, progress
                ),
                source.close,
                "sending",
                "sent",
            )
        destination = destinationAt(
            self._reactor, request.path, request.force, request.standardOutput
        )
        destination.open()
        return _Ends(
            lambda channel, progress: receive(channel, destination, progress),
            destination.abort,
            "receiving",
            "received",
        )

    async def _transfer(self) -> None:
        description = self._request.description
        _checkRaw(description)
        if self._invites and not self._report.confidential:
            raise BadOption(
                "transfer:passive:mtls without certificate= makes an invitation, "
                "which holds a secret, and a log is no place for it: use the "
                "twisted-transfer command, or give both sides certificates"
            )
        connector = TransferConnector.fromDescription(self._reactor, description)
        ends = self._open()
        try:
            try:
                channel = await self._connect(connector)
            finally:
                await connector.close()
            await self._move(channel, ends)
        finally:
            ends.release()

    def _connect(self, connector: TransferConnector) -> Deferred[TransferChannel]:
        connecting = connector.connect()
        if self._request.description.mode == "passive":
            # If there is never a port, connecting fails and says why.
            connector.whenListening().addCallbacks(self._sayWhere, lambda _: None)
            verb = "receive" if self._request.sends else "send"
            partnerCommands(
                connector, f"{verb} --raw", self._request.path
            ).addCallbacks(self._sayHow, lambda _: None)
        return connecting

    def _sayWhere(self, address: IAddress) -> None:
        self._report.say(f"listening on {addressText(address)}")

    def _sayHow(self, commands: list[str]) -> None:
        """Show the partner's command; it may hold a secret, as it has to."""
        tell = self._report.say
        if self._invites:
            tell = self._report.tellSecret
        label = "partner"
        for command in commands:
            tell(f"{label}: {command}")
            label = "or"
        if self._invites:
            self._report.say(_KEEP_IT)

    async def _move(self, channel: TransferChannel, ends: _Ends) -> None:
        peer = addressText(channel.getPeer())
        # The dialling end of a UNIX socket has no name.
        self._report.say(f"connected to {peer}" if peer else "connected")
        progress = self._report.progress(ends.doing)
        began = self._reactor.seconds()
        try:
            count = await ends.move(channel, progress)
        finally:
            if progress is not None:
                progress.close()
        seconds = self._reactor.seconds() - began
        self._report.say(summary(ends.done, count, seconds))


def _checkRaw(description: TransferDescription) -> None:
    """Refuse what would be ignored, or would change the bytes into characters."""
    if description.encoding not in (None, "binary"):
        raise BadOption(
            f"encoding={description.encoding} does not go with --raw, which carries "
            "bytes as they are; leave it out"
        )
    if description.again:
        raise BadOption(
            "again=yes is for servers; this command makes one transfer, leave it out"
        )


def addressText(address: IAddress) -> str:
    """
    :param address: of a port or a partner.
    :returns: it as people write it: ``192.0.2.7:4000``, ``[::1]:4000``, a path;
        empty for a socket without a name.
    """
    if isinstance(address, IPv4Address):
        return f"{address.host}:{address.port}"
    if isinstance(address, IPv6Address):
        # An IPv4 partner of a dual-stack port (RFC 4291, section 2.5.5.2).
        if address.host.startswith("::ffff:") and "." in address.host:
            return f"{address.host.removeprefix('::ffff:')}:{address.port}"
        return f"[{address.host}]:{address.port}"
    if isinstance(address, UNIXAddress):
        name = os.fsdecode(address.name or b"")
        # Linux: a name in the abstract namespace begins with a null.
        return name.replace("\0", "@")
    return str(address)
