"""When to try again and how fast to catch up, as plain arithmetic: clock and chance are handed in.

Attempts count from 1. What has to survive a restart (the number of attempts, the time of the next one) is
kept by the caller.
"""

import math
import random
from dataclasses import dataclass

_MAX_DOUBLINGS = 60  # far above every cap; a float would overflow at 1024
_SPREAD = 0.1
_QUANTUM_S = 0.05


@dataclass(frozen=True, slots=True)
class Backoff:
    """Exponential backoff with full jitter: many gateways that lost one upstream do not return together."""

    base_s: float = 1.0
    cap_s: float = 300.0

    def ceiling_s(self, attempt: int) -> float:
        """Give the longest wait after so many failures."""
        doublings = min(max(attempt, 1) - 1, _MAX_DOUBLINGS)
        return min(self.cap_s, self.base_s * 2.0**doublings)

    def delay(
        self,
        attempt: int,
        rng: random.Random,
        *,
        retry_after_s: float | None = None,
        retry_after_cap_s: float = 3600.0,
    ) -> float:
        """Give the seconds to wait after failure number ``attempt``.

        What the far end asks for wins over our own figure, up to a cap of its own: never sooner than asked,
        and up to a tenth later, because it asked others too. Zero, or nonsense, asks for nothing.
        """
        if retry_after_s is not None and math.isfinite(retry_after_s) and retry_after_s > 0:
            asked = min(retry_after_s, retry_after_cap_s)
            return asked + rng.uniform(0, asked * _SPREAD)
        return rng.uniform(0, self.ceiling_s(attempt))


class Pacer:
    """A token bucket: says how many of the waiting events may go now, so that a backlog does not flood."""

    def __init__(self, rate_per_s: float, *, burst_s: float = 1.0) -> None:
        """``burst_s`` is how much unused time may be made up for; a rate of 0 means no limit."""
        self._rate = rate_per_s
        self._full = max(1.0, rate_per_s * burst_s)
        self._tokens = self._full
        self._filled_at: float | None = None

    def take(self, wanted: int, now: float) -> tuple[int, float]:
        """Take up to ``wanted``; give how many may go, and if none, the seconds until some may.

        ``now`` is monotonic. Small remains are left to grow, so that a batch is worth its round trip.
        """
        if self._rate <= 0 or wanted <= 0:
            return max(wanted, 0), 0.0
        passed = max(now - self._filled_at, 0.0) if self._filled_at is not None else 0.0
        self._filled_at = now
        self._tokens = min(self._full, self._tokens + passed * self._rate)
        worthwhile = max(1.0, min(wanted, self._rate * _QUANTUM_S))
        if self._tokens + 1e-9 < worthwhile:
            return 0, (worthwhile - self._tokens) / self._rate
        allowed = min(wanted, int(self._tokens + 1e-9))
        self._tokens = max(self._tokens - allowed, 0.0)
        return allowed, 0.0
