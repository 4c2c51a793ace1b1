"""Older code on a store of today's, and today's on what it left: one step down and up again loses nothing."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from site_under_test import Site

from gateway.simulate.ledger import Ledger

ROOT = Path(__file__).parents[2]
# The oldest code that has the tables of today (schema 3), whole and tested: before backups, ballast and packages.
_EARLIER = "284d876117"


@pytest.fixture
def earlier(tmp_path):
    """The environment of a process that runs the earlier code."""
    done = subprocess.run(("git", "archive", _EARLIER, "gateway"), capture_output=True, check=False, cwd=ROOT)
    if done.returncode:
        pytest.skip(f"the history is not here, only the files: {done.stderr.decode().strip()}")
    code = tmp_path / "earlier"
    code.mkdir()
    subprocess.run(("tar", "-x", "-C", str(code)), input=done.stdout, check=True)
    env = {"PYTHONPATH": str(code), "PYTHONSAFEPATH": "1"}  # else the folder that we are in goes first
    found = subprocess.run(
        (sys.executable, "-c", "import gateway; print(gateway.__file__)"),
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        check=True,
    )
    assert str(code / "gateway/__init__.py") == found.stdout.strip()
    return env


def test_earlier_code_goes_on_with_a_store_of_today_and_today_with_its(earlier, tmp_path):
    """Each of them starts, keeps events and delivers them, and in the end the accounts of both far ends balance."""
    (tmp_path / "site").mkdir()
    site, ledger = Site(tmp_path / "site"), Ledger()
    today = site.daemon.config.read_text()
    before = today.replace("ballast_bytes = 0", "")  # of the options, it does not know this one
    assert before != today
    try:
        for config, env in ((today, {}), (before, earlier), (today, {})):
            site.daemon.config.write_text(config)
            site.daemon.env = env
            site.daemon.start()
            site.fresh_event(ledger)
            site.settle()
            assert 0 == site.daemon.stop()
        site.judge(ledger)
        assert [True, True] == [account["balanced"] for account in site.accounts()]
    finally:
        site.close()
