"""Tests for :mod:`twisted_transfer.quoting`."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from twisted_transfer.quoting import (
    HIDDEN,
    Field,
    printable,
    quote,
    quoteValue,
    redact,
    shown,
    split,
)

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
        deep = "k=" * 100_000 + "secret=xyz"
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
