"""What is said to requests that are no push, and who they came from: an installer looks for them."""

import re
from collections import deque
from collections.abc import Callable

from gateway import clock
from gateway.guard import Request, Response
from gateway.redact import redact_path

_GET_TEXT = (
    "This is the device port of the gateway {gateway}. It is alive.\n"
    "Devices send their pushes here with POST; type http://{host}{path} into the device's upload URL.\n"
)
ALIVE_PATH = "/gateway-alive"  # the daemon asks itself whether its port answers
_VISITORS = 50


class Visits:
    """Remembers the last visitors; ``watchers`` are shown each of them."""

    def __init__(self) -> None:
        self.last: deque[dict[str, str]] = deque(maxlen=_VISITORS)
        self.watchers: list[Callable[[Request], None]] = []

    def show(self, request: Request, tokens: frozenset[str]) -> None:
        """Let the installer see who came without a push; ``tokens`` stay out of the path."""
        for show in self.watchers:
            show(request)
        self.last.append(
            {
                "time": clock.now().isoformat(timespec="seconds"),
                "address": request.address,
                "method": request.method[:16],
                "path": redact_path(request.path[:256], tokens),
            }
        )


def utc_time() -> Response:
    """Tell the time as Brickstream counters set their clock by it: 14 digits, MMddyyyyHHmmss, UTC (protocols)."""
    if not clock.plausible():  # better the device's own clock than a guess of ours
        return Response(503, b"The gateway does not know the time yet.\n", "text/plain")
    return Response(200, clock.now().strftime("%m%d%Y%H%M%S").encode(), "text/html")


def answer(request: Request, gateway_id: str) -> Response:
    """Answer what is no push; never 200, which a face terminal takes for a door server."""
    if request.method in {"GET", "HEAD"}:
        host = request.headers.get("host", "")
        text = _GET_TEXT.format(gateway=gateway_id, host=_plain(host), path=_plain(request.path))
        return Response(404, text.encode(), "text/plain; charset=utf-8")
    return Response(405, b"Send pushes with POST.\n", "text/plain", {"allow": "POST, PUT"})


def _plain(text: str) -> str:
    """Show a stranger's text without letting it act."""
    shown = "".join(char if char.isprintable() and char not in "<>&\"'" else "?" for char in text[:200])
    # A terminal that reads this must not find the word that opens its door.
    return re.sub("pass", "????", shown, flags=re.IGNORECASE)
