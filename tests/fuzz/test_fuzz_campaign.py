"""A campaign ends: with what it reached, and with a target given up that cannot start."""

import json
import sys

import campaign
import pytest

_FUZZ = """
import sys
if sys.argv[1] == "xml":
    sys.exit("no module named atheris")
print("#7 cov: 5 ft: 6 corp: 3/9b\\nstat::number_of_executed_units: 100")
"""


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Run a campaign with a fuzzer that does next to nothing, and cannot start for one target."""
    (tmp_path / "fuzz.py").write_text(_FUZZ)
    monkeypatch.setattr(campaign, "HERE", tmp_path)
    monkeypatch.setattr(campaign, "_REST_S", 0)
    monkeypatch.setattr(campaign.os, "nice", lambda _: None)
    folder = tmp_path / "campaign"

    def start(*names):
        monkeypatch.setattr(sys, "argv", ["campaign.py", str(folder), "150", *names])
        campaign.main()

    start.folder = folder
    return start


def test_a_target_that_cannot_start_is_given_up_and_told(run):
    """After three slices without a run it is left, the others reach their goal, and the end is no success."""
    with pytest.raises(SystemExit, match="Given up after 3 slices without a run: xml") as ended:
        run("xml", "json")
    assert ended.value.code not in (None, 0)
    standing = json.loads((run.folder / "standing.json").read_text())
    assert (0, 3) == (standing["xml"]["runs"], standing["xml"]["ended"])
    assert 200 == standing["json"]["runs"]


def test_a_campaign_that_reached_its_goal_ends_well(run):
    """With every target at its goal and nothing found it ends with success, and the table says how it stands."""
    run("json", "control")
    assert "| json | 200 |" in (run.folder / "standing.md").read_text()
