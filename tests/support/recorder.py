"""
A third-party endpoint type that records the result of Twisted's parser for a
description.

Twisted's parser is private, but each plugin gets its result, so a plugin suffices to
compare with it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from twisted.internet.interfaces import (
    IStreamClientEndpoint,
    IStreamClientEndpointStringParserWithReactor,
    IStreamServerEndpoint,
    IStreamServerEndpointStringParser,
)
from twisted.plugin import IPlugin, getPlugins
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

import twisted.plugins

_MODULE = "twisted_transfer_recorder"


@implementer(IStreamClientEndpoint, IStreamServerEndpoint)
class RecordedEndpoint:
    """What a :class:`Recorder` makes."""

    def __init__(self, args: tuple[str, ...], keywords: dict[str, str]) -> None:
        self.args = args
        self.keywords = keywords

    def connect(self, protocolFactory: object) -> Any:
        """Refuse to dial: the tests want the arguments alone."""
        raise NotImplementedError("this endpoint is only made, never used")

    def listen(self, protocolFactory: object) -> Any:
        """Refuse to listen: the tests want the arguments alone."""
        raise NotImplementedError("this endpoint is only made, never used")


@implementer(
    IPlugin,
    IStreamClientEndpointStringParserWithReactor,
    IStreamServerEndpointStringParser,
)
class Recorder:
    """
    An endpoint type for both sides, with all arguments there can be.

    :ivar prefix: the name of the type.
    :ivar made: the endpoints, the last one last.
    :ivar failure: makes the exception to raise in place of making an endpoint,
        from the keywords.
    """

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        self.made: list[RecordedEndpoint] = []
        self.failure: Callable[[dict[str, str]], Exception] | None = None

    # The reactor is the first of the arguments, so that a keyword may be called
    # reactor as well.
    def parseStreamClient(self, /, *args: Any, **keywords: Any) -> RecordedEndpoint:
        """Take a client description apart."""
        return self._make(args[1:], keywords)

    def parseStreamServer(self, /, *args: Any, **keywords: Any) -> RecordedEndpoint:
        """Take a server description apart."""
        return self._make(args[1:], keywords)

    def _make(
        self, args: tuple[str, ...], keywords: dict[str, str]
    ) -> RecordedEndpoint:
        if self.failure is not None:
            raise self.failure(keywords)
        self.made.append(RecordedEndpoint(args, keywords))
        return self.made[-1]


@implementer(IPlugin, IStreamServerEndpointStringParser)
class StubbornRecorder:
    """An endpoint type for servers whose parser is declared as Twisted's are."""

    prefix = "stubborn"

    def parseStreamServer(
        self, reactor: object, *args: Any, **keywords: Any
    ) -> RecordedEndpoint:
        """Take a server description apart."""
        return RecordedEndpoint(args, keywords)


@implementer(IPlugin, IStreamServerEndpointStringParser)
class StrictRecorder:
    """An endpoint type for servers that takes two arguments, as Twisted's do."""

    prefix = "strict"

    def parseStreamServer(
        self, reactor: object, *args: Any, **keywords: Any
    ) -> RecordedEndpoint:
        """Take a server description apart."""
        return self._parse(*args, **keywords)

    def _parse(self, port: str, count: str) -> RecordedEndpoint:
        return RecordedEndpoint((port, count), {})


#: The same under a long name and a short one: arbitrary text names the short
#: one often enough.
recorder = Recorder("recorder")
short = Recorder("r")
stubborn = StubbornRecorder()
strict = StrictRecorder()


def installRecorder(case: SynchronousTestCase) -> None:
    """
    Let Twisted find the plugins of this module while a test runs.

    :param case: the test.
    """
    directory = TemporaryDirectory()
    case.addCleanup(directory.cleanup)
    Path(directory.name, f"{_MODULE}.py").write_text(
        "from tests.support.recorder import recorder, short, strict, stubborn\n"
    )
    twisted.plugins.__path__.append(directory.name)
    case.addCleanup(twisted.plugins.__path__.remove, directory.name)
    case.addCleanup(sys.modules.pop, f"twisted.plugins.{_MODULE}", None)
    for each in (recorder, short):
        case.patch(each, "made", [])
        case.patch(each, "failure", None)
    found = list(getPlugins(IStreamServerEndpointStringParser))
    assert recorder in found, "the plugin is not found, so nothing would be tested"
