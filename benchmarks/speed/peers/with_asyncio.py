"""
Python's ``asyncio``: its ``sendfile()`` and a protocol that has the buffer.
"""

from __future__ import annotations

import asyncio
import os
import ssl

from benchmarks.speed.peers.blocking_tls import context
from benchmarks.speed.peers.common import HOST, Meter, Task, task

_BLOCK = 1 << 18


class Sink(asyncio.BufferedProtocol):
    """Stores what comes."""

    def __init__(self, task: Task) -> None:
        self._task = task
        self._view = memoryview(bytearray(_BLOCK))
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Open the file."""
        self._meter = Meter()
        self._fd = self._task.open()

    def get_buffer(self, sizehint: int) -> memoryview:
        """:returns: where the next bytes go; over TLS only a view can be cut."""
        return self._view

    def buffer_updated(self, nbytes: int) -> None:
        """Store so many bytes."""
        start = 0
        while start < nbytes:
            start += os.write(self._fd, self._view[start:nbytes])

    def connection_lost(self, exc: Exception | None) -> None:
        """Close the file."""
        os.close(self._fd)
        self._meter.stop()
        if exc is None:
            self.ended.set_result(None)
        else:
            self.ended.set_exception(exc)


async def receive(task: Task, tls: ssl.SSLContext | None) -> None:
    """Take one connection."""
    loop = asyncio.get_running_loop()
    sink = Sink(task)
    if task.transport == "unix":
        server: asyncio.Server = await loop.create_unix_server(
            lambda: sink, task.address
        )
    else:
        server = await loop.create_server(
            lambda: sink, HOST, int(task.address), ssl=tls
        )
    await sink.ended
    server.close()


async def send(task: Task, tls: ssl.SSLContext | None) -> None:
    """Dial, and send."""
    if task.transport == "unix":
        _, writer = await asyncio.open_unix_connection(task.address)
    else:
        _, writer = await asyncio.open_connection(
            HOST,
            int(task.address),
            ssl=tls,
            server_hostname="localhost" if tls else None,
        )
    meter = Meter()
    with open(task.open(), "rb", buffering=0) as file:
        if task.path != "-" and tls is None:
            await asyncio.get_running_loop().sendfile(writer.transport, file)
        else:
            # Over TLS the bytes of a block would be copied with each record.
            while block := memoryview(file.read(_BLOCK)):
                writer.write(block)
                await writer.drain()
    writer.close()
    await writer.wait_closed()
    meter.stop()


async def relay(task: Task) -> None:
    """Join two connections, both ways."""
    inner, outer = map(int, task.address.split(":"))
    ended = asyncio.get_running_loop().create_future()

    async def forward(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        while block := await reader.read(_BLOCK):
            writer.write(block)
            await writer.drain()
        writer.write_eof()

    async def join(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far, out = await asyncio.open_connection(HOST, outer)
        await asyncio.gather(forward(reader, out), forward(far, writer))
        for each in (writer, out):
            each.close()
        ended.set_result(None)

    server = await asyncio.start_server(join, HOST, inner)
    await ended
    server.close()


async def main(task: Task) -> None:
    """Do what was asked for."""
    if task.role == "relay":
        return await relay(task)
    tls = context(task) if task.transport == "mtls" else None
    await {"send": send, "receive": receive}[task.role](task, tls)


if __name__ == "__main__":
    asyncio.run(main(task()))
