"""
Small programs that move bytes: this library, and what it is compared with.

Each is run as ``python -m benchmarks.speed.peers.NAME`` with the words ``ROLE TRANSPORT
ADDRESS PATH KEYS``, and says on standard error when it began, when it ended, and what
CPU it took between.
"""
