"""
This library in a process of its own, without the command: by a description.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import react

from benchmarks.speed.peers.common import Meter, Task, task
from twisted_transfer import (
    FileDestination,
    FileSource,
    Receipt,
    Receiver,
    TransferChannel,
    TransferConnector,
    Transmitter,
)
from twisted_transfer.data import Progress


class Watch:
    """Begins to measure when the partner is connected."""

    def connecting(self, connector: TransferConnector) -> None:
        """Nothing moves yet."""

    def connected(self, channel: TransferChannel) -> None:
        """The first byte may move."""
        self.meter = Meter()

    def checks(self, name: str | None, size: int) -> Progress:
        """:returns: what does nothing."""
        return lambda count, total, rate: None

    def begins(self, name: str | None, size: int | None, offset: int) -> Progress:
        """:returns: what does nothing."""
        return lambda count, total, rate: None

    def ends(self, receipt: Receipt) -> None:
        """The file is stored."""


async def main(reactor: Any, task: Task) -> None:
    """Do what was asked for; ``address`` is the description."""
    connector = TransferConnector.fromString(reactor, task.address)
    watch = Watch()
    raw = task.role.endswith("-raw")
    transfer: Transmitter | Receiver
    if task.role.startswith("send"):
        transfer = Transmitter(connector, FileSource(task.path), raw=raw, watch=watch)
    else:
        target = FileDestination(task.path, force=True)
        transfer = Receiver(connector, target, raw=raw, watch=watch)
    await transfer.start()
    watch.meter.stop()


if __name__ == "__main__":
    react(lambda reactor: Deferred.fromCoroutine(main(reactor, task())))
