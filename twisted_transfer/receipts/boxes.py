"""
The AMP boxes that carry the messages, one at a time.

This is imported with the first message: Twisted's AMP takes a fortieth of the time in
which the command begins to listen.
"""

from __future__ import annotations

from typing import cast

from twisted.protocols.amp import COMMAND, AmpBox, BinaryBoxProtocol


class _Boxes(BinaryBoxProtocol):
    """Keeps the boxes that it finds in what it receives."""

    def __init__(self) -> None:
        super().__init__(self)  # type: ignore[no-untyped-call]
        self.found: list[AmpBox] = []

    def ampBoxReceived(self, box: AmpBox) -> None:
        """Keep a box."""
        self.found.append(box)

    def lengthLimitExceeded(self, length: int) -> None:
        """Refuse a key that is too long."""
        raise ValueError(f"a key has {length} bytes")


def pack(command: bytes, values: dict[bytes, bytes]) -> bytes:
    """
    Write a box.

    :param command: its command.
    :param values: what it has besides.
    :returns: the box.
    """
    return cast(bytes, AmpBox({COMMAND: command, **values}).serialize())


def unpack(payload: bytes) -> tuple[bytes, dict[bytes, bytes]]:
    """
    Read one box, and nothing before or behind it.

    :param payload: the box.
    :returns: its command, empty if it has none, and what it has besides.
    :raises ValueError: if that is not what there is.
    """
    boxes = _Boxes()
    boxes.dataReceived(payload)  # type: ignore[no-untyped-call]
    # What was written twice, or behind the box, does not count in its length.
    if len(boxes.found) != 1 or len(payload) != 2 + sum(
        4 + len(key) + len(value) for key, value in boxes.found[0].items()
    ):
        raise ValueError("it is not one AMP box with each key once")
    values = dict(boxes.found[0])
    return values.pop(COMMAND, b""), values
