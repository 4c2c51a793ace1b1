"""Pair a stereo people counter: say what to type, wait for the first push, and for a heartbeat in real time."""

from collections.abc import Iterator

from gateway.commands.first_push import Push, Waiting
from gateway.commands.pair_outcome import Ended, Say, Told, Wish, ready, wait
from gateway.config import Config
from gateway.config.path_words import sections_with_word
from gateway.control.client import Client
from gateway.errors import GatewayError
from gateway.provisioning import own_address

_HEARTBEAT_S = (
    120.0  # real-time counters send one about once a minute; sooner nobody can say that there is none
)
_ABSENT = (
    "Was the button pressed that sets the values? Without it nothing changes.",
    "In real-time mode a counter sends only when somebody walks by: walk through the door.",
    "Read the URL on the counter once more: http and not https, the address, the port, no blank at the end.",
    "Open the address in the browser of a phone in the same network: the gateway must answer there.",
)


def pair_counter(
    config: Config,
    address: str | None,
    wish: Wish,
    told: Told,
    say: Say,
) -> None:
    """Say what to type, wait for a push, and in real time for a heartbeat too."""
    ours, theirs = own_address(address) if address else (wish.own or _anywhere(), None)
    waiting = Waiting(Client(config.socket), "people_counter", theirs)
    told.url = ready(config, waiting, wish.own or ours, wish.port, "/counter", theirs)
    heartbeat = told.url.removesuffix("/counter") + "/heartbeat"
    say(
        "Type this into the counter's client, then press the button that sets it (设置):\n\n"
        f"  upload URL (上传 url)       {told.url}\n"
        f"  heartbeat URL (心跳 url)    {heartbeat}\n"
        "  interval (minutes)          1\n"
        "  deviceId                    a name for the door, such as north-door; each counter its own\n\n"
        "Interval upload (间隔上传模式) sends each minute, also the empty ones: take it unless you need the count at once.\n"
        "Real-time upload (实时上传模式) needs the heartbeat URL, else an empty shop looks like a broken counter.\n"
    )
    for line in _words(config, told.url):
        say(line)
    say(f"Waiting for the first push, for {wish.timeout_s:g} s.")
    push = wait(waiting, told, say, wish.timeout_s, _ABSENT)
    if any(event["data"].get("count") == "running_minute" for event in push["events"]):
        _need_heartbeat(waiting, told, say, push, min(wish.timeout_s, _HEARTBEAT_S))


def _words(config: Config, url: str) -> Iterator[str]:
    """Say which counters need their secret word in both URLs; where it stands, and not the word."""
    place = url.removesuffix("/counter")
    for device, section in sections_with_word(config, "counter-").items():
        file = section.path_secret_file.path if section.path_secret_file else ""
        yield (
            f"If it is {device}: it is refused without its secret word. Type {place}/k/WORD/counter and\n"
            f"{place}/k/WORD/heartbeat, with the word that stands in {file} for WORD.\n"
        )


def _anywhere() -> str:
    """Give our address on the way to the rest of the world; in most places it is the one that devices see."""
    try:
        return own_address()[0]
    except GatewayError as error:
        raise Ended(
            "This box does not know which of its addresses the counter sees: it has no default route.",
            "Name the counter's address, or give --address-of-gateway.",
        ) from error


def _need_heartbeat(waiting: Waiting, told: Told, say: Say, push: Push, seconds: float) -> None:
    """Wait for a heartbeat: a counter in real time is only known to live by them."""
    devices = {event["device"] for event in push["events"]}
    say(f"It pushes in real time. Waiting for its heartbeat, for {seconds:g} s.")

    def beats(other: Push) -> bool:
        return any(event["kind"] == "heartbeat" and event["device"] in devices for event in other["events"])

    address = f"{told.url.removesuffix('/counter')}/heartbeat"
    if next(waiting.pushes(seconds, beats), None) is not None:
        say("Its heartbeat came too: the gateway will notice when it falls silent.")
    elif seconds < _HEARTBEAT_S:
        early = (
            f"No heartbeat came in {seconds:g} s, too short to tell: it comes about once a minute, to {address}."
            " `gateway devices` says cannot_tell as long as there is none."
        )
        told.advice = [early]
        say(early)
    else:
        told.problem = (
            "The counter pushes in real time and sends no heartbeat:"
            " an empty shop cannot be told from a broken counter."
        )
        told.advice = [f"Set its heartbeat URL to {address}, or use interval upload."]
