"""Reach the broker in a thread of its own, and leave the thread alone when nobody waits any more.

A name lookup cannot be interrupted. The thread is a daemon, so that it never holds up the end of the
process; it touches nothing but its own socket; and it reports by `call_soon_threadsafe` only, the one way
that wakes an idle loop.
"""

import asyncio
import contextlib
import socket
import ssl
import threading

Outcome = socket.socket | Exception


async def dial(host: str, port: int, tls: ssl.SSLContext | None, timeout_s: float) -> socket.socket:
    """Give a connected socket, with TLS established. A socket that comes after a cancellation is closed."""
    loop = asyncio.get_running_loop()
    reached: asyncio.Future[socket.socket] = loop.create_future()

    def report(outcome: Outcome) -> None:
        if isinstance(outcome, Exception):
            if not reached.done():
                reached.set_exception(outcome)
        elif reached.done():
            outcome.close()
        else:
            reached.set_result(outcome)

    def run() -> None:
        outcome = _reach(host, port, tls, timeout_s)
        try:
            loop.call_soon_threadsafe(report, outcome)
        except RuntimeError:  # the loop is closed: nobody waits, and nobody will
            if isinstance(outcome, socket.socket):
                outcome.close()

    threading.Thread(target=run, name="mqtt-dial", daemon=True).start()
    try:
        return await reached
    except asyncio.CancelledError:
        # It may have come in the same moment in which we gave up.
        with contextlib.suppress(asyncio.CancelledError, Exception):
            reached.result().close()
        raise


def _reach(host: str, port: int, tls: ssl.SSLContext | None, timeout_s: float) -> Outcome:
    try:
        sock = socket.create_connection((host, port), timeout_s)
        return tls.wrap_socket(sock, server_hostname=host) if tls else sock
    except Exception as error:  # noqa: BLE001 - raised again on the loop
        return error
