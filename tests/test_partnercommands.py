"""
Tests for :mod:`twisted_transfer.partnercommands`.
"""

from __future__ import annotations

import shlex

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.error import CannotListenError
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase

from twisted_transfer import TransferConnector, partnercommands
from twisted_transfer.descriptions import TransferDescription
from twisted_transfer.partnercommands import partnerCommands, partnerPath


class PartnerPathTests(SynchronousTestCase):
    """Which path is proposed."""

    def test_paths(self) -> None:
        """The same name where the partner is."""
        for path, proposed in (
            ("/home/me/plan.pdf", "plan.pdf"),
            ("-", "-"),
            ("-x", "./-x"),
            ("two words", "'two words'"),
            ("it's", "'it'\"'\"'s'"),
            ("folder/", "PATH"),
            ("bell\a", "PATH"),
            ("two\nlines", "PATH"),
        ):
            self.assertEqual(partnerPath(path), proposed)

    @given(st.text(min_size=1))
    def test_any(self, path: str) -> None:
        """A shell takes it for one word that is no option, and prints it safely."""
        proposed = partnerPath(path)
        self.assertTrue(proposed.isprintable())
        [word] = shlex.split(proposed)
        self.assertTrue(word == "-" or not word.startswith("-"))


class PartnerCommandsTests(SynchronousTestCase):
    """The partner's command lines."""

    def listening(self, command: str) -> TransferConnector:
        """:returns: a connector that listens in memory."""
        self.reactor = MemoryReactorClock()
        connector = TransferConnector(self.reactor, "passive", socketCommand=command)
        connecting = connector.connect().addErrback(lambda ignored: None)
        self.addCleanup(connecting.cancel)
        return connector

    def test_everyAddress(self) -> None:
        """There is one for each address; each reads back as it was meant."""
        found = ["192.0.2.7", "2001:db8::7", "fd00::1"]
        self.patch(partnercommands, "reachableHosts", lambda bound: found)
        connector = self.listening("mtls:port=4000")
        invited = self.successResultOf(connector.invitation("192.0.2.7"))
        proof = TransferDescription.parse(invited).socketCommand
        assert proof is not None
        lines = self.successResultOf(partnerCommands(connector, "send --raw", ["a b"]))
        hosts = []
        for line in lines:
            *words, description = shlex.split(line)
            self.assertEqual(words, ["twisted-transfer", "send", "--raw", "a b"])
            command = TransferDescription.parse(description).socketCommand
            assert command is not None
            self.assertEqual(command.args, ("mtls",))
            self.assertEqual(command.keywords["secret"], proof.keywords["secret"])
            self.assertEqual(command.keywords["pin"], proof.keywords["pin"])
            hosts.append(command.keywords["host"])
        self.assertEqual(hosts, found)

    def test_unix(self) -> None:
        """A UNIX socket has one path."""
        connector = self.listening("unix:/run/a b")
        self.assertEqual(
            self.successResultOf(partnerCommands(connector, "receive", ["-"])),
            ["twisted-transfer receive - 'transfer:active:unix:path=/run/a b'"],
        )

    def test_several(self) -> None:
        """For several files the partner needs a folder, or has several, too."""
        connector = self.listening("unix:/run/a")
        for paths, proposed in ((["a", "b"], "."), (["/"], "PATH")):
            [line] = self.successResultOf(partnerCommands(connector, "receive", paths))
            self.assertEqual(shlex.split(line)[2], proposed)

    def test_unknown(self) -> None:
        """What nobody knows how to dial has none."""
        connector = self.listening("haproxy:tcp:4000")
        self.assertEqual(
            self.successResultOf(partnerCommands(connector, "send", ["x"])), []
        )

    def test_noPort(self) -> None:
        """Where there is no port, it fails as waiting for the port does."""
        connector = TransferConnector(
            MemoryReactorClock(), "passive", socketCommand="tcp:4000"
        )

        def refuse(*args: object, **more: object) -> None:
            raise CannotListenError("", 4000, OSError())

        self.patch(MemoryReactorClock, "listenTCP", refuse)
        self.failureResultOf(connector.connect(), CannotListenError)
        waiting = partnerCommands(connector, "send", ["x"])
        self.assertNoResult(waiting)
        self.failureResultOf(connector.connect(), CannotListenError)
        self.failureResultOf(waiting, CannotListenError)
