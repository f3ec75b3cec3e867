"""Tests for :mod:`twisted_transfer.descriptions.strings`, by Twisted as oracle."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st
from twisted.internet.endpoints import clientFromString, serverFromString
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase

from tests.support.recorder import RecordedEndpoint, installRecorder
from twisted_transfer.descriptions.strings import (
    Description,
    Field,
    checkAddresses,
    quote,
    quoteValue,
    redact,
    shown,
    split,
)
from twisted_transfer.errors import BadDescription
from twisted_transfer.printable import HIDDEN, printable
from twisted_transfer.tls.keys import Secret

# Text in which the characters that mean something are as frequent as others.
text = st.text(st.one_of(st.sampled_from(":=\\"), st.characters()))

# Secrets are made of letters that nothing else in these tests is made of.
marks = "\N{GREEK CAPITAL LETTER OMEGA}\N{GREEK CAPITAL LETTER XI}"
secrets = st.text(st.sampled_from(marks + ":=\\"), min_size=1).map(
    lambda rest: marks[0] + rest
)
harmless = st.text(st.sampled_from("abc:=\\ \n"))


@st.composite
def secretive(draw: st.DrawFn) -> str:
    """Make a description with a secret in it, up to four descriptions deep."""
    key = draw(st.sampled_from(["secret", "Password", "keyPassphrase", "secert"]))
    value = f"{key}={quote(draw(secrets))}"
    for _ in range(draw(st.integers(0, 4))):
        inner = f"{quote(draw(harmless))}:{value}"
        value = f"{quote(draw(harmless))}={quote(inner)}"
    return f"{quote(draw(harmless))}:{value}:{draw(harmless)}"


class QuoteTests(SynchronousTestCase):
    """Quoting, and taking it off again."""

    @given(text)
    def test_positional(self, argument: str) -> None:
        """Each string comes back as the one positional argument that it was."""
        self.assertEqual(split(quote(argument)), ([Field(0, None, argument)], None))

    @given(text, text)
    def test_keyword(self, key: str, value: str) -> None:
        """Each two strings come back as the key and the value that they were."""
        for written in (quote(value), quoteValue(value)):
            self.assertEqual(
                split(f"{quote(key)}={written}"), ([Field(0, key, value)], None)
            )

    @given(st.lists(text, min_size=1))
    def test_several(self, arguments: list[str]) -> None:
        """No argument runs into the next one."""
        fields, lone = split(":".join(map(quote, arguments)))
        self.assertEqual([field.value for field in fields], arguments)
        self.assertIsNone(lone)

    def test_valueStaysReadable(self) -> None:
        """An equals sign in a value needs no backslash, so it gets none."""
        self.assertEqual(quoteValue("a=b:c\\d"), "a=b\\:c\\\\d")
        self.assertEqual(quote("a=b:c\\d"), "a\\=b\\:c\\\\d")


class SplitTests(SynchronousTestCase):
    """Where the arguments of a description stand."""

    def test_positions(self) -> None:
        """Each argument knows at which character it starts."""
        self.assertEqual(
            split("tcp:a\\:b:k=v=w:"),
            (
                [
                    Field(0, None, "tcp"),
                    Field(4, None, "a:b"),
                    Field(9, "k", "v=w"),
                    Field(15, None, ""),
                ],
                None,
            ),
        )

    def test_loneBackslash(self) -> None:
        """A backslash that quotes nothing is found, and kept."""
        self.assertEqual(
            split("a:b\\"), ([Field(0, None, "a"), Field(2, None, "b\\")], 3)
        )
        self.assertEqual(split("a\\\\"), ([Field(0, None, "a\\")], None))


class RedactTests(SynchronousTestCase):
    """What is shown of a secret: nothing."""

    @given(secretive())
    def test_hidden(self, description: str) -> None:
        """A secret is hidden however deep the description is that it stands in."""
        self.assertFalse(set(marks) & set(redact(description)), redact(description))
        self.assertFalse(set(marks) & set(shown(description)), shown(description))
        self.assertIn(HIDDEN, redact(description))

    @given(secretive().flatmap(lambda t: st.integers(0, len(t)).map(lambda n: t[:n])))
    def test_cutOff(self, description: str) -> None:
        """A description that was cut off while it was copied shows no secret."""
        self.assertFalse(set(marks) & set(redact(description)), redact(description))

    @given(harmless)
    def test_unchanged(self, description: str) -> None:
        """A text without a secret is shown as it is."""
        self.assertEqual(redact(description), description)

    def test_shown(self) -> None:
        """All but the secret stays as it was, also in a quoted description."""
        self.assertEqual(
            redact("tls:h:1:endpoint=mtls\\:host=a\\\\\\:b\\:secret=xyz:timeout=3"),
            f"tls:h:1:endpoint=mtls\\:host=a\\\\\\:b\\:secret={HIDDEN}:timeout=3",
        )

    def test_anywhere(self) -> None:
        """What looks like a secret is hidden wherever it stands, quoted or not."""
        secret = Secret.fresh().text
        for where in (
            "x:scrt={}",
            "x:{}",
            "{}",
            "x:y=z\\:a={}:b",
            "x:{}=1",
            "x:pin={}",
            "x:port=4{}",
        ):
            self.assertNotIn(secret, redact(where.format(secret)))
            self.assertIn(HIDDEN, redact(where.format(secret)))
        for other in ("a" * 42, f"{'a' * 20}.{'a' * 22}"):
            self.assertEqual(redact(f"x:path={other}"), f"x:path={other}")

    def test_quotedTooOften(self) -> None:
        """A secret is hidden where its equals sign was escaped by mistake."""
        self.assertEqual(redact("mtls:secret\\=xyz"), f"mtls:secret\\={HIDDEN}")
        # Here it has become the name of a keyword.
        self.assertNotIn("xyz", redact("tls:endpoint\\:secret\\=xyz=1"))

    def test_names(self) -> None:
        """Which names are those of secrets."""
        for name in ("secret", "SECRET", "passphrase", "password", "my-pass-word"):
            self.assertEqual(redact(f"a:{name}=x"), f"a:{name}={HIDDEN}", name)
        for name in ("pin", "privateKey", "certificate", "port", "host", "interface"):
            self.assertEqual(redact(f"a:{name}=x"), f"a:{name}=x", name)

    def test_endless(self) -> None:
        """Text made to look endlessly deep is hidden, and exhausts nothing."""
        deep = "k=" * 20_000 + "secret=xyz"
        self.assertNotIn("xyz", redact(deep))
        self.assertTrue(redact(deep).startswith("k=k=k="))


class PrintableTests(SynchronousTestCase):
    """What a terminal is spared."""

    @given(st.text())
    def test_printable(self, argument: str) -> None:
        """Nothing is left that is not printable, and the rest stays."""
        self.assertTrue(printable(argument).isprintable())
        if argument.isprintable():
            self.assertEqual(printable(argument), argument)

    def test_escaped(self) -> None:
        """Control characters are written as Python writes them."""
        self.assertEqual(shown("a\x1b[2Jb\udc80"), "'a\\x1b[2Jb\\udc80'")


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

    def assertRefused(self, description: str, *said: str) -> None:
        """Require an error that says each of these."""
        with self.assertRaises(BadDescription) as caught:
            Description.parse(description)
        for each in said:
            self.assertIn(each, str(caught.exception))

    def test_noType(self) -> None:
        """A description without a type is refused, and shown what one looks like."""
        for description in ("", ":80", "port=80", "=", ":a=b"):
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
        self.assertRefused("tcp:p\xf6rt=80", "'p\xf6rt' in 'tcp:", "not ASCII")
        with self.assertRaises(BadDescription) as caught:
            Description(("tcp",), {"p\xf6rt": "80"})
        self.assertIn("'p\xf6rt' in 'tcp:", str(caught.exception))

    def test_controlCharacters(self) -> None:
        """An error does not pass control characters on to a terminal."""
        self.assertRefused("\x1b[2Jtcp=\n", "'\\x1b[2Jtcp=\\n'")


class AddressTests(SynchronousTestCase):
    """IPv6 addresses whose colons end the arguments, or that stand in brackets."""

    def test_corrected(self) -> None:
        """The error shows the description as it should be."""
        for wrong, right in (
            ("x:host=::1:port=4000", r"x:host=\:\:1:port=4000"),
            ("x:host=[::1]:port=4000", r"x:host=\:\:1:port=4000"),
            (r"x:host=[\:\:1]:port=4", r"x:host=\:\:1:port=4"),
            ("x:host=::1:2:3:4:5:6:7:port=4", r"x:host=\:\:1\:2\:3\:4\:5\:6\:7:port=4"),
            ("x:port=4:host=fe80::1%eth0", r"x:port=4:host=fe80\:\:1%eth0"),
            ("x:hostname=2001:db8::7", r"x:hostname=2001\:db8\:\:7"),
            ("tcp:4:interface=::", r"tcp:4:interface=\:\:"),
            ("x:bindAddress=::1:secret=xyz", r"x:bindAddress=\:\:1:secret=…"),
            ("x:y:admit=fe80::/10,192.0.2.7", r"x:y:admit=fe80\:\:/10,192.0.2.7"),
            ("tcp:::1:4000", r"tcp:\:\:1:4000"),
            ("transfer:active:TLS:[::1]:443", r"transfer:active:TLS:\:\:1:443"),
            ("ssl:2001:db8::7:443", r"ssl:2001\:db8\:\:7:443"),
            ("tcp:80:fe80::1", r"tcp:80:fe80\:\:1"),
        ):
            error = self.assertRaises(
                BadDescription, checkAddresses, Description.parse(wrong)
            )
            for said in ("colon", "needs a backslash", "brackets", f"'{right}'"):
                self.assertIn(said, str(error))

    def test_others(self) -> None:
        """What is right, or could mean something else, is let alone."""
        for string in (
            "tcp:80::50",
            "x:::1:4000",
            "tcp:h:80",
            r"tcp:\:\:1:80",
            r"tcp:host=\:\:1:80:bindAddress=192.0.2.7",
            r"transfer:passive:tcp:80:admit=\:\:1,fe80\:\:/10",
            "transfer:port=0:admit=192.0.2.0/24:passive:tcp",
            f"x:host=:{':' * 5000}h",
        ):
            checkAddresses(Description.parse(string))


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
