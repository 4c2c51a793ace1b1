"""Every error of the gateway; the class says what happens next, its docstring is the default message."""

from collections.abc import Mapping

DISK_ADVICE = "Check the disk: `df -h`, `dmesg`. A memory card that turned read-only is worn out: replace it."


class GatewayError(Exception):
    """The gateway cannot do this."""

    def __init__(self, message: str = "") -> None:
        super().__init__(message or (type(self).__doc__ or "").strip())


class Unreadable(GatewayError):
    """The body cannot be read: it becomes a letter and the device is told that it was accepted."""


class Rejected(GatewayError):
    """The far end will never take this event: it becomes a letter and the rest goes on."""


class SinkUnavailable(GatewayError):
    """The far end cannot take events now: the same batch is tried again later.

    ``delivered`` events at the head of the batch were taken before the fault and are not sent again.
    ``retry_after_s`` is the far end's own wish, when it said one.
    ``fault`` is the stable code that a person sees (`faults`), when there is something to be done.
    ``stop`` means that the far end asked never to be called again until a person intervenes.
    ``refused`` are refusals at the head of the batch, index and reason, that are doubted because nothing was
    taken: they hold when the far end takes something else right away.
    """

    def __init__(
        self,
        message: str = "",
        *,
        delivered: int = 0,
        retry_after_s: float | None = None,
        fault: str = "sink_unavailable",
        stop: bool = False,
        refused: Mapping[int, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.refused = dict(refused or {})
        self.delivered = delivered
        self.retry_after_s = retry_after_s
        self.fault = fault
        self.stop = stop


class PollUnavailable(GatewayError):
    """The polled system cannot answer now: it is asked again later.

    ``retry_after_s`` is its own wish, when it said one. ``fault`` is the stable code that a person sees.
    """

    def __init__(
        self, message: str = "", *, retry_after_s: float | None = None, fault: str = "poll_failed"
    ) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s
        self.fault = fault


class StoreUnavailable(GatewayError):
    """The store cannot commit now: the device must be told to keep what it sent."""


class StoreFull(StoreUnavailable):
    """The store is full of events that no sink has had yet: the device must keep what it sent."""


class Unadopted(StoreUnavailable):
    """Nobody has adopted the device, and no more can be held of it: the device must keep what it sent."""


class ConfigError(GatewayError):
    """The configuration cannot be used; the message lists every mistake with file, line and key."""
