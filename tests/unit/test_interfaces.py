"""Tests for :mod:`twisted_transfer.interfaces`."""

from __future__ import annotations

from inspect import signature

from twisted.trial.unittest import SynchronousTestCase
from zope.interface.interface import InterfaceClass, Method

from twisted_transfer.interfaces import (
    Destination,
    IDestination,
    ILimitedSource,
    ISource,
    LimitedSource,
    Source,
)

_PAIRS: tuple[tuple[InterfaceClass, type], ...] = (
    (ISource, Source),
    (ILimitedSource, LimitedSource),
    (IDestination, Destination),
)


def arguments(method: Method) -> list[str]:
    """:returns: the names of a method's arguments."""
    return list(method.getSignatureInfo()["positional"])


class ProtocolTests(SynchronousTestCase):
    """The contracts and their types for annotations."""

    def test_names(self) -> None:
        """Both have the same methods and attributes, and nothing else."""
        for interface, protocol in _PAIRS:
            members = {
                name
                for each in protocol.__mro__
                for name in vars(each)
                if each not in (object,) and not name.startswith("_")
            }
            self.assertEqual(members, set(interface.names(all=True)))

    def test_arguments(self) -> None:
        """Each method takes the same arguments in both, by the same names."""
        for interface, protocol in _PAIRS:
            for name in interface.names(all=True):
                described = interface[name]
                if isinstance(described, Method):
                    taken = list(signature(getattr(protocol, name)).parameters)
                    self.assertEqual(taken, ["self", *arguments(described)], name)
