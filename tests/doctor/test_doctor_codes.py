"""Every fault that `gateway doctor` can find has a test that brings it about, an action, and a line in the documents."""

import ast
from pathlib import Path

from gateway.config import loads
from gateway.doctor.checks import BOX_CHECKS, all_checks
from gateway.doctor.finding import ADVICE
from gateway.faults import ACTIONS

HERE = Path(__file__).parent
SOURCE = Path(__file__).parents[2] / "gateway/doctor"
EVERYTHING = """
[sinks.broker]
type = "mqtt"
endpoint = "mqtts://broker.example"
[sinks.upstream]
type = "https"
endpoint = "https://events.example/x"
[camlytics.hall]
endpoint = "http://192.168.1.20:48462"
"""


def codes():
    """Every fault that some check says that it can find."""
    checks = [*all_checks(loads(EVERYTHING)), *all_checks(loads(""))]
    return frozenset().union(*(check.codes for check in checks))


def first_words(functions):
    """Find the texts that the tests give to one of these functions as the code that must be found."""
    found = set()
    for path in HERE.glob("test_*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in functions and node.args:
                first = node.args[0]
                if isinstance(first, ast.Constant) and isinstance(first.value, str):
                    found.add(first.value)
    return found


def words(folder):
    """All texts of the program, but for this file."""
    return {
        node.value
        for path in folder.glob("*.py")
        if path.name != Path(__file__).name
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }


def test_every_fault_of_the_box_is_brought_about_in_a_test():
    """`the` and `code_in_network` fail unless the fault is found: each code of the box is given to one of them."""
    of_box = frozenset().union(*(check.codes for check in BOX_CHECKS))
    assert set() == of_box - first_words({"the", "code_in_network"})


def test_every_fault_of_a_far_end_stands_in_a_test():
    """No code of a far end is left out by the tests beside this one."""
    assert set() == codes() - words(HERE)


def test_every_fault_has_an_action():
    """What can be found can be acted upon, and what is only advice can be found."""
    assert set() == codes() - ACTIONS.keys()
    assert set() == ADVICE - codes()


def test_no_check_finds_what_it_does_not_name():
    """A code that is written in a check is in the list of some check."""
    written = {
        node.args[1].value
        for path in SOURCE.glob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Call)
        and getattr(node.func, "id", "") == "wrong"
        and isinstance(node.args[1], ast.Constant)
    }
    assert {"disk_unfit", "no_address"} <= written
    assert set() == written - codes()


def test_the_names_of_the_checks_differ():
    """A line of the command can be told from the others."""
    names = [check.name for check in all_checks(loads(EVERYTHING))]
    assert len(names) == len(set(names))
