"""
Who the partner is, as TLS proved it.
"""

from __future__ import annotations

from dataclasses import dataclass

from cryptography import x509
from OpenSSL import SSL
from service_identity import VerificationError
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.python.failure import Failure

from twisted_transfer.errors import NotAdmitted, PeerRefused, TransferError
from twisted_transfer.keys import pinOf


@dataclass(frozen=True)
class PeerIdentity:
    """
    The identity that the partner showed in its TLS handshake.

    :ivar certificate: the partner's own certificate.
    """

    certificate: x509.Certificate

    @property
    def pin(self) -> str:
        """See :func:`twisted_transfer.keys.pinOf`."""
        return pinOf(self.certificate)


def _sslReasons(error: SSL.Error) -> list[str]:
    """The words that OpenSSL put into its error queue."""
    queue = error.args[0] if error.args else []
    if not isinstance(queue, list):
        return [str(part) for part in error.args]
    return [entry[-1] for entry in queue if entry[-1]]


def handshakeError(reason: Failure, refusal: str | None = None) -> TransferError:
    """
    Say in this library's words why a TLS handshake did not complete.

    :param reason: why the connection was lost.
    :param refusal: why this side did not accept the partner's certificate,
        where that is known.
    :returns: ``PeerRefused`` when the partner ended it, ``NotAdmitted`` when
        this side did; the original is its ``__cause__``.
    """
    cause = reason.value
    error: TransferError
    if refusal is not None:
        error = NotAdmitted(f"the partner's certificate is not accepted: {refusal}")
    elif isinstance(cause, SSL.Error) and _sslReasons(cause):
        words = "; ".join(_sslReasons(cause))
        if "alert" in words:
            error = PeerRefused(
                f"the partner refused the TLS handshake ({words}); "
                "check what it asks for: a certificate, or another TLS version"
            )
        elif "certificate verify failed" in words:
            error = NotAdmitted(
                f"the partner's certificate was not accepted ({words}); "
                "check that it is valid and that its issuer is among the trust roots"
            )
        else:
            error = NotAdmitted(
                f"the TLS handshake with the partner failed ({words}); "
                "check that the partner speaks TLS on this connection"
            )
    elif isinstance(cause, VerificationError):
        error = NotAdmitted(
            "the partner's certificate is for another host name than the one that "
            f"was dialled ({cause}); check the host name, or set hostname="
        )
    elif isinstance(cause, (ConnectionDone, ConnectionLost)):
        error = PeerRefused(
            "the partner ended the connection before the TLS handshake was "
            "complete; it may have another partner already, or not speak TLS"
        )
    else:
        error = NotAdmitted(f"the handshake with the partner failed: {cause}")
    error.__cause__ = cause
    return error


def refusedForGood(error: BaseException) -> bool:
    """
    :param error: why there is no connection to the partner.
    :returns: whether the partner refused this side with a reason, a TLS alert,
        so that the same would happen again.
    """
    return isinstance(error, PeerRefused) and not isinstance(
        error.__cause__, (ConnectionDone, ConnectionLost)
    )
