"""
The numbers that say how much is to be moved.
"""

from __future__ import annotations

from twisted_transfer.errors import BadOption


def checkNumber(
    option: str, value: object, lowest: int = 0, highest: int | None = None
) -> None:
    """
    :param option: the name of the option, for the message.
    :param value: what was given for it.
    :param lowest: the lowest number that it may be.
    :param highest: the highest one, or None.
    :raises BadOption: if it is no such number.
    """
    fits = isinstance(value, int) and not isinstance(value, bool)
    if fits and lowest <= value and (highest is None or value <= highest):  # type: ignore[operator]
        return
    upTo = "" if highest is None else f" and at most {highest}"
    raise BadOption(
        f"{option}={value!r} is no number of bytes; give a whole number, at least "
        f"{lowest}{upTo}"
    )
