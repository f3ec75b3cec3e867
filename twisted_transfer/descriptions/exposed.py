"""
Files with secrets in them that others can read.
"""

from __future__ import annotations

import os
import shlex
import stat

from twisted_transfer.printable import printable


def exposure(path: str, descriptor: int, what: str) -> str | None:
    """
    Say that others can read a file with a secret in it.

    A group may be there for just that, as Debian's ``ssl-cert`` is.

    :param path: the path by which the user knows the file.
    :param descriptor: the file, open.
    :param what: what is in it, such as ``"a secret"``.
    :returns: a warning with the command that mends it; ``None`` if only the owner
        and the group can read it.
    """
    if not os.fstat(descriptor).st_mode & stat.S_IROTH:
        return None
    return printable(
        f"all users of this machine can read {path}, which holds {what}; "
        f"mend it with: chmod 600 {shlex.quote(path)}"
    )
