"""
One transfer from beginning to end, as the command and the service make it.
"""

from __future__ import annotations

import hashlib
import os
import shlex
import stat
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from twisted.internet.address import HostnameAddress, IPv4Address, IPv6Address
from twisted.internet.defer import CancelledError
from twisted.internet.interfaces import IDelayedCall, IReactorThreads

from twisted_transfer.addresses import addressText, hostText, waitingText
from twisted_transfer.channel.channel import TransferChannel
from twisted_transfer.command import reports
from twisted_transfer.command.commandline import STANDARD
from twisted_transfer.connecting.connector import TransferConnector
from twisted_transfer.connecting.invitations import (
    namesAll,
    partnersPart,
    reachableHosts,
)
from twisted_transfer.data.destinations import FileDestination
from twisted_transfer.data.parts import reasonText
from twisted_transfer.data.progress import Progress
from twisted_transfer.data.sources import FileSource
from twisted_transfer.data.streams import StreamDestination, StreamSource
from twisted_transfer.deferreds import deferring
from twisted_transfer.descriptions.mtls import makesInvitation
from twisted_transfer.descriptions.transfer import TransferDescription
from twisted_transfer.errors import BadOption, DestinationError, SourceError
from twisted_transfer.interfaces import Destination, Source
from twisted_transfer.printable import printable
from twisted_transfer.receipts.digest import RunningDigest
from twisted_transfer.receipts.receipt import Receipt
from twisted_transfer.transfers.folder import (
    MAX_FILES,
    MAX_NAME,
    FolderDestination,
    suggestedName,
)
from twisted_transfer.transfers.transfers import Receiver, Transmitter

SOON = 1.0
"""Seconds after which a person is told that the partner is not there yet."""

STILL = 10.0
"""Seconds without any progress after which a person is told so."""

AGAIN = 60.0
"""Seconds until that is said again."""


def sourceAt(reactor: Any, path: str) -> Source:
    """
    Make the source for a path.

    :param reactor: watches what is no file.
    :param path: ``-`` for standard input, or any path that can be read.
    :returns: the source, not opened yet unless it is special.
    :raises SourceError: if it is special and cannot be opened.
    """
    if path == STANDARD:
        # Python has None here if the descriptor was closed; its number may
        # belong to something else by now.
        if sys.__stdin__ is None:
            raise SourceError("standard input is closed; give the path of a file")
        return StreamSource(reactor, 0, name="standard input")
    if not _isSpecial(path):
        return FileSource(path)
    try:
        # A named pipe or a terminal must not keep us waiting, nor become ours.
        flags = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
        fd = os.open(path, flags)
    except OSError as error:
        raise SourceError(f"cannot read {path}: {reasonText(error)}") from error
    return StreamSource(reactor, fd, name=path, close=True)


def _isStream(path: str) -> bool:
    """:returns: whether it is standard input or output, or special."""
    return path == STANDARD or _isSpecial(path)


def _isSpecial(path: str) -> bool:
    """:returns: whether it is neither a file nor a folder, nor nothing."""
    try:
        mode = os.stat(path).st_mode
    except (OSError, ValueError):
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def destinationAt(
    reactor: Any, path: str, force: bool, standardOutput: int = 1
) -> Destination:
    """
    Make the destination for a path.

    :param reactor: watches what is no file.
    :param path: ``-`` for standard output, or the path of a file.
    :param force: whether a file that is there may be replaced.
    :param standardOutput: the descriptor that ``-`` stands for.
    :returns: the destination, not opened yet.
    :raises DestinationError: if standard output is closed.
    """
    if path == STANDARD:
        if sys.__stdout__ is None:
            raise DestinationError("standard output is closed; give the path of a file")
        return StreamDestination(reactor, standardOutput, name="standard output")
    return FileDestination(path, force, reactor)


def partnerPath(path: str) -> str:
    """
    Propose a path to the partner.

    :param path: the path that this side was given.
    :returns: the same name in the folder where the partner is, as a word of a
        command line.
    """
    name = path if path == STANDARD else os.path.basename(path)
    if not name or not name.isprintable() or os.path.isdir(path):
        return "PATH"
    return shlex.quote(name if name[0] != "-" or name == STANDARD else f"./{name}")


