"""The alert rules of docs/prometheus fire on the figures that they are for, on no others, and name what exists."""

import json
import re
from pathlib import Path

import pytest
from promtool import promtool

from gateway.faults import ACTIONS
from gateway.monitoring.families import FAMILIES

DOCS = Path(__file__).parent.parent / "docs"
RULES = DOCS / "prometheus" / "alerts.yml"
TEXT = RULES.read_text("utf-8")
_RULE = re.compile(r"- alert: (\w+)\n\s+expr: (.+)\n((?:.+\n)+)")
FOUND = {name: (expression, rest) for name, expression, rest in _RULE.findall(TEXT)}
AT = "instance='box:9188',job='gateway'"
SINK = f"{AT},sink='broker'"
STEPS, STEP_MIN = 90, 5  # seven and a half hours


def series(name: str, labels: str = AT) -> str:
    return f"{name}{{{labels}}}"


def fault(code: str) -> str:
    return series("gateway_faults", f"{AT},code='{code}'")


def well() -> dict[str, str]:
    """Give the figures of a gateway that is well, for some hours."""
    told = {
        series("up"): f"1x{STEPS}",
        series("gateway_info", f"{AT},gateway='lobby',site='',version='1',config_hash='0'"): f"1x{STEPS}",
        series("gateway_healthy"): f"1x{STEPS}",
        series("gateway_ready"): f"1x{STEPS}",
        series("gateway_store_readable"): f"1x{STEPS}",
        series("gateway_store_writable"): f"1x{STEPS}",
        series("gateway_clock_synced"): f"1x{STEPS}",
        series("gateway_devices_waiting"): f"0x{STEPS}",
        series("gateway_unreadable_pushes_total", f"{AT},port='devices'"): f"4x{STEPS}",
        series("gateway_sink_connected", SINK): f"1x{STEPS}",
        series("gateway_sink_waiting_events", SINK): f"3x{STEPS}",
        series("gateway_sink_oldest_waiting_age_seconds", SINK): f"5x{STEPS}",
        series("gateway_sink_lettered_events", SINK): f"2x{STEPS}",
        series("gateway_sink_lost_events_total", SINK): f"7x{STEPS}",
        series("gateway_sink_expired_events_total", SINK): f"0x{STEPS}",
        # A log that grows by a megabyte an hour on a disk with room is nothing to wake anybody for.
        series("gateway_disk_free_bytes"): f"20000000000-85000x{STEPS}",
        series("gateway_disk_reserve_bytes"): f"200000000x{STEPS}",
        series("process_start_time_seconds"): f"1700000000x{STEPS}",
        series("process_resident_memory_bytes"): f"70000000x{STEPS}",
    }
    named = {code for expression, _ in FOUND.values() for code in codes(expression)}
    return told | {fault(code): f"0x{STEPS}" for code in [*named, "zone_disagrees"]}


# What is wrong, by the rule that it must set off; "" takes a series away.
TROUBLE: dict[str, dict[str, str]] = {
    "GatewayDown": {series("up"): f"0x{STEPS}"},
    "GatewaySilent": {
        series("gateway_info", f"{AT},gateway='lobby',site='',version='1',config_hash='0'"): "",
    },
    "GatewayNotDelivering": {series("gateway_healthy"): f"0x{STEPS}"},
    "GatewayNotReady": {series("gateway_ready"): f"0x{STEPS}"},
    "GatewaySinkDisconnected": {series("gateway_sink_connected", SINK): f"0x{STEPS}"},
    "GatewayBacklogGrows": {series("gateway_sink_oldest_waiting_age_seconds", SINK): f"300+300x{STEPS}"},
    "GatewayEventsRefused": {series("gateway_sink_lettered_events", SINK): f"2x{STEPS - 6} 5x6"},
    "GatewayEventsLost": {series("gateway_sink_expired_events_total", SINK): f"0x{STEPS - 6} 9x6"},
    "GatewayStoreUnreadable": {series("gateway_store_readable"): f"0x{STEPS}"},
    "GatewayDiskFillsUp": {series("gateway_disk_free_bytes"): f"790000000-1000000x{STEPS}"},
    "GatewayDevicesWaiting": {series("gateway_devices_waiting"): f"2x{STEPS}"},
    "GatewayPushesUnreadable": {
        series("gateway_unreadable_pushes_total", f"{AT},port='devices'"): f"4x{STEPS - 6} 6x6"
    },
    "GatewayMemoryHigh": {series("process_resident_memory_bytes"): f"220000000x{STEPS}"},
    "GatewayPartRestarted": {series("process_start_time_seconds"): f"1700000000x{STEPS - 8} 1700000000+60x8"},
}


