"""
Copy one source after the other into one channel.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable

from twisted.internet.defer import CancelledError, Deferred, fail
from twisted.python.failure import Failure

from twisted_transfer.channel.channel import Separator, TransferChannel
from twisted_transfer.data.copying import Copying
from twisted_transfer.data.progress import Progress, quietly
from twisted_transfer.errors import BadOption, QueueAborted
from twisted_transfer.interfaces import Source


class CopyQueue:
    """
    Carries out requests to copy, strictly in the order in which they came.

    **After a failure** the partner has a part of a source, and cannot tell what
    follows from its rest.  So every request behind one that has failed fails with
    ``QueueAborted``, in order, and so does every later one; nothing of them is
    written.  The channel stays open: make a new queue for it if the partner can go
    on, or abort it.

    **Cancelling** a request that has not begun takes it out, and nothing else
    happens.  So does cancelling the running one as long as nothing of it was
    written.  After that it cannot be taken back: what is written stays, the rest
    is missing, and that is a failure as any other.

    The queue closes each source that it is given, also when the request is refused
    with ``QueueAborted``, fails, or is cancelled.  Each Deferred fires once,
    whatever a source, its ``close()`` or ``onStatusChange`` raises.
    """

    def __init__(
        self,
        channel: TransferChannel,
        onStatusChange: Callable[[int, bool], object] | None = None,
    ) -> None:
        """
        :param channel: gets everything; write nothing else to it while the queue is
            busy.
        :param onStatusChange: called with :attr:`pending` and :attr:`busy`
            whenever one of them has changed.  An error in it is logged.
        """
        self._channel = channel
        self._onStatusChange = onStatusChange
        # Those behind the running one; taking out any of them is quick.
        self._waiting: OrderedDict[Copying, Deferred[int]] = OrderedDict()
        self._running: Copying | None = None
        # What has still to fire, each with its result.
        self._over: deque[tuple[Deferred[int], int | Failure]] = deque()
        self._cause: BaseException | None = None  # of the failure, if there is one
        self._told = (0, False)
        self._inLoop = False

    @property
    def busy(self) -> bool:
        """Whether a request is being carried out."""
        return self._running is not None or bool(self._waiting)

    @property
    def pending(self) -> int:
        """How many requests have not begun."""
        return len(self._waiting)

    def put(
        self,
        source: Source | bytes | bytearray | memoryview | str,
        size: int | None = None,
        blockSize: int | None = None,
        progress: Progress | None = None,
        *,
        translation: Separator = None,
        encoding: str | None = None,
        eofChar: Separator = None,
    ) -> Deferred[int]:
        """
        Copy a source after those before it.

        It begins at once if there is none before it.

        :param source: see :func:`~twisted_transfer.data.copying.copy`, as for all other
            parameters.
        :returns: what ``copy`` returns.  It fails with ``BadOption`` at once, and
            the queue is as it was; with ``QueueAborted`` if a request before it
            has failed; otherwise as ``copy`` does, and then those behind it fail.
        """
        to = self._channel
        try:
            copying = Copying(
                source, to, size, blockSize, progress, translation, encoding, eofChar
            )
        except BadOption:
            return fail()
        if self._cause is not None:
            copying.close()
            return fail(QueueAborted(self._cause))
        done: Deferred[int] = Deferred(lambda _: self._cancelled(copying))
        self._waiting[copying] = done
        self._goOn()
        return done

    def _goOn(self) -> None:
        """
        Begin requests and fire Deferreds until nothing is left to do now.

        A user's code that is called here may call the queue again; that call
        returns at once, and this loop does what it asked for.
        """
        if self._inLoop:
            return
        self._inLoop = True
        try:
            while True:
                if self._over:
                    done, result = self._over.popleft()
                    # The callback of one before it may have cancelled it.
                    if not done.called:
                        done.callback(result)
                elif self._running is None and self._waiting:
                    self._running, done = self._waiting.popitem(last=False)
                    self._tellStatus()
                    self._running.begin().addBoth(self._ended, self._running, done)
                elif not self._tellStatus():
                    break
        finally:
            self._inLoop = False

    def _ended(
        self, result: int | Failure, copying: Copying, done: Deferred[int]
    ) -> None:
        self._running = None
        self._over.append((done, result))
        if isinstance(result, Failure):
            error = result.value
            assert error is not None
            if not isinstance(error, CancelledError) or copying.count:
                self._cause = error
                for other, done in self._waiting.items():
                    other.close()
                    self._over.append((done, Failure(QueueAborted(error))))
                self._waiting.clear()
        self._goOn()

    def _cancelled(self, copying: Copying) -> None:
        if copying is self._running:
            copying.cancel()
        elif copying in self._waiting:
            del self._waiting[copying]
            copying.close()
            self._goOn()

    def _tellStatus(self) -> bool:
        """
        :returns: whether there was something new to tell.
        """
        status = (self.pending, self.busy)
        if status == self._told:
            return False
        self._told = status
        told = self._onStatusChange
        if told is not None:
            quietly(lambda: told(*status), "onStatusChange of a CopyQueue")
        return True