async def partnerCommands(
    connector: TransferConnector,
    hosts: Sequence[str | None],
    options: str,
    paths: Sequence[str],
    needed: str = "",
) -> list[str]:
    """
    Write the command lines by which the partner reaches this side.

    :param connector: listens for the partner.
    :param hosts: those that the partner may dial, one by one; None: all at once.
    :param options: the partner's command and its options.
    :param paths: those that this side was given; for several files the partner
        needs a folder.
    :param needed: what the partner has to add to the description.
    :returns: the command lines, the most probable first; empty if it is not
        known how this side is reached.
    """
    try:
        invitations = [await connector.invitation(host) for host in hosts]
    except BadOption:
        return []  # an endpoint type of another package
    path = partnerPath(paths[0]) if len(paths) == 1 else "."
    descriptions = [f"{each}:{needed}".rstrip(":") for each in invitations]
    return [
        f"twisted-transfer {options} {path} {shlex.quote(each)}"
        for each in descriptions
    ]


_KEEP_IT = """\
(It holds a secret, good for one connection.  Where others can see command lines,
put - in the place of the description, and paste that when asked, or all of the
line.)"""


@deferring
async def sha256Of(reactor: IReactorThreads | None, path: str, receipt: Receipt) -> str:
    """
    Find the SHA-256 of a received file, as it is stored.

    It is read once more, and with its SHA-256 the digest of the receipt is computed.

    :param reactor: has the thread that reads it; without it, the caller does.
    :param path: the file.
    :param receipt: what was received.
    :returns: a Deferred with the SHA-256, 64 hexadecimal digits.  It fails with
        ``DestinationError`` if the file cannot be read, or is not what was received
        any more.  It may be cancelled.
    """
    digest, sha256 = RunningDigest(reactor), hashlib.sha256()
    try:
        with open(path, "rb", buffering=0) as file:
            size = os.fstat(file.fileno()).st_size
            await digest.hashFile(file.fileno(), size, sha256)
    except OSError as error:
        raise DestinationError(
            f"{path} is stored, but cannot be read for its SHA-256: {reasonText(error)}"
        ) from error
    if receipt.digest is not None:
        same = receipt.digest == digest.digest()
    else:
        same = receipt.size == size
    if not same:
        raise DestinationError(
            f"{path} was stored, and another program has changed it since; there is no "
            "SHA-256 of what was received, let it be sent again"
        )
    return sha256.hexdigest()


@dataclass(frozen=True)
class Request:
    """
    The transfer that a command line asks for.

    :ivar sends: whether this side sends; otherwise it receives.
    :ivar paths: the sources, or the one destination; ``-`` for standard input
        or output.
    :ivar description: how to get the partner.
    :ivar raw: whether it goes without receipts.
    :ivar force: whether a file that is there may be replaced.
    :ivar maxSize: how many bytes a file may have that is received; None: any.
    :ivar maxFiles: how many files may come into a folder.
    :ivar maxTotal: how many bytes they may have together; None: as the disk has room.
    :ivar size: of a raw transfer, how many bytes are received; None: all up to the
        end of the connection.
    :ivar standardOutput: the descriptor that ``-`` stands for when receiving.
    :ivar limitRate: how many bytes may move in a second; None: any number.
    :ivar sha256: whether the SHA-256 of each file that is stored is told.
    """

    sends: bool
    paths: tuple[str, ...]
    description: TransferDescription
    raw: bool = False
    force: bool = False
    maxSize: int | None = None
    maxFiles: int = MAX_FILES
    maxTotal: int | None = None
    size: int | None = None
    standardOutput: int = 1
    limitRate: int | None = None
    sha256: bool = False


