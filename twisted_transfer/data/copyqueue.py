"""
One copy after the other into one channel.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from twisted.internet.defer import CancelledError, Deferred, fail
from twisted.logger import Logger
from twisted.python.failure import Failure

from twisted_transfer.channel.channel import Separator, TransferChannel
from twisted_transfer.data.copying import Copying
from twisted_transfer.data.progress import Progress
from twisted_transfer.errors import BadOption, QueueAborted
from twisted_transfer.interfaces import ISource


class _Request:
    """
    One copy that was asked for.

    :ivar done: what the user waits for.
    :ivar copying: the copy.
    """

    def __init__(self, copying: Copying, onCancel: Callable[[_Request], None]) -> None:
        self.done: Deferred[int] = Deferred(lambda _: onCancel(self))
        self.copying = copying


class CopyQueue:
    """
    Carries out requests to copy, strictly in the order in which they came.

    **After a failure** nobody knows what the partner makes of what follows.  So
    every request behind one that has failed fails with ``QueueAborted``, in
    order, and so does every later one; nothing of them is written.  That stays
    so.  The channel stays open: make a new queue for it if you know that the
    partner can go on, or abort it.

    **Cancelling** a request that has not begun takes it out, and nothing else
    happens.  So does cancelling the running one as long as nothing of it was
    written.  After that it cannot be taken back: what is written stays, the rest
    is missing, and that is a failure as any other.

    The sources are the queue's: those whose request is refused by
    ``QueueAborted``, fails or is cancelled are closed.
    """

    _log = Logger()

    def __init__(
        self,
        channel: TransferChannel,
        onStatusChange: Callable[[int, bool], object] | None = None,
    ) -> None:
        """
        :param channel: is written to by nobody else while the queue is busy.
        :param onStatusChange: called with :attr:`pending` and :attr:`busy`
            whenever one of them has changed.  An error in it is logged.
        """
        self._channel = channel
        self._onStatusChange = onStatusChange
        # Those behind the running one; taking out any of them is quick.
        self._waiting: OrderedDict[_Request, None] = OrderedDict()
        self._running: _Request | None = None
        self._cause: BaseException | None = None
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
        source: ISource | bytes | bytearray | memoryview | str,
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
        try:
            copying = Copying(
                source,
                self._channel,
                size,
                blockSize,
                progress,
                translation=translation,
                encoding=encoding,
                eofChar=eofChar,
            )
        except BadOption:
            return fail()
        if self._cause is not None:
            copying.source.close()
            return fail(QueueAborted(self._cause))
        request = _Request(copying, self._cancelled)
        self._waiting[request] = None
        self._goOn()
        return request.done

    def _goOn(self) -> None:
        """
        Do what can be done now: one after the other, and not one in the other,
        whatever those who are told do.
        """
        if self._inLoop:
            return
        self._inLoop = True
        try:
            while True:
                if self._running is None and self._waiting:
                    self._begin(self._waiting.popitem(last=False)[0])
                elif not self._tellStatus():
                    break
        finally:
            self._inLoop = False

    def _begin(self, request: _Request) -> None:
        self._running = request
        self._tellStatus()
        request.copying.begin().addCallbacks(
            self._succeeded,
            self._failed,
            callbackArgs=(request,),
            errbackArgs=(request,),
        )

    @contextmanager
    def _telling(self) -> Iterator[None]:
        """What those who are told ask for is done after all were told."""
        before, self._inLoop = self._inLoop, True
        yield
        self._inLoop = before
        self._goOn()

    def _succeeded(self, count: int, request: _Request) -> None:
        self._running = None
        with self._telling():
            if not request.done.called:
                request.done.callback(count)

    def _failed(self, failure: Failure, request: _Request) -> None:
        self._running = None
        request.copying.source.close()
        error = failure.value
        assert error is not None
        behind: list[_Request] = []
        if not isinstance(error, CancelledError) or request.copying.count:
            self._cause = error
            behind = list(self._waiting)
            self._waiting.clear()
        with self._telling():
            if not request.done.called:
                request.done.errback(failure)
            for other in behind:
                other.copying.source.close()
                if not other.done.called:  # by the callback of one before it
                    other.done.errback(QueueAborted(error))

    def _cancelled(self, request: _Request) -> None:
        if request is self._running:
            request.copying.cancel()
        elif request in self._waiting:
            del self._waiting[request]
            request.copying.source.close()
            self._goOn()

    def _tellStatus(self) -> bool:
        """
        :returns: whether there was something new to tell.
        """
        status = (self.pending, self.busy)
        if status == self._told:
            return False
        self._told = status
        if self._onStatusChange is not None:
            try:
                self._onStatusChange(*status)
            except Exception:
                self._log.failure("onStatusChange of a CopyQueue has failed")
        return True
