"""
The arguments of messages, as bytes: bounded, and each value written in one way.

What may stand in an argument is checked in both directions alike.
"""

from __future__ import annotations

import re
from typing import Any

from twisted.protocols.amp import AmpBox, Argument

from twisted_transfer.receiptmessages import (
    DIGEST_SIZE,
    BadMessage,
    FailureKind,
    Role,
)


class _Field(Argument):
    """An argument of which an error names the key."""

    def __init__(self, optional: bool = False) -> None:
        self.optional = optional

    def fromBox(
        self, name: bytes, strings: AmpBox, objects: dict[str, Any], proto: None
    ) -> None:
        if name not in strings and not self.optional:
            raise BadMessage(f"{name.decode()} is missing")
        try:
            Argument.fromBox(self, name, strings, objects, proto)
        except ValueError as error:
            raise BadMessage(f"{name.decode()} {error}") from error

    def toBox(
        self, name: bytes, strings: AmpBox, objects: dict[str, Any], proto: None
    ) -> None:
        try:
            Argument.toBox(self, name, strings, objects, proto)
        except ValueError as error:
            raise BadMessage(f"{name.decode()} {error}") from error


class Number(_Field):
    """A number from 0 to a bound, in decimal digits, without zeros in front."""

    # As many digits as MAX_SIZE has.
    _DIGITS = re.compile(rb"0|[1-9][0-9]{0,18}")

    def __init__(self, most: int, optional: bool = False) -> None:
        super().__init__(optional)
        self._most = most

    def _checked(self, number: int) -> int:
        if type(number) is not int or not 0 <= number <= self._most:
            raise ValueError(f"is not a number from 0 to {self._most}")
        return number

    def fromString(self, inString: bytes) -> int:
        if not self._DIGITS.fullmatch(inString):
            raise ValueError(f"is not a number from 0 to {self._most}")
        return self._checked(int(inString))

    def toString(self, inObject: int) -> bytes:
        return b"%d" % self._checked(inObject)


class Digest(_Field):
    """A SHA-256, as it is."""

    def fromString(self, inString: bytes) -> bytes:
        if type(inString) is not bytes or len(inString) != DIGEST_SIZE:
            raise ValueError(f"has not {DIGEST_SIZE} bytes")
        return inString

    toString = fromString


class Text(_Field):
    """Words in UTF-8, of a bounded length."""

    def __init__(
        self,
        leastBytes: int,
        mostBytes: int,
        mostCharacters: int,
        optional: bool = False,
    ) -> None:
        super().__init__(optional)
        self._bytes = range(leastBytes, mostBytes + 1)
        self._mostCharacters = mostCharacters

    def fromString(self, inString: bytes) -> str:
        if len(inString) not in self._bytes:
            raise ValueError(f"has not {self._bytes[0]} to {self._bytes[-1]} bytes")
        try:
            text = inString.decode("utf-8")
        except UnicodeDecodeError as error:
            raise ValueError("is not UTF-8") from error
        if len(text) > self._mostCharacters:
            raise ValueError(f"has more than {self._mostCharacters} characters")
        return text

    def toString(self, inObject: str) -> bytes:
        if not isinstance(inObject, str):
            raise ValueError("is not a text")
        try:
            encoded = inObject.encode("utf-8")
        except UnicodeEncodeError as error:
            raise ValueError("cannot be written in UTF-8") from error
        self.fromString(encoded)
        return encoded


class Choice(_Field):
    """One word of a few."""

    def __init__(self, kind: type[Role] | type[FailureKind]) -> None:
        super().__init__()
        self._kind = kind
        self._words = {word.value.encode(): word for word in kind}
        self._wrong = f"is not one of {b', '.join(self._words).decode()}"

    def fromString(self, inString: bytes) -> Role | FailureKind:
        if inString not in self._words:
            raise ValueError(self._wrong)
        return self._words[inString]

    def toString(self, inObject: Role | FailureKind) -> bytes:
        if not isinstance(inObject, self._kind):
            raise ValueError(self._wrong)
        return str(inObject.value).encode()
