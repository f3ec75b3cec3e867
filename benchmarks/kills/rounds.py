"""
One round: a transfer of which one side is killed, and the next try.
"""

from __future__ import annotations

import re
import shutil
import stat
import time
from contextlib import ExitStack
from hashlib import sha256
from pathlib import Path

from benchmarks.kills.plans import TAIL, Outcome, Plan, Source, other
from benchmarks.kills.processes import Side, TooEarly, TooLong
from benchmarks.kills.relay import Relay, Strike
from twisted_transfer.data.parts import MARK, SUFFIX

HANG = 30.0
"""Seconds after which a process that should have ended hangs."""

OVERHEAD = 16 * 1024
"""Bytes that a sender may send beside the payload and its hundredth: a handshake
of TLS has a few thousand, and the messages have some hundred.  Headers of frames
and TLS records are less than two per thousand."""

_OLD = b"what was there before" * 1000
_DESCRIPTIONS = {
    "plain": "transfer:passive:tcp:port=0:interface=127.0.0.1",
    "mtls": "transfer:passive:mtls:port=0:interface=127.0.0.1",
}


class Try:
    """
    A transfer through a relay.

    :ivar sides: the two processes.
    :ivar relay: the relay between them.
    """

    def __init__(self, stack: ExitStack, source: Path, target: Path) -> None:
        """
        :param stack: ends everything.
        :param source: what is sent.
        :param target: where to.
        """
        self.sides: dict[str, Side] = {}
        self._stack = stack
        self._source, self._target = source, target
        self._dialler = ""
        self._invitation = (0, "")

    def begin(self, side: str, force: bool, description: str) -> Side:
        """Start one side."""
        words = ["send", str(self._source)]
        if side == "receiver":
            words = ["receive", *["--force"][: int(force)], str(self._target)]
        process = self._stack.enter_context(Side(words, description))
        self.sides[side] = process
        return process

    def listen(self, side: str, force: bool, transport: str) -> None:
        """Start the side that listens."""
        waiting = self.begin(side, force, _DESCRIPTIONS[transport])
        self._invitation = waiting.invitation(HANG)
        self._dialler = other(side)

    def dial(self, force: bool, strike: Strike | None = None) -> None:
        """Start the side that dials, through a relay."""
        port, description = self._invitation
        self.relay = Relay(port, strike)
        self._stack.callback(self.relay.close)
        there = re.sub(r":port=\d+", f":port={self.relay.port}", description)
        self.begin(self._dialler, force, there)

    def passed(self, side: str) -> int:
        """:returns: how many bytes of that side were forwarded."""
        return self.relay.passed(side == self._dialler)


