"""Tests for :mod:`twisted_transfer.channel.channel`."""

from __future__ import annotations

from tests.unit.data.test_copying import ChannelTestCase
from twisted_transfer.text.settings import TextSettings


class InsideTests(ChannelTestCase):
    """What is needed of a channel."""

    def test_clock(self) -> None:
        """The time is that of its connection."""
        self.assertIs(self.ours.clock, self.clock)

    def test_settings(self) -> None:
        """The settings are those that were set last."""
        self.assertEqual(self.ours.settings, TextSettings.BINARY)
        self.ours.configure(encoding="utf-8", translation=("auto", "cr"))
        wanted = TextSettings.BINARY.replaced(
            encoding="utf-8", translation=("auto", "cr")
        )
        self.assertEqual(self.ours.settings, wanted)

    def test_writingBy(self) -> None:
        """Other settings hold in the block, also if that fails, and not after."""
        settings = TextSettings.BINARY.replaced(encoding="utf-8", translation="crlf")
        for error in (None, ZeroDivisionError()):
            try:
                with self.ours.writingBy(settings):
                    self.ours.write("ü\n")
                    if error is not None:
                        raise error
            except ZeroDivisionError:
                self.assertIsNotNone(error)
            self.ours.write(b"\xfc\n")
            self.assertEqual(self.readAll(self.theirs), b"\xc3\xbc\r\n\xfc\n")

    def test_same(self) -> None:
        """The channel's own settings change nothing, not even a byte order mark."""
        self.ours.configure(encoding="utf-16")
        self.ours.write("a")
        with self.ours.writingBy(self.ours.settings):
            self.ours.write("b")
        self.ours.write("c")
        self.assertEqual(self.readAll(self.theirs), "abc".encode("utf-16"))

    def test_changedMeanwhile(self) -> None:
        """Who configures the channel meanwhile has set what it is to be."""
        settings = TextSettings.BINARY.replaced(encoding="utf-8")
        with self.ours.writingBy(settings):
            self.ours.write("ü")
            self.ours.configure(encoding="latin-1")
            self.ours.write("ü")
        self.ours.write("ü")
        self.assertEqual(self.readAll(self.theirs), b"\xc3\xbc\xfc\xfc")

    def test_closedMeanwhile(self) -> None:
        """What an encoding with states has to end with is not written too late."""
        settings = TextSettings.BINARY.replaced(encoding="iso2022-jp")
        with self.ours.writingBy(settings):
            self.ours.write("あ")
            self.ours.loseConnection()
        self.assertEqual(self.readAll(self.theirs), "あ".encode("iso2022_jp"))
