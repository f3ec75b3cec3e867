"""Tests for :mod:`twisted_transfer.descriptions.transfer`."""

from __future__ import annotations

import traceback
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.endpoints import clientFromString, serverFromString
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase

import twisted_transfer.descriptions as descriptions
from tests.support.recorder import installRecorder
from tests.unit.descriptions.test_strings import asciiText, marks, secretive, text
from twisted_transfer import TransferConnector
from twisted_transfer.descriptions.strings import Description, quote
from twisted_transfer.descriptions.transfer import OWN_KEYWORDS, TransferDescription
from twisted_transfer.errors import BadDescription
from twisted_transfer.tls.keys import Secret

parse = TransferDescription.parse

addresses = st.one_of(
    st.ip_addresses().map(str),
    st.ip_addresses(network="fe80::/10").map("{}%eth:0=1\\".format),
    st.sampled_from(["192.0.2.0/24", "2001:db8::/32", "0.0.0.0/0", "::/0"]),
)
hosts = st.one_of(
    st.sampled_from(["localhost", "a.example.", "my_host", "b\xfccher.example"]),
    st.ip_addresses().map(str),
)
seconds = st.floats(0, allow_infinity=False, exclude_min=True)
raw = st.none() | text


def commands() -> st.SearchStrategy[Description]:
    """Give socket commands of all kinds."""
    return st.builds(
        lambda kind, rest, keywords: Description((kind, *rest), keywords),
        text.filter(lambda kind: kind and kind.lower() != "transfer"),
        st.lists(text),
        st.dictionaries(asciiText.filter(lambda key: key not in OWN_KEYWORDS), text),
    )


@st.composite
def transfers(draw: st.DrawFn) -> TransferDescription:
    """Give transfers that make sense."""
    active = draw(st.booleans())
    command = draw(st.none() | commands())
    host = port = retryFor = admit = None
    again = False
    if command is None:
        port = draw(st.integers(1 if active else 0, 65535))
    if active:
        host = draw(st.none() | hosts) if command is None else None
        retryFor = draw(st.none() | st.just(0.0) | seconds)
        again = draw(st.booleans())
    else:
        admit = draw(st.none() | st.lists(addresses, min_size=1).map(tuple))
    return TransferDescription(
        "active" if active else "passive",
        command,
        host,
        port,
        draw(st.none() | seconds),
        retryFor,
        admit,
        again,
        draw(raw),
        draw(raw),
        draw(raw),
        draw(st.booleans()),
    )


class ReadTests(SynchronousTestCase):
    """What a ``transfer:`` string says."""

    def test_examples(self) -> None:
        """The strings of the documentation say what they say there."""
        pems = Description(("tls", "/etc/pems"), {"port": "443"})
        unix = Description(("unix", "/run/x:y"))
        for string, expected in {
            "transfer:active:host=h:port=4000": TransferDescription(
                "active", host="h", port=4000
            ),
            "transfer:active:port=4000": TransferDescription("active", port=4000),
            "transfer:passive:port=4000": TransferDescription("passive", port=4000),
            "transfer:passive": TransferDescription("passive", port=0),
            "transfer:passive:tls:/etc/pems:port=443": TransferDescription(
                "passive", pems
            ),
            "transfer:passive:tls:/etc/pems:port=443:within=30": TransferDescription(
                "passive", pems, within=30
            ),
            "transfer:active:unix:/run/x\\:y:retryFor=2.5:again=yes": (
                TransferDescription("active", unix, retryFor=2.5, again=True)
            ),
            "TRANSFER:passive:translation=auto,crlf:encoding=utf-8:eofChar=\x1a": (
                TransferDescription(
                    "passive",
                    port=0,
                    translation="auto,crlf",
                    encoding="utf-8",
                    eofChar="\x1a",
                )
            ),
            "transfer:passive:admit=192.0.2.7, 2001\\:db8\\:\\:/32,fe80\\:\\:1%eth0": (
                TransferDescription(
                    "passive",
                    port=0,
                    admit=("192.0.2.7", "2001:db8::/32", "fe80::1%eth0"),
                )
            ),
        }.items():
            self.assertEqual(parse(string), expected, string)

    def test_ownKeywordsAnywhere(self) -> None:
        """An own keyword is taken out wherever it stands, all others are left."""
        expected = TransferDescription(
            "active",
            Description(("tls", "h", "443"), {"trustRoots": "/ca"}),
            within=9,
            retryFor=5,
        )
        for string in (
            "within=9:retryFor=5:transfer:active:tls:h:443:trustRoots=/ca",
            "transfer:within=9:active:retryFor=5:tls:h:443:trustRoots=/ca",
            "transfer:active:tls:h:trustRoots=/ca:within=9:443:retryFor=5",
        ):
            self.assertEqual(parse(string), expected, string)

    def test_again(self) -> None:
        """There are several words for yes and for no."""
        for word in ("yes", "YES", "true", "1"):
            self.assertTrue(parse(f"transfer:active:port=1:again={word}").again, word)
        for word in ("no", "No", "false", "0"):
            self.assertFalse(parse(f"transfer:active:port=1:again={word}").again, word)
            self.assertFalse(parse(f"transfer:passive:again={word}").again, word)

    def test_seconds(self) -> None:
        """Seconds need not be whole, and retrying for none is not to retry."""
        found = parse("transfer:active:port=1:within=0.25:retryFor=0")
        self.assertEqual((found.within, found.retryFor), (0.25, 0))

    def test_quoteIsExported(self) -> None:
        """Whoever writes a description finds the quoting beside it."""
        self.assertIs(descriptions.quote, quote)


