"""`make audit` never passes for clean what nobody could look up."""

import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def audit():
    spec = importlib.util.spec_from_file_location("audit", ROOT / "packaging" / "audit.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


CLEAN = {"name": "anyio", "version": "4.16.0", "vulns": []}
UNKNOWN = {"name": "click", "skip_reason": "not found"}
HOLE = {"name": "h11", "version": "0.14.0", "vulns": [{"id": "PYSEC-0000-1", "fix_versions": ["0.16.0"]}]}


@pytest.mark.parametrize(
    ("packages", "status"),
    [([CLEAN], 0), ([CLEAN, UNKNOWN], 2), ([UNKNOWN], 2), ([], 2), ([HOLE], 1), ([HOLE, UNKNOWN], 1)],
)
def test_only_a_whole_look_up_without_a_hole_is_clean(audit, packages, status, capsys):
    """One package that could not be looked up makes the result unknown; one hole makes it bad."""
    assert status == audit.verdict("requirements.lock", packages)
    assert f"{len(packages)} packages" in capsys.readouterr().out


def test_every_lock_pins_by_hash_and_names_no_index():
    """Each line of each lock file is a version with a hash, and no address of any index is in it."""
    locks = sorted(ROOT.glob("requirements*.lock"))
    assert {
        "requirements.lock",
        "requirements-dev.lock",
        "requirements-fuzz.lock",
        "requirements-audit.lock",
    } <= {lock.name for lock in locks}
    for lock in locks:
        text = lock.read_text("utf-8")
        assert "://" not in text
        assert "--index-url" not in text
        wanted = [
            entry for entry in text.replace("\\\n", " ").splitlines() if entry and not entry.startswith("#")
        ]
        assert [] == [entry for entry in wanted if "==" not in entry or "--hash=sha256:" not in entry]
