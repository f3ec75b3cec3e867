"""
One transfer from beginning to end, as the command and the service run it.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IAddress
from twisted.python.failure import Failure

from twisted_transfer.announced import MAX_NAME, printable
from twisted_transfer.channel import TransferChannel
from twisted_transfer.connector import TransferConnector
from twisted_transfer.descriptions import TransferDescription
from twisted_transfer.errors import BadOption
from twisted_transfer.folders import FolderDestination
from twisted_transfer.interfaces import IDestination
from twisted_transfer.localends import destinationAt, sourceAt
from twisted_transfer.measuring import Progress
from twisted_transfer.mtlsstrings import makesInvitation
from twisted_transfer.outcomes import Receipt
from twisted_transfer.partnercommands import partnerCommands
from twisted_transfer.progress import summary
from twisted_transfer.reports import Report, ShowsProgress
from twisted_transfer.statuses import Status, statusOf, wordsFor
from twisted_transfer.transfers import Receiver, Transmitter

_KEEP_IT = """\
(It holds a secret, good for one connection.  Where others can see command lines,
put - in the place of the description, and paste that when asked.)"""


@dataclass(frozen=True)
class Request:
    """
    What is to be done.

    :ivar sends: whether this side sends; otherwise it receives.
    :ivar paths: where from, or the one where to; ``-`` for standard input or
        output.
    :ivar description: how to get the partner.
    :ivar raw: whether it goes without receipts.
    :ivar force: whether a file that is there may be replaced.
    :ivar maxSize: how many bytes a file may have that is received; None: any.
    :ivar standardOutput: the descriptor that ``-`` stands for when receiving.
    """

    sends: bool
    paths: tuple[str, ...]
    description: TransferDescription
    raw: bool = False
    force: bool = False
    maxSize: int | None = None
    standardOutput: int = 1


class Job:
    """One transfer."""

    def __init__(self, reactor: Any, request: Request, report: Report) -> None:
        """
        :param reactor: does everything.
        :param request: what is to be done.
        :param report: is told what happens.
        """
        self._reactor = reactor
        self._request = request
        self._report = report
        self._bar: ShowsProgress | None = None
        self._began = 0.0
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
            self._check()
            await self._transfer().start()
        except CancelledError:
            raise
        except Exception as error:
            self._closeBar()
            status = statusOf(error)
            if status is Status.BUG:
                self._report.bug(Failure())
            else:
                self._report.complain(wordsFor(error))
            return status
        finally:
            self._closeBar()
        return Status.DONE

    def _check(self) -> None:
        """Refuse what would be ignored, changed, or told to everybody."""
        description = self._request.description
        if description.encoding not in (None, "binary"):
            raise BadOption(
                f"encoding={description.encoding} does not go with this command, which "
                "carries bytes as they are; leave it out"
            )
        if not self._request.raw and (description.translation or description.eofChar):
            raise BadOption(
                "translation= and eofChar= change what is sent, and a receipt is for "
                "what was sent; leave them out, or give --raw"
            )
        if description.again:
            raise BadOption(
                "again=yes is for servers; this command makes one transfer, leave it "
                "out"
            )
        if self._invites and not self._report.confidential:
            raise BadOption(
                "transfer:passive:mtls without certificate= makes an invitation, "
                "which holds a secret, and a log is no place for it: use the "
                "twisted-transfer command, or give both sides certificates"
            )

    def _transfer(self) -> Transmitter | Receiver:
        request = self._request
        connector = TransferConnector.fromDescription(
            self._reactor, request.description
        )
        if request.sends:
            sources = [sourceAt(self._reactor, path) for path in request.paths]
            return Transmitter(connector, sources, raw=request.raw, watch=self)
        return Receiver(
            connector,
            self._destination(),
            raw=request.raw,
            maxSize=request.maxSize,
            watch=self,
        )

    def _destination(self) -> IDestination | FolderDestination:
        request = self._request
        [path] = request.paths
        if os.path.isdir(path) and not request.raw:
            return FolderDestination(path, request.force)
        return destinationAt(self._reactor, path, request.force, request.standardOutput)

    # What a transfer tells while it goes on.

    def connecting(self, connector: TransferConnector) -> None:
        """Say where it listens, and how the partner gets there."""
        if self._request.description.mode != "passive":
            return
        # If there is never a port, connecting fails and says why.
        connector.whenListening().addCallbacks(self._sayWhere, lambda _: None)
        verb = "receive" if self._request.sends else "send"
        raw = " --raw" if self._request.raw else ""
        commands = partnerCommands(connector, f"{verb}{raw}", self._request.paths)
        commands.addCallbacks(self._sayHow, lambda _: None)

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

    def connected(self, channel: TransferChannel) -> None:
        """Say who it is."""
        peer = addressText(channel.getPeer())
        # The dialling end of a UNIX socket has no name.
        self._report.say(f"connected to {peer}" if peer else "connected")

    def begins(self, name: str | None, size: int | None, offset: int) -> Progress:
        """Show a bar for the next file."""
        doing = "sending" if self._request.sends else "receiving"
        self._bar = self._report.progress(f"{doing}{_shown(name)}")
        self._began = self._reactor.seconds()
        return self._bar or _nothing

    def ends(self, receipt: Receipt) -> None:
        """Say that the file has arrived."""
        self._closeBar()
        done = "sent" if self._request.sends else "received"
        seconds = self._reactor.seconds() - self._began
        what = f"{done}{_shown(receipt.name)}{'' if receipt.name is None else ':'}"
        said = summary(what, receipt.moved, seconds)
        if receipt.digest is not None:
            before = receipt.size - receipt.moved
            if before:
                said += f", after the {before} of an earlier try"
            said += "; stored" if done == "received" else "; stored by the partner"
        self._report.say(said)

    def _closeBar(self) -> None:
        bar, self._bar = self._bar, None
        if bar is not None:
            bar.close()


def _nothing(count: int, total: int | None, rate: float) -> None:
    """Nobody wants to know."""


def _shown(name: str | None) -> str:
    """A name from the partner, as it may stand in a line."""
    return "" if name is None else f" {printable(name, MAX_NAME)}"


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