class WriteTests(SynchronousTestCase):
    """How a ``transfer:`` string is written."""

    def setUp(self) -> None:
        """Add an endpoint type that writes down what it is given."""
        installRecorder(self)

    @given(transfers())
    def test_roundTrip(self, transfer: TransferDescription) -> None:
        """Each transfer is read back from what it is written as."""
        again = parse(transfer.toString())
        self.assertEqual(again, transfer)
        self.assertEqual(hash(again), hash(transfer))

    @given(transfers())
    def test_throughTwisted(self, transfer: TransferDescription) -> None:
        """What Twisted hands to a plugin for the string says the same."""
        prefix, rest = transfer.toString().split(":", 1)
        self.assertEqual(prefix, "transfer")
        for fromString in (serverFromString, clientFromString):
            endpoint: Any = fromString(MemoryReactorClock(), f"recorder:{rest}")
            self.assertEqual(
                TransferDescription.of(
                    Description(("transfer", *endpoint.args), endpoint.keywords)
                ),
                transfer,
            )

    def test_readable(self) -> None:
        """Strings are written as a person would write them."""
        for string in (
            "transfer:active:host=h:port=4000",
            "transfer:passive:port=0",
            "transfer:passive:tls:/etc/pems:port=443:within=30",
            "transfer:passive:port=1:admit=192.0.2.7,10.0.0.0/8",
            "transfer:active:mtls:port=1:pin=AB=:within=2.5:retryFor=60:again=yes",
        ):
            self.assertEqual(parse(string).toString(), string)


class RefuseTests(SynchronousTestCase):
    """What a bad ``transfer:`` string is answered with."""

    def assertRefused(self, string: str, *said: str) -> None:
        """Require an error that says each of these, and shows the string."""
        with self.assertRaises(BadDescription) as caught:
            parse(string)
        for each in said:
            self.assertIn(each, str(caught.exception))

    def test_mode(self) -> None:
        """Without a mode, or with one that there is not, both modes are named."""
        for string in (
            "transfer",
            "transfer:tcp:80",
            "transfer:ACTIVE:port=1",
            "transfer:port=80",
            "transfer:both:host=h",
        ):
            self.assertRefused(string, "transfer:active:", "transfer:passive:")

    def test_unquotedAddress(self) -> None:
        """The colons of an address need backslashes; the whole line is shown so."""
        for string in (
            "transfer:active:host=::1:port=4000:within=3",
            "transfer:active:host=[::1]:port=4000:within=3",
        ):
            for read in (parse, lambda text: clientFromString(None, text)):
                with self.assertRaises(BadDescription) as caught:
                    read(string)
                self.assertIn("needs a backslash", str(caught.exception))
                self.assertIn(
                    r"'transfer:active:host=\:\:1:port=4000:within=3'",
                    str(caught.exception),
                )

    def test_notTransfer(self) -> None:
        """Some other endpoint's description is told apart."""
        self.assertRefused("tcp:80", "'tcp:80' does not begin with 'transfer:'")
        self.assertRefused("", "no type")

    def test_options(self) -> None:
        """Each bad value is named with its option, and what would be right."""
        for string, *said in (
            ("transfer:active:port=70000", "port=70000 in ", "1 to 65535"),
            ("transfer:active:port=x", "port=x in 'transfer:active:port=x'", "65535"),
            ("transfer:active:port=0", "port=0", "from 1 to 65535"),
            ("transfer:active:port=-1", "port=-1", "65535"),
            ("transfer:active:port=8_0", "port=8_0", "65535"),
            ("transfer:passive:port=65536", "port=65536", "from 0 to 65535"),
            ("transfer:active", "a port is needed", "port=NUMBER"),
            ("transfer:active:host=h", "a port is needed"),
            ("transfer:active:host=:port=1", "host= in ", "without spaces"),
            ("transfer:active:host=a b:port=1", "host=a b", "without spaces"),
            ("transfer:active:host=a..b:port=1", "host=a..b", "1 to 63"),
            ("transfer:passive:host=h:port=1", "host=h", "interface=ADDRESS"),
            ("transfer:passive:interface=h", "interface=h", "without a type"),
            ("transfer:active:port=1:within=0", "within=0", "above 0"),
            ("transfer:active:port=1:within=-1", "within=-1", "above 0"),
            ("transfer:active:port=1:within=inf", "within=inf", "finite"),
            ("transfer:active:port=1:within=nan", "within=nan", "finite"),
            ("transfer:active:port=1:within=1e999", "within=", "finite"),
            ("transfer:active:port=1:within=soon", "within=soon", "number of seconds"),
            ("transfer:active:port=1:retryFor=-1", "retryFor=-1", "0 or more"),
            ("transfer:active:port=1:retryFor=inf", "retryFor=inf", "finite"),
            ("transfer:active:port=1:retryFor=", "retryFor=", "number of seconds"),
            ("transfer:passive:retryFor=5", "retryFor=5", "only an active side"),
            ("transfer:passive:retryFor=0", "retryFor=0", "only an active side"),
            ("transfer:active:port=1:again=maybe", "again=maybe", "yes or no"),
            ("transfer:passive:again=yes", "again=yes", "only an active side"),
            ("transfer:passive:acceptUnclosed=x", "acceptUnclosed=x", "yes or no"),
            ("transfer:active:port=1:admit=192.0.2.7", "admit=", "only a passive side"),
            ("transfer:passive:admit=", "admit=", "192.0.2.7"),
            ("transfer:passive:admit=192.0.2.7,", "admit=", "'' is neither"),
            ("transfer:passive:admit=localhost", "'localhost' is neither"),
            ("transfer:passive:admit=192.0.2.7/24", "the network is 192.0.2.0/24"),
            ("transfer:passive:admit=192.0.2.0/33", "'192.0.2.0/33' is neither"),
            ("transfer:passive:admit=fe80\\:\\:%eth0/64", "no zone id"),
        ):
            self.assertRefused(string, *said)

    def test_nested(self) -> None:
        """A transfer does not open another one's socket."""
        for string in (
            "transfer:active:transfer:active:port=1",
            "transfer:passive:Transfer:passive:tcp:80",
        ):
            self.assertRefused(string, "another transfer", "tcp")

    def test_contradictions(self) -> None:
        """What is invalid in a string is invalid in code as well."""
        for keywords in (
            {"port": "80"},
            {"port": 1, "host": "h"},
            {"port": 1, "again": "yes"},
            {"port": 1, "acceptUnclosed": 1},
            {"port": 1, "within": "3"},
            {"port": 1, "admit": ()},
            {"port": 1, "admit": ("192.0.2.7,192.0.2.8",)},
            {"port": 1, "admit": ("fe80::1%a,b",)},
        ):
            with self.assertRaises(BadDescription):
                TransferDescription("passive", **keywords)

    def test_notText(self) -> None:
        """Anything but text is a TypeError."""
        for nonsense in (b"transfer:passive", None, 80):
            with self.assertRaises(TypeError):
                parse(nonsense)  # type: ignore[arg-type]


