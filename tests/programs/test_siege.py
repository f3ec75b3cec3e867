"""
The siege of ``tests/reactors/test_mtls_siege.py``, as long as programs take.
"""

from __future__ import annotations

from tests.reactors import test_mtls_siege


class LongSiegeTests(test_mtls_siege.SiegeCase):
    """The partner has the invitation, and gets in among those who have not."""

    async def test_siege(self) -> None:
        """Ten thousand come."""
        await self.besiege(10_000)
