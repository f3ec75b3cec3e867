"""
Meeting the partner at a relay, which both dial.
"""

from twisted_transfer.meeting.relay import RelayClientEndpoint, RelayServerEndpoint

__all__ = ["RelayClientEndpoint", "RelayServerEndpoint"]
