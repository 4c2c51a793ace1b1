"""One stream of lines: ours, the HTTP server's and the MQTT client's, all through the same net.

Only this package configures structlog. Other modules say ``log = structlog.get_logger()`` and
``log.info("noun_verbed", device=..., ...)``; libraries log through the standard library and end up here too.
A line never holds a payload.
"""

import io
import logging
import os
import sys
from collections.abc import Mapping
from typing import Any, TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from gateway.logs.cleaning import cleaned
from gateway.logs.repeats import RepeatFilter

__all__ = ["setup"]

_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
_PRIORITIES = {
    "critical": 2,
    "error": 3,
    "warning": 4,
    "info": 6,
    "debug": 7,
}  # syslog's, as journald reads them
# At "debug" these would write every header, at "info" every request.
_TOO_TALKATIVE = ("httpx2", "httpcore2", "httpx", "httpcore", "hypercorn.access", "asyncio")


def setup(fmt: str = "auto", level: str = "info") -> None:
    """Send all lines to standard output in this format; calling it again changes format and level."""
    stream = sys.stdout
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors="backslashreplace")  # a locale without umlauts must not lose a line
    if fmt == "auto":
        fmt = "journal" if _is_journal(stream) else "console"
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = _Handler(stream)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(processors=_pipeline(fmt, stream)))
    handler.addFilter(RepeatFilter())
    root = logging.getLogger()
    for old in [one for one in root.handlers if isinstance(one, _Handler)]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(_LEVELS[level])
    for name in _TOO_TALKATIVE:
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.captureWarnings(capture=True)


class _Handler(logging.StreamHandler[TextIO]):
    """Our handler, so that a second `setup` finds and replaces it."""


def _pipeline(fmt: str, stream: TextIO) -> list[Processor]:
    first: list[Processor] = [
        structlog.stdlib.add_log_level,
        _with_origin,
        structlog.stdlib.ProcessorFormatter.remove_processors_meta,
        structlog.processors.format_exc_info,  # plain text: its rich forms write local variables, secrets included
        _clean,
    ]
    if fmt == "journal":
        return [*first, _for_journal]
    if fmt == "json":
        stamp = structlog.processors.TimeStamper(fmt="iso", utc=True)
        return [*first, stamp, structlog.processors.JSONRenderer(ensure_ascii=False)]
    stamp = structlog.processors.TimeStamper(fmt="%H:%M:%S", utc=False)
    return [*first, stamp, structlog.dev.ConsoleRenderer(colors=stream.isatty(), pad_event_to=24)]


def _with_origin(_logger: WrappedLogger, _method: str, fields: EventDict) -> EventDict:
    """Add what the record knows: who logged it, when it was a library, and how many lines were left out."""
    record = fields["_record"]
    if not fields["_from_structlog"]:
        fields["logger"] = record.name
    suppressed = getattr(record, "suppressed", 0)
    if suppressed:
        fields["suppressed"] = suppressed
    return fields


def _clean(_logger: WrappedLogger, _method: str, fields: EventDict) -> Mapping[str, Any]:
    return cleaned(fields)


_logfmt = structlog.processors.LogfmtRenderer(key_order=["event"], drop_missing=True, bool_as_flag=False)


def _for_journal(logger: WrappedLogger, method: str, fields: EventDict) -> str:
    """Write logfmt behind a priority; the journal itself knows the time and the unit."""
    level = str(fields.pop("level", "info"))
    return f"<{_PRIORITIES.get(level, 6)}>{_logfmt(logger, method, fields)}"


def _is_journal(stream: TextIO) -> bool:
    """Say whether the stream is the one that systemd connected to the journal, and not a pipe behind it."""
    device, _, inode = os.environ.get("JOURNAL_STREAM", "").partition(":")
    try:
        state = os.fstat(stream.fileno())
    except (OSError, ValueError):  # replaced by something without a descriptor
        return False
    return (device, inode) == (str(state.st_dev), str(state.st_ino))
