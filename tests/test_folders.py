"""Tests for :mod:`twisted_transfer.folders`."""

from __future__ import annotations

import os
import unicodedata
from hashlib import sha256
from pathlib import Path
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from twisted_transfer.accepting import accept
from twisted_transfer.errors import DestinationError
from twisted_transfer.existing import ExistingFile
from twisted_transfer.folders import FolderDestination
from twisted_transfer.receiptmessages import Begin, End, Finished, Offer, Role
from twisted_transfer.resuming import ResumableFileDestination
from twisted_transfer.testing import memoryPair

from .folders import newFolder
from .talks import KeepingWatch, Partner, TalkTestCase, ThreadedClock, secondsUntil

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
        self.assertIsInstance(chosen, ExistingFile)
        forced = FolderDestination(self.place.path, True)
        chosen = forced.choose(None, Offer("there"), None)
        self.assertIsInstance(chosen, ResumableFileDestination)

    def test_noName(self) -> None:
        """A file without a name has no place here; there is a hint."""
        self.assertIn("path of a file", self.refused(None))

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
        """Two files of one transfer never share a name, however it is written."""
        for force in (False, True):
            folder = FolderDestination(self.place.path, force)
            folder.choose(None, Offer("straße"), None)
            for name in ("straße", "STRASSE", "Straße"):
                self.assertIn("two files", self.refused(name, folder))

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
        assert isinstance(chosen, ResumableFileDestination | ExistingFile)
        path = chosen.path
        self.assertEqual(os.path.split(path), (str(self.place.path), name))
        self.assertFalse(os.path.islink(path))

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
            if accepting.called or partner.conversation.error is not None:
                break
            partner.say(Begin())
            partner.data(b"evil")
            partner.say(End(4, sha256(b"evil").digest()))
            self.goOn(clock)
            if partner.conversation.error is None:
                stored.add(str(place.path / name))
        else:
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
            partner.say(Begin(), End(0, sha256(b"").digest()))
            self.settle()
        partner.say(Finished())
        self.theirs.loseConnection()
        self.settle()
        receipts = self.successResultOf(accepting)
        self.assertEqual([receipt.name for receipt in receipts], forms)
        self.assertTrue(set(forms) <= set(os.listdir(place.path)))
