"""
TLS in which both sides prove who they are.
"""

from twisted_transfer.tls.keys import Identity, PeerIdentity

__all__ = ["Identity", "PeerIdentity"]
