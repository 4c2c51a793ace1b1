"""The checker of Prometheus, as Debian has it: `make debian` fetches it, and no test goes without."""

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
_FETCHED = ROOT / ".promtool" / "promtool"


def promtool(*words: str, feed: str | None = None, where: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Run it."""
    program = shutil.which("promtool") or (str(_FETCHED) if _FETCHED.exists() else None)
    if program is None:
        pytest.fail("promtool is missing; make .promtool/promtool, which make debian does too")
    return subprocess.run(
        [program, *words], input=feed, capture_output=True, text=True, timeout=500, check=False, cwd=where
    )
