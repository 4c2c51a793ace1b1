"""Lives in which a store once went wrong, or does with a bug planted on purpose: typed in as hypothesis prints them."""

import pytest
from outbox_rules import AnyLife


class Watched:
    """A life that is held against the model after every step."""

    def __init__(self, life: AnyLife) -> None:
        self._life = life

    def __getattr__(self, name):
        step = getattr(self._life, name)

        def watched(**chosen):
            step(**chosen)
            self._life.the_store_is_what_the_model_says()

        return watched


@pytest.fixture
def state():
    """A store at the beginning of its life, named as in what hypothesis prints."""
    life = AnyLife()
    life.begin()
    yield Watched(life)
    life.teardown()


def test_a_failed_commit_shows_nobody_in_the_lobby(state):
    """What a stranger said in a transaction that failed is not counted as waiting after the next one.

    It was: the sums were read again only when the next stranger came.
    """
    state.trouble_the_disk(how="the next commit fails")
    state.state_again(device="counter-x", kill=None, pick=0, revision=8, value=0)
    state.go_on_at_the_head()


def test_an_older_statement_moves_nothing(state):
    """A revision that is lower than the newest one is history: with the comparison turned round it moves the day."""
    state.state_again(device="counter-a", kill=None, pick=0, revision=8, value=0)
    state.state_again(device="counter-a", kill=None, pick=0, revision=12, value=5)


def test_a_leap_to_the_head_owes_what_it_left_behind(state):
    """Arrears that are forgotten leave the account with more waiting than is in the log for the sink."""
    state.go_on_at_the_head()
    state.state_new_facts(device="counter-b", number=3, value=1, person="ada-4711", big=False, kill=None)
    state.deliver_arrears(name="live", pick=0, number=4, now=False)
    state.die(crash=True)


def test_a_commit_is_one(state):
    """What was acknowledged is there after a crash right behind the commit, and nothing after one right before it."""
    state.state_new_facts(device="counter-a", number=2, value=2, person="ada-4711", big=False, kill="after")
    state.state_new_facts(device="counter-a", number=2, value=2, person="ada-4711", big=False, kill="before")
    state.send_everything_again(device="counter-a", chosen=[0, 1, 2, 3])


def test_a_resend_counts_once(state):
    """The same statement again moves no sum, also when other transactions came between."""
    state.deliver(name="strict", number=6, refused={1}, now=False)
    state.send_everything_again(device="counter-a", chosen=[0, 1])
    state.send_everything_again(device="terminal-t", chosen=[0])


def test_an_erased_person_stays_erased(state):
    """Over a resend, a crash, and the adoption of a terminal that had sent the record before."""
    state.erase(person="ada-4711")
    state.send_everything_again(device="terminal-t", chosen=[0, 1])
    state.state_again(device="terminal-t", kill=None, pick=0, revision=8, value=1)
    state.adopt(device="terminal-y")
    state.die(crash=True)
    state.settle_what_was_held(kill="after")
    state.send_everything_again(device="terminal-y", chosen=[0, 1])


def test_a_full_disk_acknowledges_nothing(state):
    """A push that does not fit is refused and leaves no trace; with room it is taken."""
    before = AnyLife.tally.faults["failed commit"]
    state.trouble_the_disk(how="full")
    state.state_new_facts(device="counter-a", number=6, value=2, person="ada-4711", big=True, kill=None)
    assert before + 1 == AnyLife.tally.faults["failed commit"]
    state.deliver(name="strict", number=3, refused=set(), now=True)
    state.trouble_the_disk(how="room")
    state.state_new_facts(device="counter-a", number=6, value=2, person="ada-4711", big=True, kill=None)


def test_adoption_in_pieces_loses_nothing(state):
    """Held statements enter the log in their order, piece by piece, with crashes in between, as they were received."""
    state.stranger_states_new_facts(device="counter-x", number=5, value=4, person="ada-4711", kill=None)
    state.let_time_pass(seconds=4_000, jump=(-700, False), epoch=True)
    state.adopt(device="counter-x")
    state.settle_what_was_held(kill="before")
    state.settle_what_was_held(kill="after")
    state.stranger_states_new_facts(device="counter-x", number=1, value=1, person="ada-4711", kill=None)
    state.settle_what_was_held(kill=None)
    state.settle_what_was_held(kill=None)


def test_a_stranger_for_whom_there_is_no_room_is_refused(state):
    """Beyond the bound of one device nothing of a push is held, on a disk in trouble as on a sound one."""
    for number in (6, 6):
        state.stranger_states_new_facts(
            device="counter-x", number=number, value=4, person="ada-4711", kill=None
        )
    state.trouble_the_disk(how="the next commit fails")
    state.stranger_states_new_facts(device="counter-x", number=6, value=4, person="ada-4711", kill="before")
    state.die(crash=True)


def test_who_was_ignored_and_then_erased_is_in_no_file(state):
    """Somebody who is in no table any more may still stand in the WAL: erasing him empties it all the same."""
    state.erase(person="ada-4711")
    state.stranger_states_new_facts(device="terminal-y", kill=None, number=2, person="ada-4711", value=4)
    state.ignore(device="terminal-y")
    state.erase(person="ada-4711")


def test_what_chance_seldom_does_is_done_once(state):
    """Letters that are retried, events that expire, replays and removals by age: a life with each of them balances."""
    before = AnyLife.tally.verbs.copy()
    state.state_new_facts(device="counter-a", number=6, value=2, person="ada-4711", big=False, kill=None)
    state.state_new_facts(device="counter-b", number=6, value=2, person="ada-4711", big=False, kill=None)
    state.deliver(name="strict", number=4, refused={0, 1}, now=True)
    state.retry_a_letter(name="strict", pick=0, taken=False)
    state.retry_a_letter(name="strict", pick=0, taken=True)
    state.ask_again(name="strict", first=0, length=3)
    state.deliver_arrears(name="strict", pick=0, number=2, now=True)
    state.give_up_owed(number=3)
    for name in ("strict", "live"):
        for _ in range(4):
            state.deliver(name=name, number=6, refused=set(), now=True)
    state.let_time_pass(seconds=1, jump=(40 * 24, True), epoch=False)
    state.tidy_up_by_age()
    done = AnyLife.tally.verbs - before
    assert 1 == done["retry a letter"] == done["retry a letter in vain"]
    seldom = {"reject", "ask again", "replay", "expire", "remove", "remove by age"}
    assert set() == seldom - set(done), done
