"""Tests for :mod:`twisted_transfer.transfers.folder`."""

from __future__ import annotations

import os
import unicodedata
from functools import partial
from pathlib import Path
from typing import Any

from blake3 import blake3
from hypothesis import example, given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from tests.support.folders import leavePart, newFolder
from tests.support.talks import (
    KeepingWatch,
    Partner,
    TalkTestCase,
    ThreadedClock,
    secondsUntil,
)
from twisted_transfer.data.destinations import FileDestination
from twisted_transfer.data.parts import SUFFIX, heldBy, partPath
from twisted_transfer.errors import BadOption, DestinationError, PartnerFailed
from twisted_transfer.interfaces import IDestination
from twisted_transfer.printable import printable
from twisted_transfer.receipts.messages import Accept, Begin, End, Finished, Offer, Role
from twisted_transfer.receipts.receiving import ResumableFileDestination, accept
from twisted_transfer.testing.memory import memoryPair
from twisted_transfer.transfers import folder as _folder
from twisted_transfer.transfers.folder import (
    MAX_NAME,
    ExistingFile,
    FolderDestination,
    suggestedName,
)

# What a name is made of that wants to get out, and what is in the folder.
_FRAGMENTS = (
    *("..", ".", "/", "\\", "~", "-", "C:", "\0", "\n", " ", "\u202e", "\x1b[2J"),
    *("link", "folderlink", "sub", "there", "new", "outside", "secret", ".part"),
    *("etc", "passwd", "CON", "a" * 251, "ä", "//", "/proc/self/cwd/"),
)

# Names that may be in an Offer: not empty, and encodable.
hostile = st.lists(st.sampled_from(_FRAGMENTS), min_size=1, max_size=6).map("".join)
names = (hostile | st.text(st.characters(codec="utf-8"), min_size=1)).filter(
    lambda name: len(name.encode()) <= 1024
)


