"""
The names and tables of encodings against those of a real tclsh.
"""

from __future__ import annotations

import pytest

from tests.peers.textoracle import KOREAN, OracleTests, codecOf, decoded, written
from twisted_transfer.errors import BadOption
from twisted_transfer.text.codec import codecName

pytestmark = pytest.mark.needs("tcl")

#: Every encoding of Tcl 8.6 that this library offers, by Tcl's name.
ENCODINGS = (
    "ascii big5 cp1250 cp1251 cp1252 cp1253 cp1254 cp1255 cp1256 cp1257 cp1258 "
    "cp437 cp737 cp775 cp850 cp852 cp855 cp857 cp860 cp861 cp862 cp863 cp864 cp865 "
    "cp866 cp869 cp874 cp932 cp936 cp949 cp950 euc-cn euc-jp euc-kr gb2312 "
    "iso2022-jp iso2022-kr iso8859-1 iso8859-10 iso8859-11 iso8859-13 iso8859-14 "
    "iso8859-15 iso8859-16 iso8859-2 iso8859-3 iso8859-4 iso8859-5 iso8859-6 "
    "iso8859-7 iso8859-8 iso8859-9 koi8-r koi8-u macCentEuro macCroatian macCyrillic "
    "macGreek macIceland macRoman macRomania macTurkish macUkraine shiftjis tis-620 "
    "unicode utf-8"
)

#: Encodings of one or two bytes, for which every such sequence is compared.
WIDE = "big5 cp932 cp936 cp949 cp950 euc-cn euc-jp euc-kr gb2312 shiftjis"

# The differences between the tables, in the order: bytes or character, what Tcl
# makes of it, what we do ("-": nothing).

#: Sequences that are read differently.
READ = {
    "big5": "a15a fffd 2574, a1c3 fffd ffe3, a1c5 fffd 02cd, a1fe fffd ff0f, "
    "a240 fffd ff3c, a2cc fffd 5341, a2ce fffd 5345",
    "cp936": "80 20ac -",
    "euc-cn": "a1ac 2225 2016",
    "euc-kr": "a4d4 3164 -",
    "gb2312": "a1ac 2225 2016",
    "koi8-u": "b4 0403 0404",
    "macGreek": "9c 00ad 20ac, ff f8a0 00ad",
    "macRomania": "af 015e 0218, bd 2126 03a9, bf 015f 0219, db 00a4 20ac, "
    "de 0162 021a, df 0163 021b",
    "macUkraine": "ff 00a4 20ac",
    "shiftjis": "96ff ff5e -",
}

#: Sequences that only we read, from ... to.
READ_BY_US = {
    "cp932": "a0 a0, fd ff, f040 f07e, f080 f0fc, f140 f17e, f180 f1fc, "
    "f240 f27e, f280 f2fc, f340 f37e, f380 f3fc, f440 f47e, f480 f4fc, "
    "f540 f57e, f580 f5fc, f640 f67e, f680 f6fc, f740 f77e, f780 f7fc, "
    "f840 f87e, f880 f8fc, f940 f97e, f980 f9fc",
    "cp950": "c6a1 c6fe, c740 c77e, c7a1 c7fc",
    "euc-kr": "a2e6 a2e7",
}

#: Characters that are written differently, but for those that have two places.
WRITTEN = {
    "ascii": "007f - 7f",
    "big5": "fffd a2ce -, 02cd - a1c5, 2574 - a15a, ffe3 - a1c3",
    "cp932": "00a2 8191 -, 00a3 8192 -, 00ac 81ca -, 2016 8161 -, 2212 817c -, "
    "301c 8160 -",
    "cp936": "20ac 80 -",
    "euc-cn": "2016 - a1ac",
    "euc-jp": "2225 a1c2 -, ff0d a1dd -, ff5e a1c1 -, ffe0 a1f1 -, ffe1 a1f2 -, "
    "ffe2 a2cc -",
    "euc-kr": "3164 a4d4 -, 00ae - a2e7, 20ac - a2e6",
    "gb2312": "2016 - a1ac",
    "koi8-u": "0403 b4 -, 0404 - b4",
    "macGreek": "00ad 9c ff, f8a0 ff -, 20ac - 9c",
    "macRomania": "015e af -, 0218 - af, 2126 bd -, 03a9 - bd, 015f bf -, "
    "0219 - bf, 00a4 db -, 20ac - db, 0162 de -, 021a - de, 0163 df -, 021b - df",
    "macUkraine": "00a4 ff -, 20ac - ff",
    "shiftjis": "2225 8161 -, ff0d 817c -, ff5e 8160 -, ffe0 8191 -, ffe1 8192 -, "
    "ffe2 81ca -",
    "tis-620": "007f - 7f",
}

#: How many characters have two places in Tcl's table, and how many only we write
#: beside those above.
TWICE = {"cp932": 386, "cp950": 8}
MORE = {"cp932": 1884, "cp950": 249, "euc-jp": 6066, "euc-kr": 8822, "tis-620": 32}


def _code(text: str | None) -> str:
    return "".join(f"{ord(char):04x}" for char in text or "") or "-"


