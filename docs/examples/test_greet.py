# mypy: disallow-untyped-calls=False
"""Tests for greet.py that use no network and no time."""

from __future__ import annotations

from greet import greet
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from twisted_transfer import Truncated
from twisted_transfer.testing import memoryPair, settle


class GreetTests(SynchronousTestCase):
    """Two partners tell each other their names."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.ours, self.partner = memoryPair(self.clock)

    def test_names(self) -> None:
        """Each partner gets the other one's name."""
        greeting = Deferred.fromCoroutine(greet(self.ours, "Ada"))
        self.partner.write(b"Grace\n")
        settle(self.clock)
        line = self.successResultOf(self.partner.readLine())
        self.assertEqual(line, b"Ada\n")
        self.partner.loseConnection()
        settle(self.clock)
        self.assertEqual(self.successResultOf(greeting), "Grace")

    def test_reset(self) -> None:
        """A connection that breaks is no empty name, but an error."""
        greeting = Deferred.fromCoroutine(greet(self.ours, "Ada"))
        self.partner.abortConnection()
        settle(self.clock)
        self.failureResultOf(greeting, Truncated)