class Place:
    """A folder with something in it, and something beside it."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.path = base / "folder"
        outside = base / "outside"
        outside.mkdir()
        (outside / "secret").write_bytes(b"secret")
        self.path.mkdir()
        (self.path / "there").write_bytes(b"there")
        (self.path / "sub").mkdir()
        (self.path / "link").symlink_to(outside / "secret")
        (self.path / "folderlink").symlink_to(outside)
        (self.path / "dangling").symlink_to(outside / "new")

    def tree(self) -> dict[str, Any]:
        """:returns: all that there is, and what is in it."""
        found: dict[str, Any] = {}
        for folder, folders, files in os.walk(self.base):
            for name in (*folders, *files):
                path = os.path.join(folder, name)
                if os.path.islink(path):
                    found[path] = os.readlink(path)
                elif os.path.isfile(path):
                    found[path] = Path(path).read_bytes()
                else:
                    found[path] = None
        return found


class ChooseTests(SynchronousTestCase):
    """Where an offered file goes."""

    def setUp(self) -> None:
        self.place = Place(newFolder(self))
        self.folder = FolderDestination(self.place.path)

    def refused(self, name: str | None, folder: FolderDestination | None = None) -> str:
        """:returns: what is said of a name that is refused."""
        error = self.assertRaises(
            DestinationError,
            (folder or self.folder).choose,
            None,
            Offer(name),
            None,
        )
        self.assertEqual(error.kind, "refused")
        self.assertNotIn(str(self.place.base), error.reason)
        return str(error)

    def test_plain(self) -> None:
        """A plain name is the name of a file in the folder."""
        for name in ("plan.pdf", "a b", "Überblick", "a.part.b", "日本"):
            destination = self.folder.choose(None, Offer(name), None)
            assert isinstance(destination, ResumableFileDestination)
            self.assertEqual(destination.path, str(self.place.path / name))

    def test_there(self) -> None:
        """A file that is there is good if it is the same, or is replaced."""
        chosen = self.folder.choose(None, Offer("there"), None)
        self.assertIsInstance(chosen.destination, ExistingFile)
        forced = FolderDestination(self.place.path, True)
        chosen = forced.choose(None, Offer("there"), None)
        self.assertIsInstance(chosen, ResumableFileDestination)

    def test_noName(self) -> None:
        """
        A file without a name has no place here; both sides hear why, and what to do.
        """
        self.assertIn("its name is not UTF-8; give the path", self.refused(None))
        error = self.assertRaises(
            DestinationError, self.folder.choose, None, Offer(None), None
        )
        self.assertIn("its name is not UTF-8; the receiver has to", error.reason)

    def test_paths(self) -> None:
        """A path is not a name, and is shown without effect on a terminal."""
        for name in ("../x", "/etc/passwd", "a/b", "a\\b", "..", ".", "C:x", "~root"):
            self.assertIn("path of a file", self.refused(name))
        self.assertTrue(self.refused("\x1b[2J\n../x").isprintable())

    def test_links(self) -> None:
        """What is a symbolic link is not followed, wherever it leads."""
        for force in (False, True):
            folder = FolderDestination(self.place.path, force)
            for name in ("link", "folderlink", "dangling"):
                self.assertIn("symbolic link", self.refused(name, folder))

    def test_twice(self) -> None:
        """
        Two files of one transfer never share a name; whether ``Straße`` is one with
        ``straße`` is for the file system to say.
        """
        for force in (False, True):
            folder = FolderDestination(self.place.path, force)
            folder.choose(None, Offer("straße"), None)
            self.assertIn("two files", self.refused("straße", folder))
            (self.place.path / "straße").touch()
            folder.choose(None, Offer("STRASSE"), None)
            # As a file system does that does not tell letters of either case apart.
            os.link(self.place.path / "straße", self.place.path / "Straße")
            self.assertIn("two files", self.refused("Straße", folder))
            (self.place.path / "Straße").unlink()
            (self.place.path / "straße").unlink()

    def test_number(self) -> None:
        """There are no more files than are allowed, whatever they are called."""
        folder = FolderDestination(self.place.path, maxFiles=2)
        for name in ("one", "two"):
            folder.choose(None, Offer(name), None)
        self.assertIn("more than the 2 files", self.refused("three", folder))
        self.assertRaises(BadOption, FolderDestination, "x", maxFiles=0)

    def test_total(self) -> None:
        """All files together have no more bytes than are allowed."""
        folder = FolderDestination(self.place.path, maxTotal=10)
        for name, content in (("one", b"123"), ("two", b"4567")):
            destination = folder.choose(None, Offer(name, len(content)), None)
            destination.write(content)
            self.successResultOf(destination.finish())
        choose = partial(folder.choose, None)
        error = self.assertRaises(DestinationError, choose, Offer("three", 4), None)
        self.assertEqual(error.kind, "too-large")
        self.assertIn("10 bytes", str(error))
        # One that does not say how many it has gets as many as are left.
        destination = choose(Offer("four"), None)
        destination.write(b"890")
        self.assertRaises(DestinationError, destination.write, b"1")
        destination.abort()
        self.assertRaises(BadOption, FolderDestination, "x", maxTotal=-1)

    def test_again(self) -> None:
        """What was taken in an earlier transfer counts no more when it begins anew."""
        folder = FolderDestination(self.place.path, force=True, maxFiles=1, maxTotal=4)
        for _ in range(2):
            folder.open()
            destination = folder.choose(None, Offer("one", 4), None)
            destination.write(b"1234")
            self.successResultOf(destination.finish())

    def test_room(self) -> None:
        """Without a bound some of the disk is left."""
        self.folder.open()
        disk = os.statvfs(self.place.path)
        size = disk.f_blocks * disk.f_frsize
        error = self.assertRaises(
            DestinationError, self.folder.choose, None, Offer("a", size), None
        )
        self.assertEqual(error.kind, "too-large")

    def test_roomOfAPart(self) -> None:
        """What an earlier try has left of a file takes no more room."""
        part = leavePart(f"{self.place.path}/a", b"x" * 100_000)
        held = heldBy(str(part))
        self.patch(_folder, "roomOn", lambda path: 20 * 1000)
        self.folder.open()
        self.folder.choose(None, Offer("a", 19_000 + held), None)
        self.folder.open()
        error = self.assertRaises(
            DestinationError,
            *(self.folder.choose, None, Offer("a", 19_001 + held), None),
        )
        self.assertEqual(error.kind, "too-large")

    def test_nothingYet(self) -> None:
        """Choosing changes nothing."""
        before = self.place.tree()
        self.folder.choose(None, Offer("new"), None)
        self.assertEqual(self.place.tree(), before)

    @given(names)
    def test_any(self, name: str) -> None:
        """Any name is refused, or that of a file right in the folder."""
        folder = FolderDestination(self.place.path)
        try:
            chosen = folder.choose(None, Offer(name), None)
        except DestinationError as error:
            self.assertTrue(str(error).isprintable())
            return
        file = chosen.destination
        assert isinstance(file, FileDestination | ExistingFile)
        path = file.path
        self.assertEqual(os.path.split(path), (str(self.place.path), name))
        self.assertFalse(os.path.islink(path))

    def test_readOnly(self) -> None:
        """A folder in which no file can be made is refused before anybody comes."""
        asked: list[tuple[Any, ...]] = []

        def access(*args: Any, **options: Any) -> bool:
            asked.append(args)
            return False

        self.patch(os, "access", access)
        error = self.assertRaises(DestinationError, self.folder.open)
        self.assertEqual(asked, [(str(self.place.path), os.W_OK | os.X_OK)])
        self.assertIn(f"cannot write in {self.place.path}: it is read-only", str(error))
        self.assertNotIn("/", error.reason)

    def test_open(self) -> None:
        """There has to be such a folder."""
        self.folder.open()
        for path in (self.place.path / "there", self.place.path / "missing"):
            error = self.assertRaises(DestinationError, FolderDestination(path).open)
            self.assertEqual(error.kind, "place")
            self.assertIn(str(path), str(error))
            self.assertNotIn("/", error.reason)


class HostileTests(SynchronousTestCase):
    """Whatever a partner calls its files, nothing else is touched."""

    @given(st.lists(names, min_size=1, max_size=3), st.booleans())
    @example(["../outside/secret"], True)
    @example(["link"], True)
    @example(["dangling"], True)
    @example(["folderlink/new"], True)
    @example(["there", "There"], True)
    @example(["sub"], True)
    @example(["new", "new"], True)
    @example(["there"], False)
    def test_any(self, offered: list[str], force: bool) -> None:
        """
        After a transfer of files with any names, all that is outside of the
        folder is as it was; in it, there may be files of just these names.
        """
        place = Place(newFolder(self))
        before = place.tree()
        clock: Any = ThreadedClock()
        ours, theirs = memoryPair(clock)
        folder = FolderDestination(place.path, force)
        folder.open()
        partner = Partner(theirs, Role.SENDS)
        accepting: Deferred[Any] = accept(
            clock,
            ours,
            lambda offer: folder.choose(clock, offer, None),
            KeepingWatch(),
            many=True,
        )
        partner.begin()
        self.goOn(clock)
        stored: set[str] = set()
        for name in offered:
            partner.say(Offer(name, 4))
            self.goOn(clock)
            if partner.conversation.error is not None:
                break
            partner.say(Begin())
            partner.data(b"evil")
            partner.say(End(4, blake3(b"evil").digest()))
            self.goOn(clock)
            if partner.conversation.error is not None:
                break
            stored.add(str(place.path / name))
        else:
            # A partner that was told of a failure says no more.
            partner.say(Finished())
        theirs.loseConnection()
        secondsUntil(clock, accepting, 0)
        accepting.addErrback(lambda failure: failure.trap(DestinationError))
        self.successResultOf(accepting)
        after = place.tree()
        for path in stored:
            self.assertEqual(after.pop(path), b"evil")
            # Only what may be replaced was.
            self.assertTrue(force or before.get(path) in (None, b"evil"))
            before.pop(path, None)
        self.assertEqual(after, before)

    @staticmethod
    def goOn(clock: ThreadedClock) -> None:
        """Let everything happen that is due."""
        while clock.calls and clock.calls[0].getTime() <= clock.seconds():
            clock.advance(0)


class TransferTests(TalkTestCase):
    """A transfer into a folder."""

    def test_existsIsSaidLast(self) -> None:
        """
        Of a file that is there the sender hears nothing until it has sent its own,
        whether the first byte differs or none but the last.
        """
        place = Place(newFolder(self))
        there = (place.path / "there").read_bytes()
        for content in (b"?" + there[1:], there[:-1] + b"?", there + b"more"):
            self.setUp()
            folder = FolderDestination(place.path)
            partner = Partner(self.theirs, Role.SENDS)
            accepting = accept(
                self.clock,
                self.ours,
                partial(folder.choose, self.clock, maxSize=None),
                KeepingWatch(),
                many=True,
            )
            partner.begin()
            self.settle()
            partner.say(Offer("there", len(content)))
            self.settle()
            partner.say(Begin())
            partner.data(content)
            self.settle()
            self.assertIsInstance(partner.last, Accept)
            partner.say(End(len(content), blake3(content).digest()))
            self.settle()
            error = partner.last
            assert isinstance(error, PartnerFailed)
            self.assertEqual(error.kind, "exists")
            self.theirs.loseConnection()
            self.settle()
            self.failureResultOf(accepting, DestinationError)
            self.assertEqual((place.path / "there").read_bytes(), there)

    def test_normalForms(self) -> None:
        """A name is stored just as it was sent, in whichever normal form."""
        place = Place(newFolder(self))
        folder = FolderDestination(place.path)
        partner = Partner(self.theirs, Role.SENDS)
        accepting = accept(
            self.clock,
            self.ours,
            lambda offer: folder.choose(self.clock, offer, None),
            KeepingWatch(),
            many=True,
        )
        partner.begin()
        self.settle()
        forms = [unicodedata.normalize(form, "Ä") for form in ("NFC", "NFD")]
        for name in forms:
            partner.say(Offer(name, 0))
            self.settle()
            partner.say(Begin(), End(0, blake3(b"").digest()))
            self.settle()
        partner.say(Finished())
        self.theirs.loseConnection()
        self.settle()
        receipts = self.successResultOf(accepting)
        self.assertEqual([receipt.name for receipt in receipts], forms)
        self.assertTrue(set(forms) <= set(os.listdir(place.path)))


_GOOD = (
    "report.pdf",
    "a",
    "with space.txt",
    "Bildschirmfoto um 10:30:00.png",
    "Screenshot at 1.00.00\u202fPM.png",
    "x.tar.gz",
    "..".join("ab"),
    "caf\u00e9",
    "\u0645\u06cc\u200c\u0631\u0648\u0645",  # Persian, with a joiner
    "\U0001f468\u200d\U0001f469.png",
    "a~", "a-b", "~".join("ab"), "console", "nullable.txt", "COM", "com10", "lpt.txt",
    "part", "x.part", "x.party", "x.part.gz", "C", "Cd:e", "1:30",
)  # fmt: skip
_BAD = (
    "", ".", "..", "...", " ", "/", "\\", "a/b", "/a", "a/", "..\\a", "\\\\host\\a",
    "../../etc/passwd", "C:", "c:a", "C:\\a",
    ".bashrc", "a.", "a ", " a", "a. ", "a .", "a\u3000", "\u00a0a",
    "-rf", "--checkpoint-action=exec=sh", "-", "~", "~root",
    "a\0b", "\0", "a\nb", "a\n", "\ta", "a\x1b[2Jb", "a\x7f", "a\x9b2J", "a\u2028b",
    "a\u2029", "gpj.\u202efdp.exe", "a\u2066b", "a\u200eb", "a\u061cb", "a\ufeff",
    "a\u200bb", "a\u00adb", "\udc80", "a\ud800b",
    "CON", "nul", "NUL.txt", "Aux.tar.gz", "com1", "COM9.", "LPT1.x", "con .txt",
    "COM\u00b9", "lpt\u00b3.a", "conin$", "CONOUT$",
    "x.twisted-transfer-part", "X.TWISTED-TRANSFER-PART",
)  # fmt: skip


class SuggestedNameTests(SynchronousTestCase):
    """Which names are taken."""

    def test_good(self) -> None:
        """What people call their files is taken as it is."""
        self.assertEqual([suggestedName(name) for name in _GOOD], list(_GOOD))

    def test_bad(self) -> None:
        """What is a path, or would not be seen as what it is, is not taken."""
        taken = [name for name in _BAD if suggestedName(name) is not None]
        self.assertEqual(taken, [])

    def test_length(self) -> None:
        """The bytes count, not the characters: what file systems take is taken."""
        self.assertIsNotNone(suggestedName("a" * 255))
        self.assertIsNone(suggestedName("a" * 256))
        self.assertIsNotNone(suggestedName("\u00e4" * 127))
        self.assertIsNone(suggestedName("\u00e4" * 128))

    def test_part(self) -> None:
        """The suffix that is refused is the one that parts have."""
        self.assertIsNone(suggestedName("report.pdf" + SUFFIX))

    @given(st.text(st.sampled_from("./\\-~ :ab\0\n\u202e") | st.characters()))
    def test_safe(self, text: str) -> None:
        """Whatever is taken is the name of a file in the folder, and seen whole."""
        name = suggestedName(text)
        if name is None:
            return
        self.assertEqual(name, text)
        self.assertEqual(os.path.basename(name), name)
        self.assertEqual(os.path.normpath(os.path.join("/f", name)), f"/f/{name}")
        self.assertLessEqual(len(os.fsencode(name)), 255)
        for character in name:
            self.assertNotIn(unicodedata.category(character), ("Cc", "Zl", "Zp"))
            self.assertNotIn(
                unicodedata.bidirectional(character),
                ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"),
            )

    def test_made(self) -> None:
        """A file of each good name can be made, and its part."""
        folder = newFolder(self)
        for name in (*_GOOD, "a" * MAX_NAME):
            (folder / name).touch()
            Path(partPath(str(folder / name))).touch()
        self.assertEqual(len(os.listdir(folder)), 2 * len(_GOOD) + 2)


class PrintableTests(SynchronousTestCase):
    """What is shown of the partner's words."""

    def test_escaped(self) -> None:
        """What garbles a terminal is written as in a Python string."""
        self.assertEqual(
            printable("a\x1b[2J\n\u202e\udc80\x9b\u00e4", 99),
            "a\\x1b[2J\\n\\u202e\\udc80\\x9b\u00e4",
        )

    def test_fits(self) -> None:
        """What fits is not cut."""
        self.assertEqual(printable("abcd", 4), "abcd")
        self.assertEqual(printable("\n\n", 4), "\\n\\n")
        self.assertEqual(printable("", 1), "")

    def test_cut(self) -> None:
        """What does not fit is cut, but not within an escape."""
        self.assertEqual(printable("abcde", 4), "abc…")
        self.assertEqual(printable("a\x1bb", 4), "a…")
        self.assertEqual(printable("\x1b" * 3, 10), "\\x1b\\x1b…")
        self.assertEqual(printable("\x1b", 1), "…")

    @given(st.text(), st.integers(1, 50))
    @example("\U0010ffff", 10)
    def test_bounded(self, text: str, limit: int) -> None:
        """The result is never longer than that, and does nothing to a terminal."""
        shown = printable(text, limit)
        self.assertLessEqual(len(shown), limit)
        self.assertTrue(shown.isprintable(), shown)
        if text.isprintable() and len(text) <= limit:
            self.assertEqual(shown, text)


