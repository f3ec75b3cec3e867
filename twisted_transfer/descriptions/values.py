"""
What the value of one option may be.

Each function looks at the text of one value and returns nothing, or raises
:class:`UnfitError` with a sentence that says what would be right.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from OpenSSL import SSL

#: The largest number that the system calls behind these options take.
_LARGEST = 2**31 - 1


class UnfitError(Exception):
    """
    A value that cannot be.

    It never leaves this library: whoever catches it knows the description, and
    raises :class:`twisted_transfer.errors.BadDescription`.

    :ivar reason: a sentence that says what would be right.
    :ivar option: the option at fault, where the raiser knows it.
    """

    def __init__(self, reason: str, option: str | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.option = option


@contextmanager
def blaming(option: str) -> Iterator[None]:
    """
    Say which option is at fault, whatever is found to be :class:`UnfitError`.

    :param option: its name.
    """
    try:
        yield
    except UnfitError as unfit:
        raise UnfitError(unfit.reason, option) from unfit


#: Looks at one value, raises :class:`UnfitError`.
Check = Callable[[str], None]


def _number(value: str, lowest: int, highest: int, sentence: str) -> None:
    """Require decimal digits within the bounds."""
    digits = value.isascii() and value.isdigit() and len(value) <= 20
    if not digits or not lowest <= int(value) <= highest:
        raise UnfitError(f"{sentence} from {lowest} to {highest}")


def anything(value: str) -> None:
    """Accept every value."""


def clientPort(value: str) -> None:
    """
    Check a port to dial.

    :param value: the text of the option.
    :raises UnfitError: unless it is a number from 1 to 65535.
    """
    _number(value, 1, 65535, "a port is a number")


def serverPort(value: str) -> None:
    """
    Check a port to listen on; 0 lets the system choose.

    :param value: the text of the option.
    :raises UnfitError: unless it is a number from 0 to 65535.
    """
    _number(value, 0, 65535, "a port to listen on is a number")


def backlog(value: str) -> None:
    """
    Check the length of the queue of a listening socket (listen(2)).

    :param value: the text of the option.
    :raises UnfitError: unless it is a number that the system call takes.
    """
    _number(value, 0, _LARGEST, "a backlog is a number")


def timeout(value: str) -> None:
    """
    Check the seconds that an attempt to connect may take.

    :param value: the text of the option.
    :raises UnfitError: unless it is a whole number of at least one.
    """
    _number(value, 1, _LARGEST, "a timeout is a whole number of seconds")


def index(value: str) -> None:
    """
    Check the place of a socket among those that systemd handed over.

    :param value: the text of the option.
    :raises UnfitError: unless it is a number.
    """
    _number(value, 0, _LARGEST, "an index is a number")


def fileMode(value: str) -> None:
    """
    Check the permissions of a UNIX socket (chmod(2)).

    :param value: the text of the option.
    :raises UnfitError: unless it is an octal number of one to four digits.
    """
    if re.fullmatch("(0o)?[0-7]{1,4}", value) is None:
        raise UnfitError("a mode is an octal number such as 660")


def lockfile(value: str) -> None:
    """
    Check whether a lock file beside a UNIX socket is wanted.

    :param value: the text of the option.
    :raises UnfitError: unless it is ``0`` or ``1``.
    """
    if value not in ("0", "1"):
        raise UnfitError("lockfile is 0 or 1")


def hostName(value: str) -> None:
    """
    Check a name or address; nothing is looked up.

    :param value: the text of the option.
    :raises UnfitError: where it can be neither: it is empty, has a space or control
        character in it, or a part that is longer than a name may have
        (:rfc:`1035#section-2.3.4`).
    """
    if not value:
        raise UnfitError("a host is a name or an address, and this is empty")
    if not value.isprintable() or any(map(str.isspace, value)):
        raise UnfitError("a host is a name or an address, without spaces")
    labels = value[:-1].split(".") if value.endswith(".") else value.split(".")
    if not all(0 < len(label) <= 63 for label in labels):
        raise UnfitError(
            "each part of a host name, between its dots, has 1 to 63 characters"
        )


def interface(value: str) -> None:
    """
    Check the address to listen on.

    :param value: the text of the option; empty for all interfaces.
    :raises UnfitError: where it is no address.
    """
    if value:
        hostName(value)


def socketPath(value: str) -> None:
    """
    Check the path of a UNIX socket.

    :param value: the text of the option; on Linux a NUL in front makes it an
        abstract name (unix(7)).
    :raises UnfitError: where it is empty or cannot be a path.
    """
    if not value:
        raise UnfitError("the path of a UNIX socket is needed, and this is empty")
    if "\0" in value and not value.startswith("\0"):
        raise UnfitError("a path cannot contain a NUL character")


def addressFamily(value: str) -> None:
    """
    Check the kind of a socket that systemd handed over.

    :param value: the text of the option.
    :raises UnfitError: unless it is one of those that can carry a stream.
    """
    if value not in ("INET", "INET6", "UNIX"):
        raise UnfitError("the domain of a systemd socket is INET, INET6 or UNIX")


def sslMethod(value: str) -> None:
    """
    Check the name of a protocol version, a constant of ``OpenSSL.SSL``.

    :param value: the text of the option.
    :raises UnfitError: where there is no such constant.
    """
    names = sorted(name for name in dir(SSL) if name.endswith("_METHOD"))
    if value not in names:
        raise UnfitError(f"the method is one of {', '.join(names)}; best leave it out")


def addressOrNetwork(value: str) -> None:
    """
    Check one entry of a list of addresses that may be the partner's.

    :param value: an IPv4 or IPv6 address, or a network with its prefix length.
        An IPv6 address may have a zone id behind it (``fe80::1%eth0``,
        :rfc:`4007#section-11`); a network has none.
    :raises UnfitError: where it is neither.
    """
    if "," in value:
        raise UnfitError(f"'{value}' is not one address: a comma stands between two")
    if "/" in value and "%" in value:
        raise UnfitError(
            f"'{value}' has a zone id, and a network has none; leave it out"
        )
    try:
        if "/" not in value:
            ipaddress.ip_address(value)
            return
        network = ipaddress.ip_network(value, strict=False)
    except ValueError:
        raise UnfitError(
            f"'{value}' is neither an address such as 192.0.2.7 or 2001:db8::7 "
            "nor a network such as 192.0.2.0/24"
        ) from None
    # 192.0.2.7/24 may mean the one address or all of its network.
    written = ipaddress.ip_interface(value).ip
    if written != network.network_address:
        raise UnfitError(
            f"'{value}' is one address of a network; the network is {network}"
        )
