"""All kinds of trouble that the lines, the far ends and the LAN of a site can make, as experiments use them."""

import random
import socket

from bad_line import BLACK_HOLE, DOWN, FIN, HALF_OPEN, RST, UP, BadLine, Weather
from lined_site import LinedSite, Trouble, weather

from gateway.simulate.receiver import Fault, Outcome

_PAGE = b"<!DOCTYPE html>\n<html><head><title>Please log in</title></head></html>"
_HTML = {"Content-Type": "text/html; charset=utf-8"}
_ANSWERS = {
    "500": (Outcome(status=500), "https_error"),
    "429, Retry-After": (Outcome(status=429, headers={"Retry-After": "1"}), "https_busy"),
    "503, Retry-After": (Outcome(status=503, headers={"Retry-After": "1"}), "https_error"),
    "redirect": (Outcome(status=302, headers={"Location": "https://login.example/"}), "https_redirect"),
    "502 of a proxy": (Outcome(status=502, headers=_HTML, body=_PAGE), "https_error"),
    "200 of a login page": (Outcome(status=200, headers=_HTML, body=_PAGE, take=False), "https_unexpected"),
    "401": (Outcome(status=401), "https_login"),
    "hanging": (Outcome(fault=Fault.HANG, take=False), "https_timeout"),
    "dripping": (Outcome(fault=Fault.DRIP, take=False), "https_timeout"),
}


def of_line(lines: LinedSite, far_end: str, chance: random.Random) -> list[Trouble]:
    """Give everything that the line to a far end may do."""
    prefix = "mqtt" if far_end == "home" else "https"
    line, broken = lines.line(far_end), f"{prefix}_lost" if far_end == "home" else f"{prefix}_broken"
    silent = (f"{prefix}_timeout", broken, f"{prefix}_tls")
    middle = chance.randrange(1_200, 2_400)  # of a message: a request is longer, and so is a window of events

    def cut(kind: str, way: str, after: int, how: str) -> Trouble:
        how_it_is = Weather(cut_after=after, cut_in=way, cut_how=how)
        codes = (*silent, f"{prefix}_refused", "mqtt_client_id_taken")
        return weather(lines, far_end, kind, how_it_is, "connections cut", *codes)

    def swallowing(kind: str, how: Weather) -> Trouble:
        return weather(lines, far_end, kind, how, "chunks swallowed", *silent)

    slow = Weather(delay_s=0.1, bytes_per_s=30_000)
    return [
        refusing(far_end, line, f"{prefix}_refused"),
        swallowing("black hole", BLACK_HOLE),
        swallowing("half open", HALF_OPEN),
        swallowing("deaf", Weather(swallow=frozenset({UP}))),
        weather(lines, far_end, "held back", Weather(hold=True), "chunks held", *silent),
        weather(lines, far_end, "slow", slow, "chunks throttled"),
        cut("message cut by RST", UP, middle, RST),
        cut("message cut by FIN", UP, middle, FIN),
        cut("reply cut", DOWN, chance.randrange(20, 60) if far_end == "home" else 2_000, RST),
    ]


def refusing(far_end: str, line: BadLine, *codes: str) -> Trouble:
    """Close the port for a while."""
    refused: list[ConnectionRefusedError] = []

    def tried() -> int:
        """Try what a device or the daemon would, and count what was refused by the system."""
        try:
            socket.create_connection(("127.0.0.1", line.port), timeout=5).close()
        except ConnectionRefusedError as error:
            refused.append(error)
        return len(refused)

    return Trouble(
        name=f"{far_end} refused",
        far_end=far_end,
        begin=line.refuse,
        over=line.listen,
        proof=tried,
        codes=codes,
    )


def of_lan(lines: LinedSite, chance: random.Random) -> list[Trouble]:
    """Give everything that may happen between the devices and the gateway."""
    some = chance.randrange(300, 900)  # bytes: behind the head of a push, and not the whole of its body
    return [
        refusing("lan", lines.lan),
        weather(lines, "lan", "half a push, RST", Weather(cut_after=some), "connections cut"),
        weather(lines, "lan", "half a push, FIN", Weather(cut_after=some, cut_how=FIN), "connections cut"),
        weather(lines, "lan", "reply lost", Weather(cut_after=1, cut_in=DOWN), "connections cut"),
        weather(lines, "lan", "half open", HALF_OPEN, "chunks swallowed"),
        weather(lines, "lan", "black hole", BLACK_HOLE, "chunks swallowed"),
        weather(lines, "lan", "held back", Weather(hold=True), "chunks held"),
        weather(lines, "lan", "slow", Weather(delay_s=0.2, bytes_per_s=20_000), "chunks throttled"),
    ]


def of_answers(lines: LinedSite) -> list[Trouble]:
    """Give everything else than yes that an upstream may answer."""
    return [answering(lines, name, outcome, code) for name, (outcome, code) in _ANSWERS.items()]


def answering(lines: LinedSite, name: str, outcome: Outcome, code: str) -> Trouble:
    """Make trouble of one answer that the upstream gives to everything."""
    upstream, given = lines.site.upstream, []

    def decide(_request) -> Outcome:
        given.append(outcome.status)
        return outcome

    return Trouble(
        name=f"cloud answers {name}",
        far_end="cloud",
        begin=lambda: setattr(upstream, "decide", decide),
        over=lambda: setattr(upstream, "decide", None),
        proof=lambda: len(given),
        codes=(code,),
    )


def of_restarts(lines: LinedSite) -> list[Trouble]:
    """Give the restarts of both far ends; a broker only after its subscriber has got what the broker had."""
    site, ended = lines.site, []

    def stop_broker() -> None:
        lines.home.refuse()
        lines.still()
        site.broker.stop()
        ended.append("broker")

    def start_broker() -> None:
        connects = site.subscriber.connects
        site.broker.start()
        lines.back(connects)
        lines.home.listen()

    def stop_upstream() -> None:
        site.upstream.stop()
        ended.append("upstream")

    return [
        Trouble(
            name="home restarted",
            far_end="home",
            begin=stop_broker,
            over=start_broker,
            proof=lambda: ended.count("broker"),
            codes=("mqtt_refused",),
        ),
        Trouble(
            name="cloud restarted",
            far_end="cloud",
            begin=stop_upstream,
            over=site.upstream.start,
            proof=lambda: ended.count("upstream"),
            codes=("https_refused", "https_tls", "https_broken"),
        ),
    ]
