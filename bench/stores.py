"""Stores with events waiting, filled once a run and used by several sections.

A sink that such a store has never seen is owed everything in it: a new name for the sink is a new backlog.
"""

import subprocess
import sys
import time
from pathlib import Path

from plan import Plan, say

_HERE = Path(__file__).parent


def filled(plan: Plan, events: int) -> Path:
    """Give a store with so many events in it, or the place of one with none."""
    if not events:
        return plan.fresh("empty") / "store"
    store = plan.directory / f"filled-{events}"
    if not store.exists():
        say(f"  filling a store with {events:,} events")
        began = time.monotonic()
        subprocess.run([sys.executable, str(_HERE / "fill.py"), str(store), str(events)], check=True)
        say(f"  {events / (time.monotonic() - began):,.0f} events/s")
    return store
