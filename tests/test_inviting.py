"""
Tests for :mod:`twisted_transfer.inviting`, without a network.
"""

from __future__ import annotations

from twisted.internet.protocol import Factory
from twisted.trial.unittest import SynchronousTestCase

from tests.simulatedendpoints import SimulatedServerEndpoint
from tests.simulation import SimulatedReactor
from twisted_transfer.inviting import InvitingServerEndpoint
from twisted_transfer.keys import Secret


class ProofTests(SynchronousTestCase):
    """What the partner needs beside the address."""

    def setUp(self) -> None:
        reactor = SimulatedReactor()
        self.endpoint = InvitingServerEndpoint(
            reactor, SimulatedServerEndpoint(reactor)
        )

    def test_nothingYet(self) -> None:
        """Before there is a port there is no invitation."""
        self.assertEqual(self.endpoint.proof(), {})

    def test_newEachTime(self) -> None:
        """Each port has a pin and a secret of its own."""
        proofs = []
        for _ in range(2):
            self.endpoint.listen(Factory())
            proofs.append(self.endpoint.proof())
        first, second = proofs
        self.assertNotEqual(first["pin"], second["pin"])
        self.assertNotEqual(first["secret"], second["secret"])
        for proof in proofs:
            self.assertEqual(Secret.fromText(proof["secret"]).text, proof["secret"])

    def test_notShown(self) -> None:
        """Whoever prints what the endpoint holds does not print the secret."""
        self.endpoint.listen(Factory())
        secret = self.endpoint.proof()["secret"]
        self.assertNotIn(secret, repr(vars(self.endpoint)))
