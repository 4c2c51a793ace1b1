"""What the connections of one listener have in common."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from logging import Logger
from typing import Any

from hypercorn.asyncio.worker_context import WorkerContext
from hypercorn.config import Config

from gateway.listener.answers import AnswerHeads
from gateway.listener.head import KnownHeads
from gateway.listener.limits import Limits, Refusals

App = Callable[[Any, Any, Any], Awaitable[None]]  # ASGI


@dataclass(kw_only=True)
class Shared:
    """What the connections of one listener have in common."""

    app: App
    limits: Limits
    refusals: Refusals
    log: Logger
    config: Config = field(default_factory=Config)
    context: WorkerContext = field(default_factory=lambda: WorkerContext(None))
    answers: AnswerHeads = field(default_factory=AnswerHeads)
    known: KnownHeads = field(default_factory=KnownHeads)
    in_flight: int = 0

    def __post_init__(self) -> None:
        self.config.errorlog = self.log
        self.config.accesslog = None  # hypercorn's copies the whole environment for every request
        self.config.include_server_header = False
        self.config.h11_max_incomplete_size = self.limits.header_bytes