def codes(expression: str) -> list[str]:
    """Give the codes of faults that an expression is about."""
    patterns = re.findall(r'gateway_faults\{code=~?"([^"]+)"\}', expression)
    return sorted(code for code in ACTIONS for pattern in patterns if re.fullmatch(pattern, code))


def cases() -> list[tuple[str, str, dict[str, str]]]:
    """Give every rule with each trouble that must set it off: its own, and each fault that it names."""
    found = []
    for name, (expression, _) in FOUND.items():
        own = TROUBLE.get(name)
        if own:
            found.append((name, "figures", own))
        elif not codes(expression):
            found.append((name, "nothing", {}))
        if name != "GatewayNotDelivering":  # there the faults keep it quiet
            found += [(name, code, {fault(code): f"0x20 1x{STEPS - 20}"}) for code in codes(expression)]
    return found


def fires(told: dict[str, str], expression: str, value: int | None) -> dict:
    """Give one test for promtool: at the end this expression has this value, or no value."""
    samples = [] if value is None else [{"labels": "{}", "value": value}]
    return {
        "interval": f"{STEP_MIN}m",
        "input_series": [{"series": name, "values": values} for name, values in told.items() if values],
        "promql_expr_test": [
            {"expr": expression, "eval_time": f"{(STEPS - 1) * STEP_MIN}m", "exp_samples": samples}
        ],
    }


def checked(tmp_path: Path, tests: list[dict]) -> tuple[int, str]:
    file = tmp_path / "tests.yml"
    file.write_text(
        json.dumps({"rule_files": [str(RULES)], "evaluation_interval": f"{STEP_MIN}m", "tests": tests})
    )
    done = promtool("test", "rules", str(file))
    return done.returncode, done.stdout + done.stderr


def test_the_rules_are_rules():
    """promtool takes every rule of the file, and this test has read as many."""
    done = promtool("check", "rules", str(RULES))
    assert 0 == done.returncode, done.stderr
    assert f"{len(FOUND)} rules found" in done.stdout
    assert len(FOUND) == TEXT.count("- alert:") > 15


def test_no_rule_fires_on_a_gateway_that_is_well(tmp_path):
    """Hours of ordinary figures set nothing off and have nothing pending."""
    status, said = checked(tmp_path, [fires(well(), "count(ALERTS)", None)])
    assert 0 == status, said


@pytest.mark.timeout(600)
def test_every_rule_fires_on_what_it_is_for(tmp_path):
    """Each rule fires on its own figures and on each fault that it names, in figures that are otherwise well."""
    tests = [
        fires(well() | wrong, f'count(ALERTS{{alertname="{name}",alertstate="firing"}})', 1)
        for name, _, wrong in cases()
    ]
    status, said = checked(tmp_path, tests)
    assert 0 == status, said
    assert set(FOUND) == {name for name, *_ in cases()}
    assert len(tests) > 25


def test_one_trouble_is_one_alarm(tmp_path):
    """A full store is told once, as that, and not also as a delivery that is stuck."""
    wrong = {fault("store_full"): f"1x{STEPS}", series("gateway_healthy"): f"0x{STEPS}"}
    told = [
        fires(well() | wrong, 'count(ALERTS{alertname="GatewayNotDelivering"})', None),
        fires(well() | wrong, 'count(ALERTS{alertname="GatewayNotReceiving",alertstate="firing"})', 1),
    ]
    status, said = checked(tmp_path, told)
    assert 0 == status, said


@pytest.mark.parametrize("name", FOUND)
def test_a_rule_names_what_there_is(name):
    """The metrics, labels and fault codes of a rule exist, and its link leads to a heading of the documents."""
    expression, rest = FOUND[name]
    known = {family.name: family for family in FAMILIES}
    used = set(re.findall(r"\b((?:gateway|process)_\w+)", re.sub(r'"[^"]*"', '""', expression)))
    assert used <= known.keys()
    for pattern in re.findall(r'code=~?"([^"]+)"', expression):
        for word in pattern.split("|"):
            assert any(re.fullmatch(word, code) for code in ACTIONS), word
    for code in re.findall(r"Faults? (\w+)", rest):
        assert code in ACTIONS
    labels = {"instance", "job", *(label for one in used for label in known[one].labels)}
    assert labels >= set(re.findall(r"\$labels\.(\w+)", rest))
    link = re.search(r'runbook_url: "docs/([\w-]+\.md)#([\w-]+)"', rest)
    assert link, "no link to a remedy"
    headings = re.findall(r"^#+ (.+)$", (DOCS / link[1]).read_text("utf-8"), flags=re.MULTILINE)
    slugs = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
    assert link[2] in slugs
