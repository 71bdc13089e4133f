"""A TCP proxy on loopback whose network can be made bad: slow, narrow, silent, or broken off."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

CHUNK = 64 * 1024
RESET = struct.pack("ii", 1, 0)
"""SO_LINGER that makes a close a reset."""

Sleep = Callable[[float], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class Weather:
    """What the network does to the bytes of either direction.

    Attributes:
        latency: seconds that every chunk waits.
        bandwidth: bytes a second of one direction of a connection; None is no limit.
        stalled: nothing passes, nothing is lost.
        half_open: connections are accepted and never answered.
    """

    latency: float = 0.0
    bandwidth: float | None = None
    stalled: bool = False
    half_open: bool = False


FAIR = Weather()


class Proxy:
    """Listens on ``port`` and passes everything to ``target``, both on 127.0.0.1; lives in a thread of its own."""

    def __init__(self, port: int, target: int, sleep: Sleep = asyncio.sleep) -> None:
        self.port = port
        self.target = target
        self._sleep = sleep
        self._weather = FAIR
        self._clear = asyncio.Event()
        self._open: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=f"proxy-{port}", daemon=True)
        self._server: asyncio.Server | None = None

    def start(self) -> None:
        """Begin to listen."""
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result()

    def close(self) -> None:
        """Break everything off and end."""
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def set(self, weather: Weather) -> None:
        """Change the weather, of open connections too."""
        self._call(lambda: self._change(weather))

    def reset(self) -> None:
        """Break off every open connection."""
        self._call(self._break_off)

    @property
    def connections(self) -> int:
        """Ends that are open: two for each connection that passes through."""
        return len(self._open)

    def _call(self, function: Callable[[], None]) -> None:
        async def called() -> None:
            function()

        asyncio.run_coroutine_threadsafe(called(), self._loop).result()

    async def _listen(self) -> None:
        self._change(FAIR)
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)

    async def _end(self) -> None:
        if self._server is not None:
            self._server.close()
        self._break_off()
        here = asyncio.current_task()
        others = [task for task in asyncio.all_tasks() if task is not here]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    def _change(self, weather: Weather) -> None:
        self._weather = weather
        if weather.stalled or weather.half_open:
            self._clear.clear()
        else:
            self._clear.set()

    def _break_off(self) -> None:
        for writer in self._open:
            connection: socket.socket = writer.get_extra_info("socket")
            with contextlib.suppress(OSError):
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            writer.transport.abort()
        self._open.clear()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        try:
            await self._clear.wait()
            there, out = await asyncio.open_connection("127.0.0.1", self.target)
            self._open.add(out)
            await asyncio.gather(self._pump(reader, out), self._pump(there, writer))
        except OSError:
            writer.transport.abort()
        finally:
            self._open.discard(writer)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One direction, until either end is gone."""
        try:
            while chunk := await reader.read(CHUNK):
                await self._delay(len(chunk))
                writer.write(chunk)
                await writer.drain()
        except OSError:
            writer.transport.abort()
        finally:
            self._open.discard(writer)
            writer.close()

    async def _delay(self, size: int) -> None:
        await self._clear.wait()
        weather = self._weather
        if weather.latency:
            await self._sleep(weather.latency)
        if weather.bandwidth:
            await self._sleep(size / weather.bandwidth)
        await self._clear.wait()
