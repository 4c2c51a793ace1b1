"""Random lives of a store against a small model: every verb, crashes, full disks and clocks that jump."""

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test
from outbox_life import Tally
from outbox_rules import AnyLife

_FAULTS = {"crash", "crash at a commit", "failed commit", "clock jump"}
# All that a life does. What is done in vain does not count: an erasure of nobody, a removal that finds nothing. The first
# of them happen in a hundred lives as good as surely; what chance seldom does is done once in test_model_regressions.py.
_OFTEN = {"append", "resend", "correct", "hold", "adopt", "erase", "deliver", "reject", "stop", "end well"}
_VERBS = {
    *_OFTEN,
    *("drop", "turn away", "ignore", "notice", "settle what was held", "enlist"),
    *("retry a letter", "retry a letter in vain", "fall behind", "deliver arrears", "ask again", "replay"),
    *("remove", "remove by age", "expire"),
}


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_model(experiment, scale):
    """No life of a store, however it goes, ends up with another log, sum, account or lobby than the model's."""
    lives = settings(
        max_examples=scale.pick(25, 400),
        stateful_step_count=scale.pick(30, 60),
        deadline=None,
        print_blob=True,
        suppress_health_check=list(HealthCheck),
    )
    AnyLife.tally = tally = Tally()
    verbs = scale.pick(_OFTEN, _VERBS)
    for _ in range(4):  # chance may leave one kind of fault out, or one verb
        run_state_machine_as_test(AnyLife, settings=lives)
        if _FAULTS <= set(tally.faults) and verbs <= set(+tally.verbs):
            break
    experiment.owe(tally.acknowledged)
    for fault, times in tally.faults.items():
        experiment.hit(fault, times)
    experiment.found()  # any difference has ended the test
    experiment.remarks.append(f"{tally.lives} lives")
    experiment.demand(obligations=scale.pick(400, 8_000), faults=scale.pick(30, 1_500), doubled=0)
    assert _FAULTS == set(experiment.faults)
    assert set() == verbs - set(+tally.verbs), tally.verbs