def _range(first: str, last: str) -> list[bytes]:
    """All sequences of bytes from one to another."""
    width = len(first) // 2
    return [
        number.to_bytes(width, "big")
        for number in range(int(first, 16), int(last, 16) + 1)
    ]


def _listed(table: dict[str, str], encoding: str) -> list[list[str]]:
    lines = table.get(encoding, "")
    return [line.split() for line in lines.split(",") if line]


class TablesTests(OracleTests):
    """The code tables: every difference is known."""

    def test_allNames(self) -> None:
        """
        Each encoding of Tcl's is either offered and compared here, or refused
        as one that only Tcl has.
        """
        refused = []
        for name in self.oracle.ask("names"):
            try:
                codecName(name)
            except BadOption as error:
                self.assertIn("exists in Tcl only", str(error))
                refused.append(name)
        self.assertEqual(
            sorted([*refused, *ENCODINGS.split()]), sorted(self.oracle.ask("names"))
        )

    def test_reading(self) -> None:
        """
        Every byte, and in the wide encodings every two, is read as Tcl reads
        it, or is refused where Tcl passes it through, or is listed here.
        """
        for name in ENCODINGS.split():
            if name not in ("iso2022-jp", "iso2022-kr", "unicode", "utf-8"):
                self._compareReading(name)

    def _compareReading(self, name: str) -> None:
        codec = codecOf(name)
        singles = [bytes([byte]) for byte in range(256)]
        alone = dict(zip(singles, self.oracle.decodings(name, singles), strict=True))
        pairs: list[bytes] = []
        if name in WIDE.split():
            # Only these can begin a pair; else it is just two characters.
            lead = [one for one in singles if decoded(codec, one) is None]
            pairs = [one + other for one in lead for other in singles]
        together = self.oracle.decodings(name, pairs) if pairs else []
        different = []
        byUs = []
        for raw, theirs in [*alone.items(), *zip(pairs, together, strict=True)]:
            ours = decoded(codec, raw)
            first = raw[:1].decode("latin-1")
            if theirs == ours or (len(raw) > 1 and alone[raw[:1]] not in ("", first)):
                continue  # or just two characters in Tcl, each compared by itself
            if theirs[:1] in ("", first):
                # Nothing that Tcl knows.  It passes the byte through, or drops
                # it if more could have come.
                if ours is not None:
                    byUs.append(raw)
            else:
                different.append([raw.hex(), _code(theirs), _code(ours)])
        self.assertEqual(different, _listed(READ, name), name)
        ranges = _listed(READ_BY_US, name)
        expected = [raw for ends in ranges for raw in _range(*ends)]
        self.assertEqual(byUs, expected, name)

    def test_writing(self) -> None:
        """
        Every character up to U+FFFF is written as Tcl writes it, or is listed
        here.
        """
        for name in ENCODINGS.split():
            if name not in ("iso2022-jp", "iso2022-kr"):
                self._compareWriting(name)

    def _compareWriting(self, name: str) -> None:
        codec = codecOf(name)
        allOurs, allTheirs = written(codec), self.oracle.encodings(name)
        expected = _listed(WRITTEN, name)
        different = []
        twice = more = 0
        for char in sorted(allOurs.keys() | allTheirs.keys()):
            ours, theirs = allOurs.get(char), allTheirs.get(char)
            if ours == theirs:
                continue
            line = [_code(char), *(raw.hex() if raw else "-" for raw in (theirs, ours))]
            if line in expected:
                different.append(line)
            elif theirs is None:
                more += 1
            elif ours is None:
                # The byte stands for nothing; Tcl takes its number.
                self.assertEqual(
                    (theirs, char <= "\x9f"), (char.encode("latin-1"), True)
                )
                self.assertIs(decoded(codec, theirs), None)
            else:
                twice += 1
                self.assertEqual(decoded(codec, theirs), char)
        self.assertEqual(different, sorted(expected), name)
        self.assertEqual((twice, more), (TWICE.get(name, 0), MORE.get(name, 0)), name)

    def test_writingWithStates(self) -> None:
        """
        In the two encodings with states, what we write and Tcl does not is
        listed here, and what only Tcl writes cannot be read, but for some
        characters that are read as others.
        """
        byUs = {"iso2022-jp": "\xa5", "iso2022-kr": "\u20ac"}
        changed = {"iso2022-jp": "\u2225\uff0d\uff5e\uffe0\uffe1\uffe2"}
        for name, known in byUs.items():
            codec = codecOf(name)
            ours, theirs = written(codec), self.oracle.encodings(name)
            self.assertEqual("".join(ours.keys() - theirs.keys()), known)
            different = {
                char: decoded(codec, raw)
                for char, raw in theirs.items()
                if raw != ours.get(char, b"").replace(KOREAN, b"")
            }
            # For DEL, Tcl goes into another state and back.
            self.assertIn(different.pop("\x7f", "\x7f"), ("\x7f", None))
            read = "".join(char for char, read in different.items() if read)
            self.assertEqual(read, changed.get(name, ""))
