"""Tests for :mod:`twisted_transfer.endpointstrings`, with Twisted as the oracle."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st
from twisted.internet.endpoints import clientFromString, serverFromString
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase

from twisted_transfer.endpointstrings import Description
from twisted_transfer.errors import BadDescription
from twisted_transfer.quoting import quote

from .recorder import RecordedEndpoint, installRecorder
from .test_quoting import marks, secretive, text

asciiText = st.text(
    st.one_of(st.sampled_from(":=\\"), st.characters(max_codepoint=127))
)
descriptions = st.builds(
    lambda kind, rest, keywords: Description((kind, *rest), keywords),
    text.filter(bool),
    st.lists(text),
    st.dictionaries(asciiText, text),
)
# "r" is the name of a type, see the recorder.
nearlyDescriptions = st.text(st.sampled_from("r:=\\a\N{LATIN SMALL LETTER SHARP S}"))

# What Twisted's own parser raises for text that it cannot read, as opposed to
# the ValueError for a type that is not known.
CRASHES = (RuntimeError, IndexError, UnicodeEncodeError)


def givesTwice(description: str) -> bool:
    """Tell, in another way than the library does, whether a keyword is doubled."""
    parts = re.findall(r"((?:[^\\:]|\\.)*)(?::|$)", description, re.DOTALL)
    found = [re.match(r"((?:[^\\=]|\\.)*)=", part, re.DOTALL) for part in parts]
    keys = [re.sub(r"\\(.)", r"\1", each[1], flags=re.DOTALL) for each in found if each]
    return len(keys) != len(set(keys))


class AgreementTests(SynchronousTestCase):
    """A description means what it means to Twisted."""

    def setUp(self) -> None:
        """Add an endpoint type that writes down what it is given."""
        installRecorder(self)

    def read(self, fromString: Callable[..., Any], description: str) -> Any:
        """Let Twisted read a description."""
        endpoint = fromString(MemoryReactorClock(), description)
        self.assertIsInstance(endpoint, RecordedEndpoint)
        return endpoint

    @given(st.one_of(nearlyDescriptions, nearlyDescriptions.map("r:{}".format)))
    @example("r:a=1:b=2:a\\=3:c")
    @example("r:a=1:a=2")
    @example("r:=:=")
    @example("a=b:r:c=d:e")
    @example("R:a")
    @example("r\\")
    @example("a=b")
    @example("")
    @example("r:\N{LATIN SMALL LETTER SHARP S}=a")
    def test_arbitrary(self, description: str) -> None:
        """
        Each text that Twisted reads means the same here, unless it gives a
        keyword twice; each text that Twisted crashes on is refused.
        """
        for fromString in (serverFromString, clientFromString):
            try:
                endpoint = self.read(fromString, description)
            except CRASHES:
                self.assertRaises(BadDescription, Description.parse, description)
            except ValueError as error:
                self.assertIn("Unknown endpoint type", str(error))
                if givesTwice(description) or "''" in str(error):
                    self.assertRaises(BadDescription, Description.parse, description)
                else:
                    kind = Description.parse(description).args[0]
                    # Twisted shows the type in some mixture of cases.
                    self.assertIn(f"'{kind.upper()}'", str(error).upper())
            else:
                if givesTwice(description):
                    self.assertRaises(BadDescription, Description.parse, description)
                    continue
                found = Description.parse(description)
                self.assertEqual(found.args[0].lower(), "r")
                self.assertEqual(found.args[1:], endpoint.args)
                self.assertEqual(
                    [*found.keywords.items()], [*endpoint.keywords.items()]
                )

    @given(st.lists(text), st.dictionaries(asciiText, text))
    def test_written(self, args: list[str], keywords: dict[str, str]) -> None:
        """What is written here, Twisted reads unchanged."""
        written = Description(("r", *args), keywords).toString()
        for fromString in (serverFromString, clientFromString):
            endpoint = self.read(fromString, written)
            self.assertEqual(endpoint.args, tuple(args))
            self.assertEqual(endpoint.keywords, keywords)

    @given(text, asciiText, text)
    def test_quote(self, argument: str, key: str, value: str) -> None:
        """Twisted takes off all of the quoting, and nothing but it."""
        written = f"r:{quote(argument)}:{quote(key)}={quote(value)}"
        endpoint = self.read(serverFromString, written)
        self.assertEqual(endpoint.args, (argument,))
        self.assertEqual(endpoint.keywords, {key: value})


class DescriptionTests(SynchronousTestCase):
    """Descriptions by themselves."""

    @given(descriptions)
    def test_roundTrip(self, description: Description) -> None:
        """Each description is read back from what it is written as."""
        again = Description.parse(description.toString())
        self.assertEqual(again, description)
        self.assertEqual(hash(again), hash(description))
        self.assertEqual([*again.keywords.items()], [*description.keywords.items()])

    def test_different(self) -> None:
        """Descriptions that say different things are not equal."""
        base = Description.parse("tcp:a:b=c")
        for other in ("tcp:a:b=d", "tcp:a:c=c", "tcp:a", "tcp:b=c", "tls:a:b=c"):
            self.assertNotEqual(base, Description.parse(other))

    def test_readOnly(self) -> None:
        """Neither the keywords nor the mapping they came from change a description."""
        keywords = {"port": "80"}
        description = Description(("tcp",), keywords)
        keywords["port"] = "81"
        self.assertEqual(description.keywords, {"port": "80"})
        with self.assertRaises(TypeError):
            description.keywords["port"] = "82"  # type: ignore[index]

    def test_notText(self) -> None:
        """Anything but text is a TypeError that shows nothing of it."""
        for nonsense in (b"tcp:80:secret=xyz", None, 80, ["tcp"]):
            with self.assertRaises(TypeError) as caught:
                Description.parse(nonsense)  # type: ignore[arg-type]
            self.assertNotIn("xyz", str(caught.exception))
            with self.assertRaises(TypeError):
                Description(("tcp", nonsense))  # type: ignore[arg-type]
            with self.assertRaises(TypeError):
                Description(("tcp",), {"a": nonsense})  # type: ignore[dict-item]

    def assertRefused(self, description: str, *said: str) -> None:
        """Require an error that says each of these."""
        with self.assertRaises(BadDescription) as caught:
            Description.parse(description)
        for each in said:
            self.assertIn(each, str(caught.exception))

    def test_noType(self) -> None:
        """A description without a type is refused, and shown what one looks like."""
        for description in ("", ":80", "port=80", "=", "a=b:"):
            self.assertRefused(description, f"'{description}'", "no type", "'tcp:host=")
        for args in ((), ("",), ("", "tcp")):
            with self.assertRaises(BadDescription):
                Description(args)

    def test_loneBackslash(self) -> None:
        """A backslash at the end is refused, with its place."""
        self.assertRefused("tcp:80\\", "character 7", "'tcp:80\\'", "write \\\\")

    def test_twice(self) -> None:
        """A keyword given twice is refused, with both places."""
        self.assertRefused(
            "tcp:port=80:port=81", "port=", "character 5 ", "character 13 ", "once"
        )

    def test_notASCII(self) -> None:
        """Twisted has no keywords outside of ASCII, so such are refused."""
        self.assertRefused("tcp:p\xf6rt=80", "'p\xf6rt' at character 5 ", "not ASCII")
        with self.assertRaises(BadDescription) as caught:
            Description(("tcp",), {"p\xf6rt": "80"})
        self.assertIn("'p\xf6rt' in 'tcp:", str(caught.exception))

    def test_controlCharacters(self) -> None:
        """An error does not pass control characters on to a terminal."""
        self.assertRefused("\x1b[2Jtcp=\n", "'\\x1b[2Jtcp=\\n'")


class SecrecyTests(SynchronousTestCase):
    """No secret is shown by accident."""

    @given(secretive())
    def test_shown(self, text: str) -> None:
        """Neither ``repr`` nor ``str`` nor :meth:`redacted` shows a secret."""
        try:
            description = Description.parse(f"x{text}")
        except BadDescription as error:
            found = str(error)
        else:
            found = f"{description} {description!r} {description.redacted()}"
            self.assertTrue(set(marks) & set(description.toString()))
        self.assertFalse(set(marks) & set(found), found)

    @given(secretive())
    def test_errors(self, text: str) -> None:
        """An error about a description shows no secret of it."""
        for wrong in (f"{text}\\", f"{text}:x=1:x=2", f"{text}:\xf6=1", f"a=1:{text}"):
            try:
                Description.parse(wrong)
            except BadDescription as error:
                self.assertFalse(set(marks) & set(str(error)), str(error))
