"""What the owner decided about keeping."""

from dataclasses import dataclass, field
from pathlib import Path

from gateway.outbox.entry import Drafting
from gateway.outbox.letters import Bounds
from gateway.outbox.strangers import Rules
from gateway.outbox.zoning import Zoning


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the owner decided about keeping."""

    directory: Path
    drafting: Drafting
    zoning: Zoning = field(default_factory=Zoning)
    keep_days: float = 30
    max_bytes: int = 2 * 1024**3
    min_free_bytes: int = 200 * 1024**2
    ballast_bytes: int = 0  # what is taken up beside the store, to be given back on a full disk
    when_full: str = "refuse"
    commit_queue: int = 2_000
    letters: Bounds = field(default_factory=Bounds)
    admission: Rules = field(default_factory=Rules)