class ExistingFileTests(SynchronousTestCase):
    """A file that is there, and may come again."""

    def setUp(self) -> None:
        self.path = newFolder(self) / "file"
        self.path.write_bytes(b"content")
        self.file = ExistingFile(str(self.path))
        self.addCleanup(self.file.abort)
        self.file.open()

    def refused(self, doing: object, *arguments: object) -> None:
        """It says that the file exists, and has changed nothing."""
        error = self.assertRaises(DestinationError, doing, *arguments)
        self.assertEqual(error.kind, "exists")
        self.assertEqual(self.path.read_bytes(), b"content")

    def test_interface(self) -> None:
        """It is a destination."""
        self.assertTrue(verifyObject(IDestination, self.file))

    def test_same(self) -> None:
        """If just that comes, it is stored already."""
        for piece in (b"con", b"tent"):
            self.file.write(piece)
        self.successResultOf(self.file.finish())
        self.assertEqual(self.path.read_bytes(), b"content")

    def test_empty(self) -> None:
        """An empty one is there when nothing comes."""
        self.path.write_bytes(b"")
        file = ExistingFile(str(self.path))
        file.open()
        self.successResultOf(file.finish())

    def test_different(self) -> None:
        """
        If anything else comes, that is said when all of it has come and not
        before, wherever the first difference is.
        """
        for content in (b"Content", b"contenT", b"conten", b"contents", b""):
            file = ExistingFile(str(self.path))
            self.addCleanup(file.abort)
            file.open()
            for index in range(len(content)):
                file.write(content[index : index + 1])
            error = self.failureResultOf(file.finish(), DestinationError).value
            self.assertEqual(error.kind, "exists")
            self.assertEqual(self.path.read_bytes(), b"content")

    def test_changed(self) -> None:
        """And if somebody changes it meanwhile."""
        self.file.write(b"content")
        self.path.write_bytes(b"CONTENT and more")
        failure = self.failureResultOf(self.file.finish(), DestinationError)
        self.assertEqual(failure.value.kind, "exists")

    def test_link(self) -> None:
        """It is not looked for behind a symbolic link."""
        link = self.path.with_name("link")
        link.symlink_to(self.path)
        self.refused(ExistingFile(str(link)).open)

    def test_closed(self) -> None:
        """The descriptor is given back, however it ends."""
        before = len(os.listdir("/proc/self/fd"))
        file = ExistingFile(str(self.path))
        file.open()
        file.abort()
        file = ExistingFile(str(self.path))
        file.open()
        file.write(b"content")
        self.successResultOf(file.finish())
        self.assertEqual(len(os.listdir("/proc/self/fd")), before)
