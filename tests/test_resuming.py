"""Tests for :mod:`twisted_transfer.resuming`."""

from __future__ import annotations

import os
import resource
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError
from twisted.trial.unittest import SynchronousTestCase, TestCase
from zope.interface.verify import verifyObject

from twisted_transfer.destinations import FileDestination
from twisted_transfer.digested import Offer
from twisted_transfer.digesting import READ_SIZE
from twisted_transfer.errors import DestinationError
from twisted_transfer.interfaces import IDestination
from twisted_transfer.resuming import ResumableFileDestination

from .folders import newFolder
from .programs import ROOT, dropPrivileges
from .threads import HeldThreads


class Case(SynchronousTestCase):
    """Has a folder with a target."""

    def setUp(self) -> None:
        self.folder = newFolder(self)
        self.target = self.folder / "target"
        self.path = self.folder / "target.part"

    def destination(self, *args: Any, **options: Any) -> ResumableFileDestination:
        """:returns: a destination that is aborted in the end."""
        destination = ResumableFileDestination(self.target, *args, **options)
        self.addCleanup(destination.abort)
        return destination

    def left(self, content: bytes = b"left") -> None:
        """Leave a part, as an interrupted transfer does."""
        destination = self.destination()
        destination.write(content)
        destination.interrupt()

    def assertFails(self, kind: str, call: Any, *args: Any) -> DestinationError:
        """It fails with that kind of error, which gives nothing away."""
        error: DestinationError = self.assertRaises(DestinationError, call, *args)
        self.assertEqual(error.kind, kind)
        self.assertNotIn(str(self.folder), error.reason)
        self.assertTrue(error.reason)
        return error


