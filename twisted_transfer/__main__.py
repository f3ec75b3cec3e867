"""
``python -m twisted_transfer``: the same as ``twisted-transfer``.
"""

from __future__ import annotations

import sys

from twisted_transfer.command.main import main

if __name__ == "__main__":
    sys.exit(main())
