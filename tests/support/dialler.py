"""
A third-party endpoint type that connects to a UNIX socket by its nickname.
"""

from __future__ import annotations

import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import UNIXClientEndpoint, UNIXServerEndpoint
from twisted.internet.interfaces import (
    IListeningPort,
    IProtocol,
    IStreamClientEndpoint,
    IStreamClientEndpointStringParserWithReactor,
    IStreamServerEndpoint,
    IStreamServerEndpointStringParser,
)
from twisted.plugin import IPlugin, getPlugins
from twisted.protocols.policies import WrappingFactory
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

import twisted.plugins

_MODULE = "twisted_transfer_dialler"


@implementer(IStreamClientEndpoint, IStreamServerEndpoint)
class NicknameEndpoint:
    """
    Wraps the protocols of its users, as many a plugin does, and gives the wrapper
    to a client.
    """

    def __init__(self, reactor: Any, path: Path) -> None:
        self._client = UNIXClientEndpoint(reactor, str(path))
        self._server = UNIXServerEndpoint(reactor, str(path))

    def connect(self, protocolFactory: Any) -> Deferred[IProtocol]:
        """Dial."""
        connecting: Deferred[IProtocol] = self._client.connect(
            WrappingFactory(protocolFactory)
        )
        return connecting

    def listen(self, protocolFactory: Any) -> Deferred[IListeningPort]:
        """Listen."""
        listening: Deferred[IListeningPort] = self._server.listen(
            WrappingFactory(protocolFactory)
        )
        return listening


@implementer(
    IPlugin,
    IStreamClientEndpointStringParserWithReactor,
    IStreamServerEndpointStringParser,
)
class NicknameParser:
    """
    Parses ``nickname:NAME``.

    :ivar folder: where the sockets are.
    """

    prefix = "nickname"
    folder = Path()

    def parseStreamClient(
        self, reactor: Any, *args: Any, **kwargs: Any
    ) -> NicknameEndpoint:
        """Read a client description."""
        return self._make(reactor, *args, **kwargs)

    def parseStreamServer(
        self, reactor: Any, *args: Any, **kwargs: Any
    ) -> NicknameEndpoint:
        """Read a server description."""
        return self._make(reactor, *args, **kwargs)

    def _make(self, reactor: Any, name: str) -> NicknameEndpoint:
        return NicknameEndpoint(reactor, self.folder / name)


nickname = NicknameParser()


def installNickname(case: SynchronousTestCase, folder: Path) -> None:
    """
    Let Twisted find the plugin of this module while a test runs.

    :param case: the test.
    :param folder: where the sockets are to be.
    """
    directory = TemporaryDirectory()
    case.addCleanup(directory.cleanup)
    Path(directory.name, f"{_MODULE}.py").write_text(
        "from tests.support.dialler import nickname\n"
    )
    twisted.plugins.__path__.append(directory.name)
    case.addCleanup(twisted.plugins.__path__.remove, directory.name)
    case.addCleanup(sys.modules.pop, f"twisted.plugins.{_MODULE}", None)
    case.patch(nickname, "folder", folder)
    assert nickname in list(getPlugins(IStreamServerEndpointStringParser))
