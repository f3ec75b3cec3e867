"""
A file that is either whole or not there.

The bytes go to ``NAME.twisted-transfer-part`` in the same folder, and ``NAME`` appears
in one step when all of them are on the disk.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any, TypeVar

from twisted.internet.defer import CancelledError
from twisted.internet.interfaces import IReactorThreads
from twisted.internet.threads import deferToThreadPool
from twisted.python.filepath import FilePath

from twisted_transfer.data.openings import isAlone, openings
from twisted_transfer.deferreds import Promise, deferring
from twisted_transfer.errors import DestinationError

_T = TypeVar("_T")

_NO_FOLDER_FLUSH = frozenset({errno.EINVAL, errno.ENOTSUP, errno.EACCES, errno.EBADF})


@deferring
async def inThread(reactor: IReactorThreads | None, waits: Callable[[], _T]) -> _T:
    """
    Call what waits for the disk in a thread.

    When this is cancelled, it ends when the thread has ended, for that cannot be
    stopped, and uses descriptors.

    :param reactor: has the threads; without it, this waits.
    :param waits: is called there.
    :returns: a Deferred with what it returns.
    """
    if reactor is None:
        return waits()
    done: Promise[_T] = Promise()
    pool = reactor.getThreadPool()
    deferToThreadPool(reactor, pool, waits).addBoth(done.fire)
    try:
        return await done.wait()
    except CancelledError:
        await done.wait()
        raise


def flushFolder(path: str) -> None:
    """
    Wait until the names in a folder are on the disk, where the system can do that.

    :param path: the folder.
    :raises OSError: if the disk says that it cannot.
    """
    try:
        folder = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        if error.errno not in _NO_FOLDER_FLUSH:
            raise


AnyPath = str | bytes | os.PathLike[str] | os.PathLike[bytes] | FilePath[Any]
"""The types of a path."""


def pathText(path: AnyPath) -> str:
    """
    :param path: a path in any of its forms; Twisted's ``FilePath`` is one, but
        is no ``os.PathLike``.
    :returns: the same path as ``str``.
    """
    return os.fsdecode(path.path if isinstance(path, FilePath) else path)


def resolved(path: str) -> str:
    """
    Follow the symbolic links in which a path ends, but for those that another user may
    have put there: in a sticky folder to which all may write, such as ``/tmp``, only
    the links of this user and of the folder's owner are followed.  That is Linux's rule
    (``fs.protected_symlinks`` in :manpage:`proc_sys_fs(5)`), also where it is off.

    :param path: any path.
    :returns: the absolute path to which it leads.
    :raises OSError: for the link of another user, or a chain of links without end.
    :raises ValueError: if it is no path.
    """
    for _ in range(_MOST_LINKS):
        folder, name = os.path.split(path)
        if name in ("", os.curdir, os.pardir):
            return os.path.realpath(path)
        folder = os.path.realpath(folder)
        path = os.path.join(folder, name)
        try:
            status = os.lstat(path)
        except OSError:
            return path  # whoever opens it is told
        if not stat.S_ISLNK(status.st_mode):
            return path
        shared = os.stat(folder)
        if (
            shared.st_mode & stat.S_ISVTX
            and shared.st_mode & stat.S_IWOTH
            and status.st_uid not in (os.geteuid(), shared.st_uid)
        ):
            raise PermissionError(
                errno.EACCES,
                f"{path} is a symbolic link of another user in a folder to which all "
                "may write",
            )
        path = os.path.join(folder, os.readlink(path))
    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))


_MOST_LINKS = 40  # as in Linux, path_resolution(7)


def targetPath(path: str, follow: bool = True) -> str:
    """
    :param path: of a file that is to appear.
    :param follow: whether its last part may be a symbolic link.
    :returns: its absolute path, in which symbolic links are followed.
    :raises DestinationError: if it can only be the path of a folder, or of nothing; or
        if there is a special file, such as a pipe or a device, or the link of another
        user in a folder like ``/tmp``.
    """
    # realpath() drops the slash by which a folder is meant.
    folder, name = os.path.split(path)
    if not name:
        raise unfit(f"{path!r} is to be a folder; give the path of a file in it")
    try:
        if not follow:
            return os.path.join(os.path.realpath(folder), name)
        target = resolved(path)
    except (OSError, ValueError) as error:
        raise unfit(f"cannot write {path!r}: {reasonText(error)}") from error
    # A file of /dev/fd leads to what has no path.
    with suppress(OSError, ValueError):
        _checkPlain(path, os.stat(path).st_mode)
    return target


def _checkPlain(path: str, mode: int) -> None:
    """Refuse what is neither a file nor a folder."""
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise unfit(
            f"{path} is no regular file; to write to what is special, such as a pipe "
            "or a device, give - as the path and redirect standard output to it (in a "
            "program: StreamDestination)"
        )


def reasonText(error: OSError | ValueError) -> str:
    """
    :returns: what the system, or Python, says about an error, without its number
        and without the path, which the message around it names already.
    """
    return getattr(error, "strerror", None) or str(error)


@contextmanager
def raising(make: Callable[[OSError], Exception]) -> Iterator[None]:
    """
    Raise another error in place of the system's.

    :param make: makes it of what the system says in the block of this context.
    """
    try:
        yield
    except OSError as error:
        raise make(error) from error


SUFFIX = ".twisted-transfer-part"
"""The end of the name of a part, which no other program uses."""

MARK = stat.S_ISVTX | stat.S_IRUSR | stat.S_IWUSR
"""The mode of a part.  The sticky bit does nothing in a file, and no other program
sets it; so it tells a part of ours from a file that has such a name by chance."""

_LONGEST = 255  # bytes of a name
_NEW = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_FOUND = os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_NO_LOCKS = frozenset({errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS})
_NO_LINKS = frozenset({errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK})


def partPath(target: str) -> str:
    """
    :param target: the absolute path of a file that is to appear.
    :returns: the path of its part.  Where the name is too long to take the suffix,
        its end is replaced by a digest of the whole name.
    """
    folder, name = os.path.split(target)
    try:
        longest = min(os.pathconf(folder, "PC_NAME_MAX"), _LONGEST)
        raw = os.fsencode(name)
    except (OSError, ValueError):
        return target + SUFFIX  # what is wrong is said when the part is made
    room = longest - len(SUFFIX)
    if room < len(raw) <= longest:
        digest = hashlib.sha256(raw).hexdigest()[:16]
        name = f"{raw[: room - 17].decode(errors='ignore')}~{digest}"
    return os.path.join(folder, name + SUFFIX)


class Part:
    """
    The part of one target, with a lock (flock(2)) that keeps other transfers out.

    :ivar path: where it is.
    :ivar fd: its open descriptor, or -1 if it is not held.
    :ivar found: how many bytes an interrupted transfer has left in it.
    :ivar size: how many bytes it is to have by now.
    """

    fd = -1
    found = 0
    size = 0
    _mode = stat.S_IMODE(MARK)
    _wasAlone = True
    _watch = -1

    def __init__(self, target: str, replace: bool) -> None:
        """
        :param target: the absolute path of the file that is to appear.
        :param replace: whether a target, or a part that an interrupted
            transfer has left, may be replaced.
        """
        self.path = partPath(target)
        self._target = target
        self._replace = replace
        self.folder = os.path.dirname(target)
        self._locks = True
        self.cannotStore = partial(cannotStore, target)

    def open(self, resume: bool) -> None:
        """
        Make an empty part that only the owner can read, or take over one that an
        interrupted transfer has left.

        What was not made here is never touched: only a regular file with one name
        (hard link) and the mark is, that belongs to the user of this process.  It is
        taken over unless somebody else may have read it; then a new one takes its
        place.  Where the file system has no locks, nothing is taken over.

        :param resume: whether a part that is there may be taken over.  Otherwise it
            is never written to, but removed if it may be replaced.
        :raises DestinationError: if what is there can be neither taken over nor
            replaced, or another transfer is writing it, or no part can be made.
        """
        while self.fd == -1:
            try:
                fd = os.open(self.path, _NEW, MARK)
            except FileExistsError:
                self._meet(resume)
            except (OSError, ValueError) as error:
                raise noPlace(self.folder, reasonText(error)) from error
            else:
                self._hold(fd)
        self._watch = openings().watch(self.fd)
        self._wasAlone = not self.found or isAlone(self.fd)

    @property
    def shared(self) -> bool:
        """Whether another program may have written to it, as far as is known."""
        return openings().noticed(self._watch) or not self._wasAlone

    def _hold(self, fd: int) -> None:
        """
        Keep others away from what was made, and make it this part.

        It is closed instead if the path no longer leads to it: another transfer has
        cleared it away before there was a lock.
        """
        try:
            with raising(self.cannotStore):
                self._lock(fd)
                if self._isAt(fd, self.path):
                    self.fd = fd
                    self._chmod(MARK)  # whatever the mask is
        finally:
            if self.fd != fd:
                os.close(fd)

    def _lock(self, fd: int) -> None:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise DestinationError(
                f"another transfer is receiving {self._target} at this moment; "
                "wait for its end, or choose another name",
                "busy",
                "another transfer is writing the same file",
            ) from error
        except OSError as error:
            # Where a file system has no locks, O_EXCL alone has to do.
            if error.errno not in _NO_LOCKS:
                raise
            self._locks = False

    def _meet(self, resume: bool) -> None:
        """Take over what is there, or remove it if that is allowed."""
        try:
            # Opening a device can have an effect of its own.
            self._checkOurs(os.lstat(self.path))
            old = os.open(self.path, _FOUND)
        except FileNotFoundError:
            return
        except OSError as error:
            raise self._inTheWay(f"cannot be opened ({reasonText(error)})") from error
        try:
            with raising(self.cannotStore):
                self._lock(old)
            if self._isAt(old, self.path):
                self._settle(old, resume)
        except OSError as error:
            raise self._inTheWay(f"cannot be removed ({reasonText(error)})") from error
        finally:
            if self.fd != old:
                os.close(old)

    def _settle(self, old: int, resume: bool) -> None:
        """Take over what is there and locked by now, or remove it."""
        status = os.fstat(old)
        self._checkOurs(status)
        # With a second name, a transfer was killed between the two steps of its
        # end, and this is the whole target.
        isTarget = status.st_nlink > 1
        if isTarget and not self._isAt(old, self._target):
            raise self._inTheWay("has a second name")
        isPrivate = stat.S_IMODE(status.st_mode) == MARK
        if resume and isPrivate and self._locks and not isTarget:
            checkWritable(self.folder)
            self.fd, self.found = old, status.st_size
        elif self._replace or (resume and not isPrivate):
            os.unlink(self.path)
        else:
            raise DestinationError(
                f"{self.path} is there already, left by an interrupted transfer; move "
                "it away, or give --force (force=True) to start over",
                "place",
                "the receiver has a part of such a file already",
            )

    def _inTheWay(self, how: str) -> DestinationError:
        return DestinationError(
            f"{self.path} is in the way and {how}; move it away",
            "place",
            "something is in the way where the receiver stores the file",
        )

    @staticmethod
    def _isAt(fd: int, path: str) -> bool:
        """Whether the path still leads to the open file."""
        try:
            return os.path.samestat(os.fstat(fd), os.lstat(path))
        except FileNotFoundError:
            return False

    def _checkOurs(self, status: os.stat_result) -> None:
        if not stat.S_ISREG(status.st_mode):
            raise self._inTheWay("is no regular file")
        if status.st_uid != os.geteuid():
            raise self._inTheWay("belongs to another user")
        if not status.st_mode & stat.S_ISVTX:
            raise self._inTheWay("was not made by a transfer")

    def checkRoom(self, size: int) -> None:
        """
        :param size: how many bytes the file will have.
        :raises DestinationError: of the kind ``"too-large"``, if the disk has no room
            for what of them is not there.
        """
        room = roomOn(self.fd)
        if room is not None and size - heldBy(self.fd) > room:
            raise DestinationError(
                f"cannot store {self._target}: it has {size} bytes, and the disk has "
                f"room for {room} more; make room, or choose a path on another disk",
                "too-large",
                "the receiver's disk has no room for it",
            )

    def goOnAt(self, offset: int) -> None:
        """
        Forget what stands behind an offset, and write there next.

        :param offset: in bytes; 0 to start over.
        :raises DestinationError: if the system refuses.
        """
        with raising(self.cannotStore):
            os.ftruncate(self.fd, offset)
            os.lseek(self.fd, offset, os.SEEK_SET)
        self.size = offset

    def write(self, data: bytes) -> None:
        """
        :param data: the next bytes.
        :raises DestinationError: if not all of them can be stored; some may be.
        """
        try:
            written = os.write(self.fd, data)
            while written < len(data):
                written += os.write(self.fd, memoryview(data)[written:])
        except OSError as error:
            raise self.cannotStore(error) from error
        self.size += written

    def cannotRead(self, error: OSError) -> DestinationError:
        """:returns: the error for a part that is there and that read(2) refuses."""
        return self._inTheWay(f"cannot be read ({reasonText(error)})")

    def flush(self) -> None:
        """
        Wait until everything that was written is on the disk (fsync(2)).

        :raises DestinationError: if the disk says that it cannot, or another
            program has written to the part.
        """
        with raising(self.cannotStore):
            if os.fstat(self.fd).st_size != self.size:
                raise self.changed()
            os.fsync(self.fd)

    def changed(self) -> DestinationError:
        """:returns: the error for a part that another program has changed."""
        return DestinationError(
            f"{self.path} was removed, replaced or changed meanwhile; receive it again",
            "storing",
            "the receiver's file was removed or changed meanwhile",
        )

    def publish(self, mode: int, modified: int | None = None) -> None:
        """
        Let the target appear, whole.  It outlives a loss of power behind
        :func:`settleAll`.

        :param mode: the permission bits that it is to have.
        :param modified: when it was modified, in nanoseconds since 1970; None: now.
        :raises DestinationError: if it cannot, in which case an older target is as
            it was, and the whole content stays in the part.
        """
        if not self._isAt(self.fd, self.path):
            raise self.changed()
        try:
            mode = self._forGroup(mode)
            self._chmod(mode | stat.S_ISVTX)
            if modified is not None:
                with suppress(OSError):
                    os.utime(self.fd, ns=(os.fstat(self.fd).st_atime_ns, modified))
            if self._replace:
                os.replace(self.path, self._target)
            else:
                self._publishNew()
            self._chmod(mode)
        except OSError as error:
            if self._isAt(self.fd, self.path):
                self._chmod(MARK)
            self.close()
            if isinstance(error, FileExistsError):
                raise self._complete() from error
            raise self.cannotStore(error) from error

    def settle(self) -> None:
        """
        Wait until the mode of the target is on the disk; see :func:`settleAll`.

        :raises DestinationError: if the disk says that it cannot.
        """
        with raising(self.cannotStore):
            os.fsync(self.fd)

    def _forGroup(self, mode: int) -> int:
        """
        Keep the group of the file that is replaced.

        :param mode: the permission bits that the new file is to have.
        :returns: these, but none for a group that had none.
        """
        try:
            group = os.lstat(self._target).st_gid
        except OSError:
            return mode  # there is none
        with suppress(OSError):
            os.fchown(self.fd, -1, group)
        return mode if os.fstat(self.fd).st_gid == group else mode & ~stat.S_IRWXG

    def _complete(self) -> DestinationError:
        return DestinationError(
            f"{self._target} exists by now and is not replaced; everything has come "
            f"and is kept in {self.path}: rename that, or receive again with --force "
            "(force=True)",
            "exists",
            "the receiver has such a file by now and does not replace it",
        )

    def _chmod(self, mode: int) -> None:
        """Set the mode, where the file system has modes."""
        with suppress(OSError):
            os.fchmod(self.fd, mode)

    def close(self) -> None:
        """Close the part, which gives back the lock."""
        if self.fd == -1:
            return
        openings().forget(self._watch)
        fd, self.fd = self.fd, -1
        os.close(fd)

    def _publishNew(self) -> None:
        """Give the part its name unless that exists; rename(2) would replace it."""
        try:
            os.link(self.path, self._target, follow_symlinks=False)
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            # A file system without hard links: look, then rename.
            if os.path.lexists(self._target):
                raise FileExistsError(self._target) from error
            os.rename(self.path, self._target)
        else:
            with suppress(OSError):
                os.unlink(self.path)

    def discard(self) -> None:
        """Remove the part, if it is held, and give back the lock."""
        if self.fd == -1:
            return
        with suppress(OSError):
            if self._isAt(self.fd, self.path):
                os.unlink(self.path)
        self.close()

    def keep(self) -> None:
        """Release the part for the next transfer, or remove it if it is of no use."""
        if self.fd == -1:
            return
        status = os.fstat(self.fd)
        if status.st_size and stat.S_IMODE(status.st_mode) == MARK:
            self.close()
        else:
            # Without the mark, the next transfer would not touch it.
            self.discard()


def flushAll(parts: Sequence[Part]) -> None:
    """
    Wait until everything that was written to some parts is on the disk.

    :param parts: the parts.
    :raises DestinationError: see :meth:`Part.flush`.
    """
    for part in parts:
        part.flush()


def settleAll(parts: Sequence[Part]) -> None:
    """
    Wait until the names and the modes of published targets are on the disk as well.

    :param parts: the parts that they were; each folder is flushed once.
    :raises DestinationError: if the disk says that it cannot.
    """
    folders = {}
    for part in parts:
        part.settle()
        folders[part.folder] = part
    for folder, part in folders.items():
        with raising(part.cannotStore):
            flushFolder(folder)


def roomOn(place: str | int) -> int | None:
    """
    :param place: a path, or the descriptor of a file.
    :returns: how many bytes are free on its disk for those who are not root; None where
        the system does not tell, as with some network file systems.
    """
    with suppress(OSError):
        disk = os.statvfs(place)
        if disk.f_blocks:
            return disk.f_bavail * disk.f_frsize
    return None


def heldBy(place: str | int) -> int:
    """
    :param place: the path of a file, or its descriptor.
    :returns: how many bytes of the disk it takes; 0 if there is none.
    """
    with suppress(OSError):
        return os.stat(place).st_blocks * 512
    return 0


def checkWritable(folder: str) -> None:
    """
    :param folder: the path of a folder.
    :raises DestinationError: if this process may not make files in it.
    """
    effective = os.access in os.supports_effective_ids
    if not os.access(folder, os.W_OK | os.X_OK, effective_ids=effective):
        raise noPlace(folder, "it is read-only, or belongs to another user")


def noPlace(folder: str, reason: str) -> DestinationError:
    """
    :param folder: the path of a folder.
    :param reason: why no file can be made in it.
    :returns: the error that says so.
    """
    return DestinationError(
        f"cannot write in {folder}: {reason}; choose a folder that exists and that you "
        "may write to",
        "place",
        f"the receiver cannot write in its folder: {reason}",
    )


def targetMode(target: str, replace: bool) -> int:
    """
    Check what is at the place of the target.

    :param target: the absolute path of the file that is to appear.
    :param replace: whether it may be there already.
    :returns: the permission bits that open(2) would give a new one, or those of the
        file that is replaced; but those for its owner alone where that is somebody
        else.
    :raises DestinationError: if it is there and may not be replaced, or is
        something else than a regular file.
    """
    try:
        status = os.lstat(target)
    except (OSError, ValueError):
        # Whatever is wrong with the folder is said when the part is made.  The
        # mask can only be read by setting it; for that moment, let other
        # threads make files that are too private, not too open.
        mask = os.umask(0o077)
        os.umask(mask)
        return 0o666 & ~mask
    if stat.S_ISDIR(status.st_mode):
        raise unfit(f"{target} is a folder; give the path of a file in it")
    _checkPlain(target, status.st_mode)
    if not replace:
        raise exists(target)
    if status.st_uid != os.geteuid():
        return 0o600
    return stat.S_IMODE(status.st_mode) & 0o777


def exists(target: str) -> DestinationError:
    """
    :param target: what is there.
    :returns: the error for a target that may not be replaced.
    """
    return DestinationError(
        f"{target} exists and is not replaced; choose another name, or give "
        "--force (force=True)",
        "exists",
        "the receiver has such a file already and does not replace it",
    )


def cannotStore(target: str, error: OSError) -> DestinationError:
    """
    :param target: the path of the file that was to appear.
    :param error: what the system says.
    :returns: the error for a file that could not be written.
    """
    reason = reasonText(error)
    return DestinationError(f"cannot store {target}: {reason}", "storing", reason)


def unfit(message: str) -> DestinationError:
    """
    :param message: why there can be no file at the place of a target.
    :returns: the error that says so.
    """
    return DestinationError(
        message, "place", "the receiver cannot store a file at that place"
    )
