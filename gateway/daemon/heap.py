"""Give memory back to the system that bodies have left in pieces.

What a body needs while it is read is freed right after it; but the C library keeps what lies between two pieces that
are still in use, and hostile bodies of all sizes make more of such holes with every minute. glibc gives whole pages of
them back when it is asked to (`malloc_trim`), and leaves none for what it maps by itself (`mallopt`: by default it maps
less and less by itself, the bigger the pieces that it has seen). Another C library has no such calls, and nothing is done.
"""

import ctypes
from typing import Any

import anyio
import structlog
from anyio import to_thread

from gateway.monitoring.process import resident

log = structlog.get_logger()

_ROUND_S = 10.0
_M_MMAP_THRESHOLD = -3  # malloc.h of glibc
# Bytes; a piece of this size is mapped by itself, and goes back as soon as it is freed. What is read from a socket begins
# with 256 KB: to map that for each of them would cost a request 30 µs.
_MAPPED = 512 * 1024
_GROWN = 2 * 2**20  # bytes; to give back costs a thread some milliseconds: not for less


async def watch_heap() -> None:
    """Have holes given back whenever the memory has grown, for ever."""
    library: Any = ctypes.CDLL(None)
    if not hasattr(library, "malloc_trim"):
        return
    library.mallopt(_M_MMAP_THRESHOLD, _MAPPED)
    least = resident()
    while True:
        await anyio.sleep(_ROUND_S)
        has = resident()
        if has - least >= _GROWN:
            await to_thread.run_sync(library.malloc_trim, 0)
            least = resident()  # what is left is in use: to ask again for it would give nothing
            log.debug("heap_trimmed", before=has, after=least)
        least = min(least, has)