class ResumableFileDestinationTests(Case):
    """Receiving a file in one go, or in several."""

    def test_interface(self) -> None:
        """It is a destination."""
        self.assertTrue(verifyObject(IDestination, self.destination()))

    def test_whole(self) -> None:
        """Without an offer it is a destination as any other."""
        destination = self.destination()
        destination.open()
        for piece in (b"some", b"more"):
            self.assertIsNone(destination.write(piece))
            self.assertFalse(self.target.exists())
        self.assertEqual(destination.size, 8)
        self.assertEqual(destination.digest(), sha256(b"somemore").digest())
        self.successResultOf(destination.finish())
        self.assertEqual(self.target.read_bytes(), b"somemore")
        self.assertEqual(os.listdir(self.folder), ["target"])
        destination.abort()
        destination.interrupt()
        self.assertTrue(self.target.exists())

    def test_empty(self) -> None:
        """Nothing received is an empty file, even if something was left."""
        self.left()
        destination = self.destination()
        self.successResultOf(destination.finish())
        self.assertEqual(self.target.read_bytes(), b"")

    def test_noOffer(self) -> None:
        """Where nothing is left, nothing is offered."""
        destination = self.destination()
        self.assertEqual(self.successResultOf(destination.offer()), (0, None))
        destination.start(0)

    def test_goOn(self) -> None:
        """What was left is offered, and is the beginning of the whole."""
        self.left()
        destination = self.destination()
        offer = self.successResultOf(destination.offer())
        self.assertEqual(offer, (4, sha256(b"left").digest()))
        destination.start(4)
        destination.write(b"more")
        self.assertEqual(destination.size, 8)
        self.assertEqual(destination.digest(), sha256(b"leftmore").digest())
        self.successResultOf(destination.finish())
        self.assertEqual(self.target.read_bytes(), b"leftmore")

    def test_allThere(self) -> None:
        """If all of it was left, nothing has to come."""
        self.left()
        destination = self.destination()
        self.successResultOf(destination.offer())
        destination.start(4)
        self.successResultOf(destination.finish())
        self.assertEqual(self.target.read_bytes(), b"left")

    def test_startOver(self) -> None:
        """What does not fit is forgotten, and in no part of the whole."""
        self.left(b"something long that does not fit")
        for start in (True, False):
            destination = self.destination(force=True)
            self.successResultOf(destination.offer())
            if start:
                destination.start(0)
            destination.write(b"new")
            self.assertEqual(destination.size, 3)
            self.assertEqual(destination.digest(), sha256(b"new").digest())
            self.successResultOf(destination.finish())
            self.assertEqual(self.target.read_bytes(), b"new")

    def test_startElsewhere(self) -> None:
        """Only what was offered can be gone on with."""
        self.left()
        destination = self.destination()
        destination.open()
        self.assertRaises(ValueError, destination.start, 4)
        self.successResultOf(destination.offer())
        for offset in (3, 5, -1):
            self.assertRaises(ValueError, destination.start, offset)

    def test_hashedOnce(self) -> None:
        """What was left is read once, in a thread."""
        self.left(bytes(3 * READ_SIZE))
        threads: Any = HeldThreads()
        reads: list[int] = []
        real = os.pread

        def pread(fd: int, length: int, offset: int) -> bytes:
            reads.append(offset)
            return real(fd, length, offset)

        self.patch(os, "pread", pread)
        destination = self.destination(reactor=threads)
        offering = destination.offer()
        self.assertNoResult(offering)
        threads.run()
        self.successResultOf(offering)
        destination.start(3 * READ_SIZE)
        destination.write(b"more")
        expected = sha256(bytes(3 * READ_SIZE) + b"more").digest()
        self.assertEqual(destination.digest(), expected)
        blocks = [offset for offset in reads if offset < 3 * READ_SIZE]
        self.assertEqual(blocks, [0, READ_SIZE, 2 * READ_SIZE])

    def test_offerGivenUp(self) -> None:
        """A connection that breaks while a thread reads leaves the part."""
        self.left()
        for end in ("interrupt", "abort"):
            threads: Any = HeldThreads()
            destination = self.destination(reactor=threads)
            offering = destination.offer()
            getattr(destination, end)()
            self.failureResultOf(offering, CancelledError)
            self.assertEqual(self.path.read_bytes(), b"left")
            # The descriptor is closed; whatever has its number is not read.
            threads.run()

    def test_neverCame(self) -> None:
        """What was left stays when no partner comes to go on with it."""
        for end in ("abort", "interrupt"):
            destination = self.destination()
            destination.open()
            getattr(destination, end)()
            self.assertEqual(os.listdir(self.folder), [])
        self.left()
        for offered in (False, True):
            destination = self.destination()
            destination.open()
            if offered:
                self.successResultOf(destination.offer())
            destination.abort()
            self.assertEqual(self.path.read_bytes(), b"left")

    def test_abort(self) -> None:
        """Nothing is left of a transfer that has begun and is given up."""
        self.left()
        for offset in (4, 0):
            destination = self.destination()
            self.successResultOf(destination.offer())
            destination.start(offset)
            destination.abort()
            self.assertEqual(os.listdir(self.folder), [])
            self.left()

    def test_unreadable(self) -> None:
        """A part that the disk does not give is named."""
        self.left()
        destination = self.destination()
        destination.open()
        # A descriptor that cannot be read stands in for a disk that cannot be.
        name = str(self.path)
        (fd,) = (int(n) for n in os.listdir("/proc/self/fd") if _opened(n) == name)
        blind = os.open(self.path, os.O_WRONLY)
        lock = os.dup(fd)
        self.addCleanup(os.close, lock)
        os.dup2(blind, fd)
        os.close(blind)
        error = self.failureResultOf(destination.offer(), DestinationError).value
        self.assertIn("cannot be read", str(error))

    def test_modes(self) -> None:
        """The part is private; the target has the mode that a new file gets."""
        self.addCleanup(os.umask, os.umask(0o027))
        destination = self.destination()
        destination.write(b"data")
        self.assertEqual(stat.S_IMODE(self.path.stat().st_mode), 0o600)
        self.successResultOf(destination.finish())
        self.assertEqual(stat.S_IMODE(self.target.stat().st_mode), 0o640)

    def test_linked(self) -> None:
        """The target of a symbolic link is written, beside itself."""
        link = self.folder / "link"
        link.symlink_to("target")
        destination = ResumableFileDestination(link)
        destination.write(b"data")
        self.assertTrue(self.path.exists())
        self.successResultOf(destination.finish())
        self.assertEqual(self.target.read_bytes(), b"data")
        self.assertTrue(link.is_symlink())

    def test_afterRaw(self) -> None:
        """A raw transfer that fails leaves no part; one of ours it respects."""
        raw = FileDestination(self.target)
        raw.write(b"raw")
        raw.abort()
        self.assertEqual(os.listdir(self.folder), [])
        self.left()
        self.assertRaises(DestinationError, FileDestination(self.target).open)
        self.assertEqual(self.path.read_bytes(), b"left")


def _opened(number: str) -> str:
    """:returns: what a descriptor stands for."""
    try:
        return os.readlink(f"/proc/self/fd/{number}")
    except FileNotFoundError:
        return ""


