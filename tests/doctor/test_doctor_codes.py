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


def asserted(text):
    """Find the codes that the tests of a file demand of what was found: written there, or in their parameters."""
    found = set()
    for test in ast.walk(ast.parse(text)):
        if not isinstance(test, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        rows = dict(row for decorator in test.decorator_list for row in parameters(decorator))
        for compared in (one.test for one in ast.walk(test) if isinstance(one, ast.Assert)):
            if demands(compared):
                found |= texts(compared.left)
                found |= {code for name in names(compared.left) for code in rows.get(name, ())}
        for call in (one for one in ast.walk(test) if isinstance(one, ast.Call)):
            if getattr(call.func, "id", "") == "told":  # fails unless one finding has the code
                found |= texts(call.args[1])
    return found


def demands(node):
    """Say whether this wants codes, on its left, of what was found: given by `codes`, or taken from findings."""
    if not isinstance(node, ast.Compare) or not isinstance(node.ops[0], ast.Eq | ast.In):
        return False
    return any(
        (isinstance(one, ast.Call) and getattr(one.func, "id", "") == "codes")
        or (isinstance(one, ast.Attribute) and one.attr == "code")
        for one in ast.walk(node.comparators[0])
    )


def parameters(decorator):
    """Give each name of a `parametrize` with the texts that it stands for."""
    if isinstance(decorator, ast.Call) and getattr(decorator.func, "attr", "") == "parametrize":
        wanted, given = decorator.args[:2]
        if isinstance(wanted, ast.Constant):
            yield wanted.value, texts(given)
        else:
            for place, name in enumerate(wanted.elts):
                yield name.value, set().union(*(texts(row.elts[place]) for row in given.elts))


def texts(node):
    found = (one.value for one in ast.walk(node) if isinstance(one, ast.Constant))
    return {one for one in found if isinstance(one, str)}


def names(node):
    return {one.id for one in ast.walk(node) if isinstance(one, ast.Name)}


def test_every_fault_of_the_box_is_brought_about_in_a_test():
    """`the` and `code_in_network` fail unless the fault is found: each code of the box is given to one of them."""
    of_box = frozenset().union(*(check.codes for check in BOX_CHECKS))
    assert set() == of_box - first_words({"the", "code_in_network"})


def test_every_fault_of_a_far_end_is_brought_about_in_a_test():
    """Each code of a far end is demanded of what a look found, by some test beside this one."""
    of_box = frozenset().union(*(check.codes for check in BOX_CHECKS))
    demanded = set().union(*(asserted(path.read_text("utf-8")) for path in HERE.glob("test_*.py")))
    assert set() == codes() - of_box - demanded


def test_a_word_alone_demands_nothing():
    """A code in a list, in a sentence or on the side of what may not be found is not brought about."""
    assert {"a", "b", "c", "d"} == asserted("""
TRIED = {"x"}
@pytest.mark.parametrize(("more", "code"), [("x", "a"), ("x", "b")])
def test_one(code):
    "x"
    assert {code} == codes(look("x"))
def test_two():
    assert "x" not in codes(look())
    assert "x" == look()
    assert {"c"} == {one.code for one in look()}
    assert "" in told(look(), "d")
""")


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