class Round:
    """One round in a folder of its own."""

    def __init__(self, source: Source, folder: Path, plan: Plan) -> None:
        """
        :param source: what is sent.
        :param folder: is made, and removed.
        :param plan: what is to happen.
        """
        self._source = source
        self._folder = folder
        self._plan = plan
        self._target = folder / "target"
        self._part = folder / f"target{SUFFIX}"
        self._out = Outcome()
        self._killed = False
        self._struck = 0.0

    def run(self) -> Outcome:
        """:returns: the outcome."""
        self._folder.mkdir()
        try:
            if self._plan.force:
                self._target.write_bytes(_OLD)
            with ExitStack() as stack:
                self._run(stack)
        except TooLong as error:
            self._out.hung = True
            self._out.wrong.append(f"a hang: {error}")
        except TooEarly as error:
            self._out.wrong.append(f"it does not listen: {error}")
        finally:
            shutil.rmtree(self._folder)
        return self._out

    def _demand(self, condition: bool, otherwise: str) -> None:
        if not condition:
            self._out.wrong.append(otherwise)

    def state(self) -> str:
        """:returns: the state of the target: absent, old, new, or torn."""
        if not self._target.exists():
            state = "torn" if self._plan.force else "absent"
        elif self._target.stat().st_size == len(_OLD):
            state = "old" if self._target.read_bytes() == _OLD else "torn"
        else:
            digest = sha256(self._target.read_bytes()).digest()
            state = "new" if digest == self._source.digest else "torn"
        if state == "torn":
            self._out.torn = True
            self._out.wrong.append("a torn target")
        return state

    def _run(self, stack: ExitStack) -> None:
        plan, out = self._plan, self._out
        first = Try(stack, self._source.path, self._target)

        def blow() -> None:
            if plan.second and TAIL < plan.at < self._source.size // 2:
                self._bringSecond(stack)
            self._killed = first.sides[plan.victim].kill()
            self._struck = time.monotonic()
            self.state()

        first.listen(other(plan.dialler), plan.force, plan.transport)
        byDialler = plan.counted == plan.dialler
        loses = plan.victim == plan.dialler if plan.lost else None
        first.dial(plan.force, Strike(byDialler, plan.at, blow, loses))
        survivor = first.sides[other(plan.victim)]
        if not first.relay.wait(HANG):
            raise TooLong("the connection does not end")
        out.passed = first.passed("sender")
        if not self._killed:
            out.late = True
            for name, side in first.sides.items():
                self._demand(side.end(HANG) == 0, f"{name}, not killed: {side.said}")
            self._demand(self.state() == "new", "nothing stored")
            return
        waits = plan.victim == plan.dialler and not survivor.hasSaid("connected to ")
        out.waited = waits and survivor.running
        if not out.waited:
            status = survivor.end(HANG)
            out.survivor = time.monotonic() - self._struck
            self._judge(survivor, status)
        self._lookAtPart()
        if plan.victim == "sender" and not out.stored:
            # The receiver was there to store everything that came through.
            least = out.passed - out.passed // 100 - 2 * OVERHEAD
            self._demand(
                out.kept >= least, f"of {out.passed} bytes {out.kept} are kept"
            )
        if out.stored and not plan.force:
            self._refused(stack)
        elif out.waited:
            first.dial(plan.force)
            self._finish(first)
        else:
            second = Try(stack, self._source.path, self._target)
            second.listen(other(plan.nextDialler), plan.force, plan.transport)
            second.dial(plan.force)
            self._finish(second)

    def _judge(self, survivor: Side, status: int) -> None:
        """Check how the survivor has ended."""
        plan, out = self._plan, self._out
        out.stored = self.state() == "new"
        said = f"the {other(plan.victim)} ends with {status}: {survivor.said}"
        connected = "connected to " in survivor.said
        self._demand(status in (0, 5) or (status in (3, 4) and not connected), said)
        self._demand("Traceback" not in survivor.said, said)
        if status == 0:
            self._demand(out.stored, f"success without the data; {said}")
        else:
            self._demand("twisted-transfer: " in survivor.said, f"no words; {said}")
            untold = plan.victim == "receiver"
            self._demand(not out.stored or untold, f"it is stored, but {said}")
            out.untold = out.stored and untold

    def _bringSecond(self, stack: ExitStack) -> None:
        """Check that another process cannot receive into the target."""
        self._out.second = True
        status, said = self._alone(stack)
        words = "another transfer is receiving"
        self._demand(status == 6 and words in said, f"a second receiver: {said}")

    def _alone(self, stack: ExitStack) -> tuple[int, str]:
        """:returns: how a receiver ends that should not wait for a sender."""
        again = Try(stack, self._source.path, self._target)
        # It ends by itself if it should wait for a sender after all.
        description = f"{_DESCRIPTIONS[self._plan.transport]}:within=5"
        receiver = again.begin("receiver", self._plan.force, description)
        status = receiver.end(HANG)
        return status, f"{status}, {receiver.said}"

    def _lookAtPart(self) -> None:
        """Check that the part is the beginning of the file, and private."""
        if not self._part.exists():
            return
        part = self._part.read_bytes()
        mode = stat.S_IMODE(self._part.stat().st_mode)
        # It gets the mode of the target when all of it is there.
        whole = len(part) == self._source.size
        self._demand(mode == MARK or whole, f"the part has mode {mode:o}")
        with self._source.path.open("rb") as source:
            self._demand(part == source.read(len(part)), "the part has other bytes")
        self._out.kept = len(part)
        if part and self._plan.spoil:
            self._out.spoiled = True
            with self._part.open("r+b") as file:
                file.seek(len(part) // 2)
                file.write(bytes([part[len(part) // 2] ^ 1]))

    def _refused(self, stack: ExitStack) -> None:
        """Check that a stored file is not received again."""
        status, said = self._alone(stack)
        refused = status == 6 and "exists" in said
        self._demand(refused, f"what is there is received again: {said}")
        self._demand(self.state() == "new", "what was there is not there any more")

    def _finish(self, last: Try) -> None:
        """Check that the next try succeeds, and sends only what is missing."""
        out = self._out
        for name, side in last.sides.items():
            status = side.end(HANG)
            said = f"next try: the {name} ends with {status}: {side.said}"
            self._demand(status == 0, said)
        self._demand(self.state() == "new", "next try: the target is not the file")
        left = [path.name for path in self._folder.iterdir()]
        self._demand(left == ["target"], f"next try: it leaves {left}")
        out.again = last.passed("sender")
        # A part that was changed is no use.
        missing = self._source.size - (0 if out.spoiled else out.kept)
        most = missing + missing // 100 + OVERHEAD
        self._demand(out.again >= missing, "next try: there were less bytes than that")
        self._demand(
            out.again <= most,
            f"next try: {out.again} bytes, and {missing} were missing",
        )
