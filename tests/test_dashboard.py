"""The dashboard of docs/grafana is one that Grafana takes, and asks only for figures that the gateway tells."""

import itertools
import json
import re
from pathlib import Path

from promtool import promtool

from gateway.monitoring.families import FAMILIES

BOARD = json.loads((Path(__file__).parent.parent / "docs/grafana/dashboard.json").read_text("utf-8"))
KNOWN = {family.name: family for family in FAMILIES}
PANELS = [panel for panel in BOARD["panels"] if panel["type"] != "row"]
ASKED = [(panel["title"], target) for panel in PANELS for target in panel["targets"]]


def test_every_figure_that_is_asked_for_exists():
    """A panel that asks for a metric or a label that nobody tells would stay empty without a word."""
    for title, target in ASKED:
        used = set(re.findall(r"\b((?:gateway|process)_\w+)", target["expr"]))
        assert used, title
        assert used <= KNOWN.keys(), title
        labels = {"instance", "job", *(label for name in used for label in KNOWN[name].labels)}
        by = {word for group in re.findall(r"by \(([^)]*)\)", target["expr"]) for word in group.split(", ")}
        assert labels >= by | set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"])), title


def test_every_figure_is_shown():
    """What the gateway tells is somewhere on the dashboard."""
    text = " ".join(target["expr"] for _, target in ASKED)
    assert set() == {name for name in KNOWN if not re.search(rf"\b{name}\b", text)}


def test_counters_are_shown_as_rates(tmp_path):
    """A counter that only grows tells nothing as a curve; sums of what was lost are the exception."""
    for title, target in ASKED:
        for name in re.findall(r"\b((?:gateway|process)_\w+)", target["expr"]):
            shown = "rate(" in target["expr"] or title == "Given up or lost"
            assert shown or KNOWN[name].kind == "gauge", title


def test_every_expression_can_be_read(tmp_path):
    """Prometheus parses each of them, with values in the place of the dashboard's variables."""
    rules = [
        {"record": f"panel:{number}", "expr": expr.replace("$__rate_interval", "5m").replace("$", "")}
        for number, (_, expr) in enumerate((title, target["expr"]) for title, target in ASKED)
    ]
    file = tmp_path / "rules.yml"
    file.write_text(json.dumps({"groups": [{"name": "panels", "rules": rules}]}))
    done = promtool("check", "rules", str(file))
    assert 0 == done.returncode, done.stderr
    assert f"{len(ASKED)} rules found" in done.stdout


def test_it_is_a_dashboard():
    """It has what an import needs: no id of another server, unique panels in the grid, and the source as a variable."""
    assert "id" not in BOARD
    assert BOARD["uid"]
    assert BOARD["schemaVersion"] >= 36
    numbers = [panel["id"] for panel in BOARD["panels"]]
    assert len(numbers) == len(set(numbers))
    variables = {variable["name"]: variable for variable in BOARD["templating"]["list"]}
    assert ["datasource", "job", "instance"] == list(variables)
    assert "datasource" == variables["datasource"]["type"]
    places = [panel["gridPos"] for panel in BOARD["panels"]]
    assert all(0 <= place["x"] and place["x"] + place["w"] <= 24 for place in places)
    for one, other in itertools.combinations(places, 2):
        beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        below = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert beside or below, (one, other)
    for panel in PANELS:
        assert {"type": "prometheus", "uid": "${datasource}"} == panel["datasource"]
        assert panel["title"]
