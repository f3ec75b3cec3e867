"""
Checks of option values, for arguments of the API and for text in descriptions.

Each check takes a value of any type, and raises :class:`UnfitError` with a
sentence that says what would be right.  A number in a description goes through
:func:`whole` or :func:`decimal` first.
"""

from __future__ import annotations

import ipaddress
import math
import re
import socket
from collections.abc import Iterable
from contextlib import ContextDecorator

from twisted_transfer.errors import BadOption
from twisted_transfer.tls.policy import serverName

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class UnfitError(BadOption):
    """
    A value is invalid; the text says what would be right.

    The caller knows where the value comes from, and says so in another
    :class:`BadOption` or in a
    :class:`~twisted_transfer.errors.BadDescription`.

    :ivar option: the name of the invalid option, if it is known.
    """

    def __init__(self, reason: str, option: str | None = None) -> None:
        super().__init__(reason)
        self.option = option


class blaming(ContextDecorator):  # noqa: N801, it is called as a function
    """
    Make each :class:`BadOption` raised within an :class:`UnfitError` of an option.
    """

    def __init__(self, option: str) -> None:
        """
        :param option: its name.
        """
        self._option = option

    def __enter__(self) -> None:
        """Do nothing yet."""

    def __exit__(self, kind: object, error: object, traceback: object) -> None:
        """Blame the option for an error."""
        if isinstance(error, BadOption):
            raise UnfitError(str(error), self._option) from None


def whole(text: str) -> int | str:
    """
    Read decimal digits.

    :param text: the text of an option.
    :returns: the number, or the text itself, which the checks refuse.
    """
    digits = text.isascii() and text.isdigit() and len(text) <= 20
    return int(text) if digits else text


def decimal(text: str) -> float | str:
    """
    Read a decimal number.

    :param text: the text of an option.
    :returns: the number, or the text itself, which the checks refuse.
    """
    try:
        return float(text)
    except ValueError:
        return text


def number(value: object, lowest: int, highest: int, subject: str) -> None:
    """
    Check a whole number.

    :param value: the value.
    :param lowest: the least that is valid.
    :param highest: the most that is valid.
    :param subject: how the error begins, such as ``"a port is a number"``.
    :raises UnfitError: if it is invalid.
    """
    if isinstance(value, bool) or not isinstance(value, int):
        value = lowest - 1
    if not lowest <= value <= highest:
        raise UnfitError(f"{subject} from {lowest} to {highest}")


def port(value: object, *, lowest: int) -> None:
    """
    Check a port number.

    :param value: the value.
    :param lowest: 0 to listen, which lets the system choose; 1 to dial.
    :raises UnfitError: if it is not a number from there to 65535.
    """
    subject = "a port is a number" if lowest else "a port to listen on is a number"
    number(value, lowest, 65535, subject)


def seconds(value: object, *, zero: bool = False) -> None:
    """
    Check a duration.

    :param value: the value.
    :param zero: whether 0 is valid.
    :raises UnfitError: if it is not a finite number above 0, or 0.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        value = -1
    if not (0 < value < math.inf or (zero and value == 0)):
        bound = ", 0 or more" if zero else " above 0"
        raise UnfitError(f"give a finite number of seconds{bound}")


# Letters, digits, hyphens and dots (RFC 952), and underscores: names have them, such
# as those of containers.  What begins with a hyphen is an option that went astray.
_NAME = re.compile(r"[\w.][\w.-]*", re.ASCII)


def hostName(value: object) -> None:
    """
    Check a host name or address, without looking it up (:rfc:`1035#section-2.3.4`).

    :param value: the value.
    :raises UnfitError: if it is neither an address, which may have a zone id
        (``fe80::1%eth0``), nor what a name may be.
    """
    text = value if isinstance(value, str) else ""
    if isAddress(text):
        return
    labels = text.removesuffix(".").split(".")
    if text and (len(text) > 253 or not all(0 < len(label) < 64 for label in labels)):
        raise UnfitError(
            "a host name has at most 253 characters, and each part of it, between "
            "its dots, has 1 to 63"
        )
    try:
        name = (serverName(text) or b"").decode("ascii")
    except UnicodeError:
        raise UnfitError(
            "this name has no form in ASCII letters (IDNA), which each host name "
            "has; see whether it is spelt right"
        ) from None
    if len(name) > 253 or _NAME.fullmatch(name) is None:
        raise UnfitError(
            "a host is a name or an address without spaces, such as 192.0.2.7 or "
            "2001:db8::7; a name has letters, digits, hyphens, underscores and dots"
        )


def isAddress(text: str) -> bool:
    """
    Tell an address from a name.

    :param text: any text.
    :returns: whether it is an IPv4 address, or an IPv6 address, which may have a
        zone id of printable characters (:rfc:`4007#section-11`).
    """
    try:
        # Most are IPv4, for which the system is faster by far.
        socket.inet_pton(socket.AF_INET, text)
        return True
    except (OSError, ValueError):
        pass
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return text.isprintable() and " " not in text


@blaming("admit")
def networks(entries: object) -> list[tuple[Network, str]]:
    """
    Check the addresses and networks from which a partner may come.

    :param entries: IPv4 and IPv6 addresses, and networks with their prefix length.
        An IPv6 address may have a zone id (``fe80::1%eth0``,
        :rfc:`4007#section-11`); a network has none.
    :returns: each network, with its zone id or an empty string; an IPv4-mapped
        one (``::ffff:192.0.2.7``) as IPv4.
    :raises UnfitError: if there is none, or one is invalid.
    """
    if isinstance(entries, str) or not isinstance(entries, Iterable):
        raise UnfitError(
            f"give a list of addresses and networks, such as [{entries!r}]"
        )
    found = [_network(entry) for entry in entries]
    if not found:
        raise UnfitError(
            "with none of these nobody could be the partner; name an address such as "
            "192.0.2.7, or leave it out"
        )
    return found


def _network(entry: object) -> tuple[Network, str]:
    """Check one address or network."""
    if isinstance(entry, str) and "," in entry:
        raise UnfitError(f"{entry!r} is not one address: a comma stands between two")
    try:
        if not isinstance(entry, str) or {"/", "%"} <= set(entry):
            raise ValueError(entry)
        interface = ipaddress.ip_interface(entry)
    except ValueError:
        raise UnfitError(
            f"{entry!r} is neither an address such as 192.0.2.7 or 2001:db8::7 nor a "
            "network such as 192.0.2.0/24, which has no zone id"
        ) from None
    address, _, zone = entry.partition("%")
    found: Network = ipaddress.ip_network(address, strict=False)
    # 192.0.2.7/24 may mean the one address or all of its network.
    if "/" in entry and interface.ip != found.network_address:
        raise UnfitError(
            f"'{entry}' is one address of a network; the network is {found}"
        )
    mapped = getattr(found.network_address, "ipv4_mapped", None)
    if mapped is not None and found.prefixlen >= 96:
        found = ipaddress.ip_network((mapped, found.prefixlen - 96))
    return found, zone
