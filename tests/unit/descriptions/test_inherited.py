"""
Tests for :mod:`twisted_transfer.descriptions.inherited`; one of the
reactors' tests serves on such sockets.
"""

from __future__ import annotations

import os
import socket

from twisted.internet.endpoints import serverFromString
from twisted.internet.testing import MemoryReactorClock
from twisted.python.systemd import ListenFDs
from twisted.trial.unittest import SynchronousTestCase

from tests.support.folders import newFolder
from twisted_transfer import BadDescription


def make(options: str) -> object:
    """Make the endpoint of a socket."""
    return serverFromString(MemoryReactorClock(), f"transfer:passive:systemd:{options}")


class InheritedTests(SynchronousTestCase):
    """What systemd hands on is looked at before anything is done with it."""

    def setUp(self) -> None:
        self.path = newFolder(self) / "s"
        self.sockets = {
            "inet": socket.create_server(("127.0.0.1", 0)),
            "unix": socket.socket(socket.AF_UNIX),
            "deaf": socket.socket(socket.AF_INET),
            "datagrams": socket.socket(socket.AF_INET, socket.SOCK_DGRAM),
        }
        if socket.has_dualstack_ipv6():
            six = socket.create_server(("::1", 0), family=socket.AF_INET6)
            self.sockets["six"] = six
        self.sockets["unix"].bind(str(self.path))
        self.sockets["unix"].listen()
        for each in self.sockets.values():
            self.addCleanup(each.close)
        read, write = os.pipe()
        self.addCleanup(os.close, read)
        self.addCleanup(os.close, write)
        descriptors = [*(each.fileno() for each in self.sockets.values()), read]
        names = [*self.sockets, "pipe"]
        # Twisted has read what systemd says when it was imported.
        self.patch(ListenFDs, "inheritedDescriptors", lambda given: descriptors)
        self.patch(
            ListenFDs,
            "inheritedNamedDescriptors",
            lambda given: dict(zip(names, descriptors, strict=True)),
        )

    def refused(self, options: str, *said: str) -> None:
        """Require that a description is refused, in these words."""
        with self.assertRaises(BadDescription) as caught:
            serverFromString(
                MemoryReactorClock(), f"transfer:passive:systemd:{options}"
            )
        for each in said:
            self.assertIn(each, str(caught.exception))

    def test_domain(self) -> None:
        """A socket of another domain than the description says is told."""
        for name, domain, right in (
            ("inet", "UNIX", "INET"),
            ("inet", "INET6", "INET"),
            ("unix", "INET", "UNIX"),
            ("six", "INET", "INET6"),
        ):
            if name in self.sockets:
                self.refused(
                    f"{domain}:name={name}", f"domain={domain} in", f"domain={right}"
                )
        self.assertTrue(self.path.is_socket())

    def test_kind(self) -> None:
        """What does not listen is told, and what is no socket."""
        for name in ("deaf", "datagrams"):
            self.refused(f"INET:name={name}", "does not listen", "ListenStream=")
        self.refused("INET:name=pipe", "no open socket")

    def test_unknown(self) -> None:
        """A name or a number that is not there is told."""
        self.refused("INET:name=other", "name=other", "no such socket")
        self.refused("INET:index=99", "index=99", "no such socket")

    def test_lookedAtOnly(self) -> None:
        """A good one is as it was after it has been looked at."""
        for options in ("INET:name=inet", "UNIX:name=unix", "UNIX:index=1"):
            serverFromString(
                MemoryReactorClock(), f"transfer:passive:systemd:{options}"
            )
        for name in ("inet", "unix"):
            self.assertIsNone(self.sockets[name].gettimeout())
            with socket.socket(self.sockets[name].family) as dialled:
                dialled.connect(self.sockets[name].getsockname())
