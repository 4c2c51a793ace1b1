"""The power goes at every single step of a takeover: the box has the old settings or the new ones, and no half secret.

A child does the takeover and ends without a word before its n-th change of a disk; what it wrote and had not yet synced
is gone then. That a rename is on the disk only with the sync of its folder is not acted out here.
"""

import os
import shutil
from pathlib import Path

import pytest
import trustme
from card_box import PASSWORD, TOML, CardBox

from gateway.errors import ConfigError
from gateway.firstboot import writing
from gateway.firstboot.inlets import KEPT
from gateway.firstboot.planning import NOTE

OLD = TOML.replace("Old town", "Before").replace("ask Maria", "x").replace("bearer-4711", "bearer-0000")
_CERTIFIED = trustme.CA().issue_cert("box.example")
KEY = _CERTIFIED.private_key_pem.bytes().decode()
PAIR = 'key_file = "box.key"\ncert_file = "box.pem"\n'
STEPS = ("open", "write", "fsync", "rename", "replace", "unlink", "mkdir")
CUT, DONE = 77, 0


def arm(number: int, *, exchanging: bool) -> None:
    """Have this process end before its n-th change."""
    left, unsynced = [number], {}
    real = {name: getattr(os, name) for name in STEPS}

    def step() -> None:
        left[0] -= 1
        if left[0] < 0:
            for path in unsynced.values():
                if path.exists():
                    os.truncate(path, 0)
            os._exit(CUT)

    def call(name):
        def stepped(*given, **more):
            if name != "open" or given[1] & (os.O_WRONLY | os.O_RDWR):
                step()
            if name == "write":
                unsynced[given[0]] = Path(f"/proc/self/fd/{given[0]}").readlink()
            if name == "fsync":
                unsynced.pop(given[0], None)
            return real[name](*given, **more)

        return stepped

    for name in STEPS:
        setattr(os, name, call(name))
    known = writing.exchange

    def exchange(one, other):
        step()
        return exchanging and known(one, other)

    writing.exchange = exchange


def cut(box: CardBox, number: int, *, exchanging: bool) -> int:
    """Start the box in a child that ends before its n-th change; give how it ended."""
    child = os.fork()
    if child == 0:
        status = 99
        try:
            arm(number, exchanging=exchanging)
            box.start()
            status = DONE
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def state(box: CardBox) -> str:
    """Say whose settings the box has, and fail when they are nobody's whole."""
    if not box.config.exists():
        return "none"
    config = box.loaded()
    seen = (config.gateway.name, config.sinks["upstream"].bearer_file.reveal())
    known = {("Before", "bearer-0000-0815"): "old", ("Old town", "bearer-4711-0815"): "new"}
    assert PASSWORD == config.sinks["broker"].password_file.reveal()
    if known[seen] == "new":
        assert KEY == config.sinks["upstream"].key_file.path.read_text()
    return known[seen]


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(("first", "exchanging"), [(True, True), (False, True), (False, False)])
def test_a_cut_at_any_step_leaves_the_old_or_the_new(tmp_path, first, exchanging):
    """Before each of the changes: whole settings, no secret that is on neither side, and the next start ends it."""
    (tmp_path / "0").mkdir()
    prepared = CardBox(tmp_path / "0")
    if not first:
        prepared.write(OLD)
        prepared.accepted()
    prepared.write(TOML + PAIR)
    prepared.write(KEY, "box.key")
    prepared.write(_CERTIFIED.cert_chain_pems[0].bytes(), "box.pem")
    seen = []
    for number in range(200):
        (tmp_path / str(number + 1)).mkdir()
        box = CardBox(tmp_path / str(number + 1))
        for here, there in ((prepared.card, box.card), (prepared.etc, box.etc)):
            shutil.copytree(here, there, dirs_exist_ok=True)
        ended = cut(box, number, exchanging=exchanging)
        assert ended in {CUT, DONE}, (number, ended)
        whose = state(box)
        seen.append(whose)
        text = box.on_card()
        assert text == TOML + PAIR or (KEPT in text and "-4711-" not in text and "Old town" in text), number
        assert "-4711-" in text or whose == "new", number
        assert KEY == box.on_card("box.key") or (NOTE.decode() == box.on_card("box.key") and whose == "new")
        assert "rejected" != box.start().kind, box.on_card("gateway-problems.txt")
        assert "new" == state(box), number
        assert "-4711-" not in box.everything_but_secrets(), number
        assert [] == list(tmp_path.glob(f"{number + 1}/**/*.new")), number
        assert (box.card / "gateway-accepted.txt").exists()
        shutil.rmtree(tmp_path / str(number + 1))
        if ended == DONE:
            break
    assert ["none" if first else "old", "new"] == list(dict.fromkeys(seen))
    assert len(seen) > 30


@pytest.mark.parametrize("number", range(12))
def test_a_cut_while_mistakes_are_told_costs_nothing(box, number):
    """The settings stay, and the next start says what is wrong again."""
    box.write(TOML)
    box.accepted()
    before = box.config.read_bytes()
    box.write(TOML.replace("mqtts://", "mqt://"))
    cut(box, number, exchanging=True)
    assert before == box.config.read_bytes()
    assert "sinks.broker.endpoint" in box.rejected()


def test_the_cuts_notice_a_wrong_order(tmp_path, monkeypatch):
    """The control: with the card blanked before the box has its configuration, some cut loses a secret."""
    from gateway.firstboot import taking_over

    def blank_first(drawn, record, config):
        taking_over._blank(drawn)
        real(drawn, record, config)

    real = taking_over._store
    monkeypatch.setattr(taking_over, "_store", blank_first)
    lost = 0
    for number in range(40):
        (tmp_path / str(number)).mkdir()
        box = CardBox(tmp_path / str(number))
        box.write(TOML)
        if cut(box, number, exchanging=True) == DONE:
            break
        try:
            lost += "-4711-" not in box.on_card() and state(box) == "none"
        except (ConfigError, KeyError):
            lost += 1
    assert lost > 0