class RefusalTests(Case):
    """What is refused before anybody is asked to send."""

    def test_exists(self) -> None:
        """A target that is there is replaced only if that is asked for."""
        self.target.write_bytes(b"old")
        self.assertFails("exists", self.destination().open)
        self.assertEqual(os.listdir(self.folder), ["target"])
        destination = self.destination(force=True)
        destination.write(b"new")
        self.assertEqual(self.target.read_bytes(), b"old")
        self.successResultOf(destination.finish())
        self.assertEqual(self.target.read_bytes(), b"new")

    def test_badPlaces(self) -> None:
        """A folder, a pipe, a missing folder, a name that cannot be."""
        os.mkfifo(self.folder / "pipe")
        (self.folder / "file").touch()
        for name in ("", "pipe", "missing/x", "file/x", "x" * 252, "nul\0", "x/"):
            for force in (False, True):
                path = f"{self.folder}/{name}"
                destination = ResumableFileDestination(path, force)
                self.assertFails("place", destination.open)

    def test_twoAtOnce(self) -> None:
        """The second receiver of a target is refused, by force too."""
        first = self.destination()
        first.write(b"first")
        for force in (False, True):
            self.assertFails("busy", self.destination(force).open)
        raw = FileDestination(self.target, force=True)
        self.assertIn("another", str(self.assertRaises(DestinationError, raw.open)))
        first.interrupt()
        second = self.destination()
        self.assertEqual(self.successResultOf(second.offer())[0], 5)

    def test_tooLarge(self) -> None:
        """No byte more than is allowed is stored."""
        destination = self.destination(maxSize=6)
        destination.write(b"123")
        destination.write(b"456")
        self.assertIn(
            "6", self.assertFails("too-large", destination.write, b"7").reason
        )
        self.assertEqual(self.path.read_bytes(), b"123456")
        self.assertFails("too-large", destination.checkSize, 7)
        destination.checkSize(6)
        destination.interrupt()
        # Together with what was left, too.
        destination = self.destination(maxSize=6)
        self.successResultOf(destination.offer())
        destination.start(6)
        self.assertFails("too-large", destination.write, b"7")
        destination.interrupt()
        # And what was left is of no use if it is too large itself.
        destination = self.destination(maxSize=5)
        self.assertEqual(self.successResultOf(destination.offer()), (0, None))

    def test_readOnlyFolder(self) -> None:
        """A folder that nobody may write to, for a user who is not root."""
        self.folder.chmod(0o500)
        self.addCleanup(self.folder.chmod, 0o700)
        script = """if True:
            import sys
            from twisted_transfer.errors import DestinationError
            from twisted_transfer.resuming import ResumableFileDestination
            try:
                ResumableFileDestination(sys.argv[1]).open()
            except DestinationError as error:
                print(error.kind, error.reason, error, sep="|")
        """
        said = subprocess.run(
            [sys.executable, "-c", script, str(self.target)],
            cwd=ROOT,
            preexec_fn=dropPrivileges,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        kind, reason, message = said.split("|")
        self.assertEqual(kind, "place")
        self.assertIn("Permission denied", reason)
        self.assertNotIn(str(self.folder), reason)
        self.assertIn(str(self.folder), message)


@contextmanager
def _atMost(size: int) -> Iterator[None]:
    """Let no file of this process grow beyond a size."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


class FaultTests(Case):
    """What goes wrong on the way."""

    def test_fileSizeLimit(self) -> None:
        """
        A limit of the system is an error and not a signal (SIGXFSZ); what was
        stored can be gone on with.
        """
        content = bytes(range(256)) * 8
        destination = self.destination()
        destination.write(content[:1000])
        with _atMost(1500):
            error = self.assertFails("storing", destination.write, content[1000:])
        self.assertIn("File too large", error.reason)
        destination.interrupt()
        self.assertFalse(self.target.exists())
        destination = self.destination()
        offer = self.successResultOf(destination.offer())
        self.assertEqual(offer, (1500, sha256(content[:1500]).digest()))
        destination.start(1500)
        destination.write(content[1500:])
        self.successResultOf(destination.finish())
        self.assertEqual(self.target.read_bytes(), content)

    def test_folderRemoved(self) -> None:
        """A folder that goes in mid transfer takes the part along."""
        folder = self.folder / "inner"
        folder.mkdir()
        destination = ResumableFileDestination(folder / "target")
        destination.write(b"some")
        (folder / "target.part").unlink()
        folder.rmdir()
        destination.write(b"more")
        error = self.failureResultOf(destination.finish(), DestinationError).value
        self.assertIn("removed", error.reason)
        destination.interrupt()
        self.assertEqual(os.listdir(self.folder), [])

    def test_targetAppears(self) -> None:
        """A target that appears meanwhile is not replaced."""
        destination = self.destination()
        destination.write(b"data")
        self.target.write_bytes(b"precious")
        error = self.failureResultOf(destination.finish(), DestinationError).value
        self.assertEqual(error.kind, "exists")
        self.assertEqual(self.target.read_bytes(), b"precious")

    def test_targetBecomesFolder(self) -> None:
        """A folder that appears at its place is not touched."""
        destination = self.destination(force=True)
        destination.write(b"data")
        self.target.mkdir()
        error = self.failureResultOf(destination.finish(), DestinationError).value
        self.assertEqual((error.kind, error.reason), ("storing", "Is a directory"))
        self.assertTrue(self.target.is_dir())

    def test_partChanged(self) -> None:
        """A part that another program writes to is not published."""
        destination = self.destination()
        destination.write(b"data")
        with open(self.path, "ab") as file:
            file.write(b"theirs")
        self.failureResultOf(destination.finish(), DestinationError)
        self.assertFalse(self.target.exists())

    def test_notFinished(self) -> None:
        """Cancelled while the disk works, the part is still there."""
        threads: Any = HeldThreads()
        destination = self.destination(reactor=threads)
        destination.write(b"data")
        finishing = destination.finish()
        finishing.cancel()
        threads.run()
        self.failureResultOf(finishing, CancelledError)
        destination.interrupt()
        self.assertEqual(os.listdir(self.folder), ["target.part"])
        self.assertEqual(stat.S_IMODE(self.path.stat().st_mode), 0o600)


_CONTENT = bytes(range(256)) * 3
_PIECES = st.lists(st.integers(0, 300), max_size=5)


class SequenceTests(SynchronousTestCase):
    """Any way to get there."""

    @given(
        st.lists(
            st.tuples(_PIECES, st.sampled_from(["interrupt", "abort", "lose"])),
            max_size=6,
        ),
        st.sampled_from([_CONTENT, _CONTENT[::-1], b"", _CONTENT[:100]]),
        _PIECES,
    )
    def test_anyInterruption(
        self, tries: list[tuple[list[int], str]], final: bytes, cuts: list[int]
    ) -> None:
        """
        However it is cut and interrupted, the same bytes and digest come out;
        and of a source that was another one before, nothing is mixed in.
        """
        with TemporaryDirectory() as folder:
            target = Path(folder, "target")
            for pieces, end in tries:
                destination, offset = _begun(target, _CONTENT)
                for size in pieces:
                    piece = _CONTENT[offset:][:size]
                    destination.write(piece)
                    offset += len(piece)
                self.assertEqual(destination.size, offset)
                if end == "abort":
                    destination.abort()
                    self.assertEqual(os.listdir(folder), [])
                else:
                    destination.interrupt()
                if end == "lose" and os.listdir(folder):
                    # The machine stopped before all of it was on the disk.
                    os.truncate(f"{target}.part", offset // 2)
            destination, offset = _begun(target, final)
            for size in (*cuts, len(final)):
                piece = final[offset:][:size]
                destination.write(piece)
                offset += len(piece)
            self.assertEqual(destination.size, len(final))
            self.assertEqual(destination.digest(), sha256(final).digest())
            self.successResultOf(destination.finish())
            self.assertEqual(target.read_bytes(), final)
            self.assertEqual(os.listdir(folder), ["target"])


def _begun(target: Path, content: bytes) -> tuple[ResumableFileDestination, int]:
    """:returns: a destination, and from where on it has to get that content."""
    destination = ResumableFileDestination(target)
    offers: list[Offer] = []
    destination.offer().addCallback(offers.append)
    [(offered, digest)] = offers
    agrees = offered and sha256(content[:offered]).digest() == digest
    offset = offered if agrees else 0
    destination.start(offset)
    return destination, offset


class ThreadTests(TestCase):
    """With the threads of a real reactor."""

    async def test_resumed(self) -> None:
        """What threads hash and flush is what was received."""
        from twisted.internet import reactor

        threads: Any = reactor
        target = newFolder(self) / "target"
        content = os.urandom(3_000_000)
        for begin, end in ((0, 1_000_001), (1_000_001, 2_000_000), (2_000_000, None)):
            destination = ResumableFileDestination(target, reactor=threads)
            digest = sha256(content[:begin]).digest() if begin else None
            self.assertEqual(await destination.offer(), (begin, digest))
            destination.start(begin)
            rest = content[begin:end]
            for first in range(0, len(rest), 70_000):
                destination.write(rest[first : first + 70_000])
            self.assertFalse(target.exists())
            if end is not None:
                destination.interrupt()
        self.assertEqual(destination.digest(), sha256(content).digest())
        await destination.finish()
        self.assertEqual(target.read_bytes(), content)
