"""
Any Twisted program chooses its side by a string: ``twist web``.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from twisted.trial.unittest import TestCase

from tests.peers.processes import Program
from tests.peers.programs import freePort, twist
from tests.peers.transfers import dialTCP, dialTLS
from tests.support.certificates import Authority
from tests.support.folders import newFolder

_HOST = "127.0.0.1"
_CONTENT = b"It is served by the one who dials.\n"
_REQUEST = b"GET /page.txt HTTP/1.0\r\n\r\n"


class WebTests(TestCase):
    """A web server that gets its one client by our descriptions."""

    timeout = 60

    def setUp(self) -> None:
        self.folder = newFolder(self)
        site = self.folder / "site"
        site.mkdir()
        (site / "page.txt").write_bytes(_CONTENT)
        self.site = site

    def web(self, listen: str) -> Program:
        """Serve the page."""
        return twist(self, self.folder, "web", "--path", self.site, "--listen", listen)

    async def answered(self, client: Program) -> None:
        """The client has got the page, when the server has closed."""
        await client.endsWith(0)
        head, _, content = client.output.partition(b"\r\n\r\n")
        self.assertEqual(head.split()[1], b"200", head)
        self.assertEqual(content, _CONTENT)

    @pytest.mark.needs("ncat")
    async def test_active(self) -> None:
        """A server that dials answers the client that has waited for it."""
        port = freePort(_HOST)
        client = Program(self, "ncat", "-v", "-l", _HOST, str(port), folder=self.folder)
        await client.says(r"(Listening on)")
        client.write(_REQUEST)
        self.web(dialTCP(_HOST, port))
        await self.answered(client)

    @pytest.mark.needs("openssl")
    async def test_activeTLS(self) -> None:
        """A server that dials over TLS answers a client that has the certificate."""
        authority = Authority(newFolder(self))
        certificate, key = authority.issue()
        port = freePort(_HOST)
        client = Program(
            self,
            *("openssl", "s_server", "-quiet", "-state", "-naccept", "1"),
            *("-accept", f"{_HOST}:{port}", "-cert", certificate, "-key", key),
            folder=self.folder,
        )
        self.web(f"{dialTLS(port, authority.trustRoots)}:retryFor=20")
        await client.says(r"^SSL_accept:.*(read finished)")
        client.write(_REQUEST)
        await self.answered(client)

    def curl(self, port: str, *options: str | Path, scheme: str = "http") -> Program:
        """Get the page."""
        url = f"{scheme}://{_HOST}:{port}/page.txt"
        words = ("curl", "-sS", "--noproxy", "*", *options, url)
        return Program(self, *words, folder=self.folder)

    @pytest.mark.needs("curl")
    async def test_passive(self) -> None:
        """
        A server that waits for its partner answers one curl; the next one finds
        the port closed (exit status 7, curl(1)).
        """
        web = self.web(f"transfer:passive:tcp:port=0:interface={_HOST}")
        port = await web.says(r"starting on (\d+)$")
        first = self.curl(port)
        await first.endsWith(0)
        self.assertEqual(first.output, _CONTENT)
        await self.curl(port).endsWith(7)

    @pytest.mark.needs("curl")
    async def test_passiveTLS(self) -> None:
        """
        Over TLS curl names the protocols that it speaks (ALPN), and the web
        server, which is asked although it does not listen itself, has one.
        """
        authority = Authority(newFolder(self))
        certificate, key = authority.issue()
        web = self.web(
            f"transfer:passive:ssl:port=0:interface={_HOST}"
            f":privateKey={key}:certKey={certificate}"
        )
        roots = authority.trustRoots / "ca.pem"
        port = await web.says(r"starting on (\d+)$")
        client = self.curl(port, "-v", "--cacert", roots, scheme="https")
        await client.endsWith(0)
        self.assertEqual(client.output, _CONTENT)
        await client.says("(ALPN: server accepted http/1.1)")
