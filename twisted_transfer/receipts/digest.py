"""
BLAKE3 of what passes, at once, and of what lies in a file, computed in a thread.

A thread for each block that passes would take more time than to hash it.
"""

from __future__ import annotations

import os
from threading import Lock
from typing import Protocol

from blake3 import blake3
from twisted.internet.interfaces import IReactorThreads
from twisted.internet.threads import deferToThreadPool

from twisted_transfer.deferreds import deferring

READ_SIZE = 256 * 1024
"""How many bytes of a file are read at once to be hashed."""

FILE_WAKE = 4 * 1024 * 1024
"""How many bytes of a file have to wait before a thread is started; they are no longer
in memory than the system wants them."""


_PROOF = "twisted_transfer 2026-11 receipts version 1, proof of a prefix"
"""The context of the key derivation (BLAKE3's specification, section 6.2)."""


class Hash(Protocol):
    """Whatever is given bytes to hash, as those of :mod:`hashlib` are."""

    def update(self, data: bytes, /) -> object:
        """:param data: the next ones."""


def prover(nonce: bytes, length: int) -> blake3:
    """
    Make the hash by which a sender proves that it knows a prefix.

    :param nonce: what the receiver has chosen.
    :param length: how many bytes the prefix has.
    :returns: BLAKE3 in its keyed form, which is to be given the prefix.  The key is
        derived from the nonce and the length, eight bytes with the highest first.
    """
    key = blake3(nonce + length.to_bytes(8, "big"), derive_key_context=_PROOF)
    return blake3(key=key.digest())


class RunningDigest:
    """
    The digest of a stream, in the order in which its pieces are given.

    It is of bytes that are given, or from :meth:`follow` on of those of a file, which a
    thread reads.  All methods belong to the reactor's thread.

    :ivar count: how many bytes have been given.
    """

    def __init__(self, reactor: IReactorThreads | None = None) -> None:
        """
        :param reactor: has the threads; without it, the caller does the work.
        """
        self.count = 0
        self._reactor = reactor
        self._hash = blake3()
        # Held while a block of the file is read and hashed: that keeps the order.
        self._taking = Lock()
        self._done = 0  # bytes that are hashed
        self._working = False
        self._fd = -1
        self._error: OSError | None = None

    def update(self, data: bytes) -> None:
        """
        Add some bytes.

        :param data: the next ones.
        """
        if self._fd != -1:
            self.advance(len(data))
            return
        self._hash.update(data)
        self.count += len(data)
        self._done = self.count

    def updateStored(self, data: bytes, fd: int) -> None:
        """
        Add some bytes that were written to a file, from which a thread takes them where
        there are so many that it is worth one.

        :param data: the next ones.
        :param fd: the file, as for :meth:`follow`, or -1.
        """
        if self.count >= FILE_WAKE and fd != -1 and self._reactor is not None:
            self.follow(fd)
        self.update(data)

    def follow(self, fd: int) -> None:
        """
        Take everything from here on from a file, where it stands at the same place as
        in the stream.

        :param fd: the file; it may be closed meanwhile.
        """
        if self._fd == -1:
            self._fd = os.dup(fd)

    def advance(self, count: int) -> None:
        """
        Add the next bytes of the file.

        :param count: so many, which are there by now.
        """
        self.count += count
        enough = self.count - self._done >= FILE_WAKE
        if enough and self._reactor is not None and not self._working:
            self._working = True
            self._reactor.getThreadPool().callInThread(self._work)

    def _work(self) -> None:
        """Take what is there; in a thread."""
        self._takeAll()
        # What comes just now waits for more, or for digest().
        self._working = False

    def _takeAll(self) -> None:
        while self._takeOne():
            pass

    def _takeOne(self) -> bool:
        """
        Take the next block of the file.

        :returns: whether there was one.
        """
        with self._taking:
            wanted = min(self.count - self._done, READ_SIZE)
            if not wanted or self._fd == -1:
                return False
            try:
                block = os.pread(self._fd, wanted, self._done)
            except OSError as error:
                self._error = error
                return False
            # A file that has got shorter has another digest.
            self._hash.update(block)
            self._done += len(block)
            return bool(block)

    @deferring
    async def caughtUp(self) -> None:
        """
        Wait until everything of the file is hashed, without holding up the reactor.

        :returns: a Deferred that fails with ``OSError`` if the file cannot be read.
        """
        if self._fd != -1 and self._reactor is not None:
            pool = self._reactor.getThreadPool()
            await deferToThreadPool(self._reactor, pool, self._takeAll)
        self._takeAll()
        if self._error is not None:
            raise self._error

    def digest(self) -> bytes:
        """:returns: the BLAKE3 of everything that was given, 32 bytes."""
        # This also waits for the thread, if that is busy with the last block.
        self._takeAll()
        return self._hash.digest()

    def startOver(self) -> None:
        """Forget everything that was given."""
        with self._taking:
            self._hash = blake3()
            self.count = self._done = 0

    def close(self) -> None:
        """Read the file no more."""
        with self._taking:
            fd, self._fd = self._fd, -1
        if fd != -1:
            os.close(fd)

    @property
    def hashed(self) -> int:
        """How many bytes :meth:`hashFile` has read by now."""
        return self._reading.count

    @deferring
    async def hashFile(self, fd: int, length: int, also: Hash | None = None) -> int:
        """
        Begin with what stands in a file, from its beginning on.

        :param fd: the file; it may be closed when the Deferred has fired.
        :param length: how many bytes of it.
        :param also: another hash that is given these bytes.
        :returns: a Deferred with the number of bytes that were there.  It fails
            with ``OSError`` if they cannot be read.  It may be cancelled; then
            the file is not used any more at once, and nothing was added.
        """
        self._reading = reading = _Reading(fd, length, also)
        if self._reactor is None:
            reading.run()
        else:
            pool = self._reactor.getThreadPool()
            try:
                await deferToThreadPool(self._reactor, pool, reading.run)
            finally:
                # A thread cannot be stopped from outside.
                reading.stop()
        self._hash = reading.hash
        self.count = self._done = reading.count
        return reading.count


class _Reading:
    """Hash a file, in a thread, until stopped."""

    count = 0
    _stopped = False

    def __init__(self, fd: int, length: int, also: Hash | None) -> None:
        self.hash = blake3()
        self._also = also
        self._fd = fd
        self._length = length
        # Held for as long as the descriptor is in use.
        self._using = Lock()

    def run(self) -> None:
        """Read to the end, or until stopped; in a thread."""
        while block := self._read():
            self.hash.update(block)
            if self._also is not None:
                self._also.update(block)
            self.count += len(block)

    def _read(self) -> bytes:
        wanted = min(self._length - self.count, READ_SIZE)
        with self._using:
            return b"" if self._stopped else os.pread(self._fd, wanted, self.count)

    def stop(self) -> None:
        """Wait for the block that is read now, and let no other be read."""
        # First of all, or the thread might take the lock again and again.
        self._stopped = True
        with self._using:
            pass