class Job:
    """One transfer."""

    def __init__(self, reactor: Any, request: Request, report: reports.Report) -> None:
        """
        :param reactor: runs the transfer.
        :param request: the transfer.
        :param report: is told what happens.
        """
        self._reactor = reactor
        self._request = request
        self._report = report
        self._bar: reports.ProgressBar | None = None
        self._began = 0.0
        # How far it is, and what looks whether that changes.
        self._far: tuple[int, int | None] | None = None
        self._looking: IDelayedCall | None = None
        # What is on its way, as it may be shown, or None.
        self._moving: str | None = None
        # What is sent, and how many bytes that has, or None if that is not known.
        self._sources: list[Source] = []
        self._total: int | None = None
        self._barOfAll: reports.ProgressBar | None = None
        # What is over: files, the bytes that they have, and those of them that were
        # moved since this was connected.
        self._files = self._size = self._moved = 0
        self._since = 0.0
        command = request.description.socketCommand
        self._waits = request.description.mode == "passive"
        self._invites = self._waits and command is not None and makesInvitation(command)

    @deferring
    async def run(self) -> int:
        """
        Make the transfer.

        :returns: a Deferred with the exit status, when nothing is left open.
            Everything that fails is reported and becomes a status; but when it
            is cancelled, it fails with ``CancelledError``, after everything
            was closed.
        """
        try:
            self._check()
            transfer = self._transfer()
            await transfer.start()
            self._sayTotal()
            if self._request.sha256:
                await self._tellSHA256(transfer.receipts)
        except CancelledError:
            self._closeBar()
            if self._moving is not None:
                self._report.say(self._stopped(self._moving))
            raise
        except Exception as error:
            self._closeBar()
            return reports.tellError(self._report, error)
        finally:
            self._look(None)
            self._closeBar()
        return reports.Status.DONE

    async def _tellSHA256(self, receipts: Sequence[Receipt]) -> None:
        """Say the SHA-256 of each file that is stored."""
        [path] = self._request.paths
        inFolder = os.path.isdir(path)
        for receipt in receipts:
            stored = path
            if inFolder and receipt.name is not None:
                stored = os.path.join(path, suggestedName(receipt.name) or "")
            said = await sha256Of(self._reactor, stored, receipt)
            self._report.say(f"SHA-256 of {printable(stored)}: {said}")

    def _sayTotal(self) -> None:
        """Say how much several files were together."""
        if self._files > 1:
            self._closeBar()
            what = f"{self._did} {self._files} files:"
            seconds = self._reactor.seconds() - self._since
            self._report.say(reports.summary(what, self._moved, seconds))

    @property
    def _did(self) -> str:
        return "sent" if self._request.sends else "received"

    def _stopped(self, what: str) -> str:
        """:returns: what a user has to know who has stopped a transfer."""
        request = self._request
        if request.raw or STANDARD in request.paths:
            kept = "the partner has a part" if request.sends else "nothing is stored"
            then = "the next try begins anew"
        else:
            kept = "the partner keeps" if request.sends else "kept is"
            kept += " what has come"
            then = "the same commands go on from there"
        return f"stopped{what} in the middle: {kept}, and {then}"

    def _check(self) -> None:
        """Refuse options that would be ignored, change data, or tell a secret."""
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
        request, reactor = self._request, self._reactor
        connector = TransferConnector.fromDescription(reactor, request.description)
        if request.sends:
            self._sources = [sourceAt(reactor, path) for path in request.paths]
            return Transmitter(
                connector,
                self._sources,
                raw=request.raw,
                watch=self,
                limitRate=request.limitRate,
            )
        [path] = request.paths
        target: Destination | FolderDestination
        if os.path.isdir(path) and not request.raw:
            target = FolderDestination(
                path,
                request.force,
                maxFiles=request.maxFiles,
                maxTotal=request.maxTotal,
            )
        else:
            target = destinationAt(reactor, path, request.force, request.standardOutput)
        return Receiver(
            connector,
            target,
            raw=request.raw,
            maxSize=request.maxSize,
            size=request.size,
            watch=self,
            limitRate=request.limitRate,
        )

    # What a transfer tells while it goes on.

    def connecting(self, connector: TransferConnector) -> None:
        """
        Say where this side listens, and what the partner has to type; or, if it is not
        there at once, that it is dialled.
        """
        if self._waits:
            self._sayHow(connector)
        else:
            self._looking = self._reactor.callLater(SOON, self._sayDialling)

    def _sayDialling(self) -> None:
        self._looking = None
        seconds = self._request.description.retryFor
        tries = f"; this side tries for {seconds:g} seconds" if seconds else ""
        self._report.say(f"there is no connection with the partner yet{tries}")

    @deferring
    async def _sayHow(self, connector: TransferConnector) -> None:
        try:
            address = await connector.whenListening()
        except Exception:
            return  # the transfer fails as well, and says why
        self._report.say(waitingText(address))
        options = "receive" if self._request.sends else "send"
        if self._request.raw:
            options += " --raw"
        # An invitation holds a secret, and so does the token of a relay.
        isSecret = self._invites or isinstance(address, HostnameAddress)
        tell = self._report.tellSecret if isSecret else self._report.say
        paths = self._request.paths
        socketCommand = self._request.description.socketCommand
        needed, meaning = partnersPart(socketCommand)
        hosts: list[str | None] = [None]
        if isinstance(address, IPv4Address | IPv6Address) and not namesAll(
            socketCommand
        ):
            hosts = [*reachableHosts(hostText(address))]
        commands = await partnerCommands(connector, hosts, options, paths, needed)
        for number, command in enumerate(commands):
            tell(f"{'or' if number else 'partner'}: {command}")
        if self._invites:
            self._report.say(_KEEP_IT)
        elif meaning and commands:
            self._report.say(meaning)

    def connected(self, channel: TransferChannel) -> None:
        """Say that the partner is connected, and its address."""
        peer = addressText(channel.getPeer())
        # The dialling end of a UNIX socket has no name.
        self._report.say(f"connected to {peer}" if peer else "connected")
        sizes = [source.size for source in self._sources]
        known = [size for size in sizes if size is not None]
        self._total = sum(known) if len(known) == len(sizes) else None
        self._since = self._reactor.seconds()
        self._look(self._since)

    def _look(self, since: float | None, last: float | None = None) -> None:
        """
        Look from time to time whether anything moves, and say so when nothing does.

        :param since: the time at which something has moved last; None: look no more.
        :param last: the time at which it was said last.
        """
        looking, self._looking = self._looking, None
        if looking is not None and looking.active():
            looking.cancel()
        if since is None:
            return
        far, now = self._far, self._reactor.seconds()
        if now >= since + STILL and (last is None or now >= last + AGAIN):
            self._sayStill(now - since)
            last = now

        def look() -> None:
            self._look(since if far == self._far else self._reactor.seconds(), last)

        self._looking = self._reactor.callLater(STILL, look)

    def _sayStill(self, seconds: float) -> None:
        """Say that nothing has moved for some time."""
        request = self._request
        why = "this waits for the partner"
        if self._moving is not None and self._far is not None:
            count, total = self._far
            if count == total:
                why = "all is there, and this waits until it is stored"
            elif any(map(_isStream, request.paths)):
                ours = "input" if request.sends else "output"
                why += f", or for its own {ours}"
        self._sayAside(f"nothing has moved for {seconds:.0f} seconds: {why}")

    def _sayAside(self, text: str) -> None:
        """Say something while there may be a bar."""
        if self._bar is None:
            self._report.say(text)
        else:
            self._bar.aside(lambda: self._report.say(text))

    def checks(self, name: str | None, size: int) -> Progress:
        """Show a bar for what is read before a file goes on."""
        what = " of" + _shown(name) if name is not None else ""
        return self._shows(f"checking what there is{what}")

    def begins(self, name: str | None, size: int | None, offset: int) -> Progress:
        """Show a bar for the next file; or go on with that for all that are sent."""
        doing = "sending" if self._request.sends else "receiving"
        self._moving = _shown(name)
        self._began = self._reactor.seconds()
        many = len(self._sources)
        if many < 2:
            return self._shows(f"{doing}{self._moving}")
        label = f"{doing} {self._files + 1} of {many}:{self._moving}"
        overall = self._size, self._total
        if self._bar is not None and self._bar is self._barOfAll:
            self._bar.goOn(label, offset)
            return self._tells(overall)
        progress = self._shows(label, overall)
        self._barOfAll = self._bar
        return progress

    def _shows(
        self, label: str, overall: tuple[int, int | None] | None = None
    ) -> Progress:
        """
        Show a new bar, where there is a terminal.

        :param label: what is going on.
        :param overall: see :meth:`_tells`.
        :returns: what shows how far it is.
        """
        self._closeBar()
        self._bar = self._report.progress(label)
        return self._tells(overall)

    def _tells(self, overall: tuple[int, int | None] | None) -> Progress:
        """
        :param overall: of several files, the bytes that are over, and those of all or
            None if that is not known; None: the bar is for one file.
        :returns: what has the bar show how far a file is.
        """
        bar = self._bar

        def moved(count: int, size: int | None, rate: float) -> None:
            self._far = count, size
            if bar is not None:
                before, total = overall or (0, size)
                bar(before + count, total, rate)

        return moved

    def ends(self, receipt: Receipt) -> None:
        """Say that the file has arrived."""
        if len(self._sources) < 2:
            self._closeBar()
        self._moving = None
        self._files += 1
        self._size += receipt.size
        self._moved += receipt.moved
        seconds = self._reactor.seconds() - self._began
        what = f"{self._did}{_shown(receipt.name)}{'' if receipt.name is None else ':'}"
        said = reports.summary(what, receipt.moved, seconds)
        if receipt.digest is not None:
            before = receipt.size - receipt.moved
            if before:
                said += f", after the {before} of an earlier try"
            said += "; delivered" if receipt.delivered else "; stored"
            if self._request.sends:
                said += " by the partner"
        self._sayAside(said)

    def _closeBar(self) -> None:
        bar, self._bar = self._bar, None
        if bar is not None:
            bar.close()


def _shown(name: str | None) -> str:
    """Write a name from the partner as it may be shown."""
    return "" if name is None else f" {printable(name, MAX_NAME)}"