class SecrecyTests(SynchronousTestCase):
    """No secret is shown by accident."""

    @given(st.sampled_from(["active", "passive"]), secretive())
    def test_shown(self, mode: str, rest: str) -> None:
        """Neither ``repr``, ``str``, :meth:`redacted` nor an error shows a secret."""
        try:
            transfer = parse(f"transfer:{mode}:mtls:{rest}")
        except BadDescription as error:
            found = "".join(traceback.format_exception(error))
        else:
            self.assertTrue(set(marks) & set(transfer.toString()))
            found = f"{transfer} {transfer!r} {transfer.redacted()}"
        self.assertFalse(set(marks) & set(found), found)

    @given(
        secretive(),
        st.sampled_from(["within=x", "again=x", "admit=x", "retryFor=-1", "secret=b"]),
    )
    def test_errors(self, rest: str, wrong: str) -> None:
        """An error about an option shows no secret that stands beside it."""
        for string in (
            f"transfer:active:mtls:{rest}:{wrong}",
            f"transfer:{rest}:{wrong}",
            f"transfer:active:{wrong}:within={quote(rest)}",
        ):
            try:
                parse(string)
            except BadDescription as error:
                found = "".join(traceback.format_exception(error))
                self.assertFalse(set(marks) & set(found), found)

    def test_anywhere(self) -> None:
        """A secret under another name, or without one, is in no error."""
        for start, end in (
            ("transfer:active:", ":host=h"),
            ("transfer:active:mtls:host=h:port=1:within=3:again=", ""),
            ("transfer:active:mtls:host=h:port=1:scrt=", ""),
            ("transfer:passive:admit=", ""),
            ("transfer:passive:port=", ""),
            ("transfer:passive:within=", ""),
            ("", ""),
        ):
            secret = Secret.fresh().text
            with self.assertRaises(BadDescription) as caught:
                TransferConnector.fromString(None, f"{start}{secret}{end}")
            # The lines of the source, too, which have no more than its name.
            found = "".join(traceback.format_exception(caught.exception))
            self.assertNotIn(secret, found)

    def test_useful(self) -> None:
        """All but the secret is shown."""
        transfer = parse("transfer:active:mtls:host=h:port=1:pin=ab:secret=xyz")
        shown = "transfer:active:mtls:host=h:port=1:pin=ab:secret=…"
        self.assertEqual(str(transfer), shown)
        self.assertEqual(transfer.redacted(), shown)
        self.assertEqual(repr(transfer), f"<TransferDescription '{shown}'>")
