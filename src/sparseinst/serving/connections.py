"""Connections to the service, bounded in number and in how long they may say nothing."""

import asyncio
from typing import Any, NamedTuple

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

MOST_HEADER_BYTES = 2**15
"""Of a request's line and headers together."""


class ConnectionLimits(NamedTuple):
    """What a connection may cost.

    Args:
        connections: open at once, streams included; more are closed before they have said anything.
        header_s: longest time from the connection, or the end of the answer before, until a request's headers are
            complete, in seconds.
        unread_s: longest time for which a client takes nothing of its answer, in seconds.
    """

    connections: int
    header_s: float
    unread_s: float


class BoundedProtocol(H11Protocol):
    """HTTP/1.1 of which slow or silent clients cannot hold a connection.

    Args:
        limits: how many connections, and how long each may be silent or slow.
    """

    def __init__(self, *args: Any, limits: ConnectionLimits, **options: Any) -> None:
        super().__init__(*args, **options)
        self._limits = limits
        self._header_timer: asyncio.TimerHandle | None = None
        self._unread_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client has come."""
        super().connection_made(transport)
        if len(self.connections) > self._limits.connections:
            transport.abort()
        else:
            self._expect_headers()

    def connection_lost(self, exc: Exception | None) -> None:
        """It has gone."""
        for timer in (self._header_timer, self._unread_timer):
            if timer is not None:
                timer.cancel()
        super().connection_lost(exc)

    def on_response_complete(self) -> None:
        """An answer has been sent; another request may follow."""
        super().on_response_complete()
        if not self.transport.is_closing():
            self._expect_headers()

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        """The connection becomes a stream, which has pings of its own."""
        if self._header_timer is not None:
            self._header_timer.cancel()
        super().handle_websocket_upgrade(event)

    def send_400_response(self, msg: str) -> None:
        """What comes is no HTTP: the connection ends, and whatever was going to answer the request finds nobody."""
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            super().send_400_response(msg)
        else:  # in the middle of an answer
            self.transport.close()
        if self.cycle is not None:
            self.cycle.disconnected = True
            self.cycle.message_event.set()

    def pause_writing(self) -> None:
        """The client does not take what is sent."""
        super().pause_writing()
        self._unread_timer = self.loop.call_later(self._limits.unread_s, self.transport.abort)

    def resume_writing(self) -> None:
        """It does again."""
        if self._unread_timer is not None:
            self._unread_timer.cancel()
        super().resume_writing()

    def _expect_headers(self) -> None:
        if self._header_timer is not None:
            self._header_timer.cancel()
        self._header_timer = self.loop.call_later(self._limits.header_s, self._end_without_headers)

    def _end_without_headers(self) -> None:
        if self.conn.their_state is h11.IDLE:  # no request has begun, or not all of its headers are here
            self.transport.abort()
