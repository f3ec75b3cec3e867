"""
TLS in which both sides prove who they are.
"""

from twisted_transfer.tls.keys import PeerIdentity

__all__ = ["PeerIdentity"]
