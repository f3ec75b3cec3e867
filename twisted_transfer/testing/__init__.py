"""
Tools to test programs that use this library, and any that listen or dial.

In memory, moved by a clock, with no network and no real time:

- :func:`memoryPair`: two channels that are connected with each other;
- :class:`MemoryListener`: an address to listen on, and to dial from others;
- :class:`MemoryTransport`: one end of a connection, for protocols;
- :func:`settle`: runs everything that is due.

Hostile peers, in memory or on real sockets:

- :class:`Scanner`, :class:`Resetter`, :class:`Staller`, :class:`Dripper`,
  :class:`Garbler`, :class:`Flooder`, :class:`Impostor`: one bad thing each, to a
  server; :class:`ImpostorServer`: to a client;
- :class:`HostilePeer`: what they have in common, and the base for your own;
- :func:`attack`: sends one peer to a server; :func:`siege`: sends many;
- :func:`ambush`: lets one peer wait for a client;
- :func:`thiefEndpoint`: dials from another address, on real sockets.

Relays, in memory or on real sockets:

- :class:`Relay`: a transit relay for ``relay:`` endpoints;
- :class:`SwappingRelay`, :class:`ReplayingRelay`, :class:`JoiningRelay`,
  :class:`DroppingRelay`, :class:`DelayingRelay`: one bad thing each, to both sides.

A test of a server that must not be used up by a thief who comes first::

    clock = Clock()
    listener = MemoryListener(clock)
    connector = TransferConnector(
        clock, "passive", socketCommand=listener, admit=["127.0.0.1"]
    )
    waiting = connector.connect()
    thief = attack(clock, listener.client("127.0.0.2"), Staller)
    settle(clock)
    self.assertEqual(self.successResultOf(thief).outcome, "end of file")
    self.assertNoResult(waiting)
"""

from __future__ import annotations

from twisted_transfer.testing.attacks import ambush, attack, siege, thiefEndpoint
from twisted_transfer.testing.memory import (
    MemoryListener,
    MemoryTransport,
    memoryPair,
    settle,
)
from twisted_transfer.testing.peers import (
    Dripper,
    Flooder,
    Garbler,
    HostilePeer,
    Resetter,
    Scanner,
    Staller,
)
from twisted_transfer.testing.relays import (
    DelayingRelay,
    DroppingRelay,
    JoiningRelay,
    Relay,
    ReplayingRelay,
    SwappingRelay,
)
from twisted_transfer.testing.tlspeers import Impostor, ImpostorServer

__all__ = [
    "DelayingRelay",
    "Dripper",
    "DroppingRelay",
    "Flooder",
    "Garbler",
    "HostilePeer",
    "Impostor",
    "ImpostorServer",
    "JoiningRelay",
    "MemoryListener",
    "MemoryTransport",
    "Relay",
    "ReplayingRelay",
    "Resetter",
    "Scanner",
    "Staller",
    "SwappingRelay",
    "ambush",
    "attack",
    "memoryPair",
    "settle",
    "siege",
    "thiefEndpoint",
]
