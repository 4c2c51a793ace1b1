"""Writes the manual: gateway(1) from the commands, gateway-config(5) from the example of the configuration."""

import re
from datetime import UTC, datetime

from deb.commandline import Command, Option

_FILES = (
    ("/etc/gateway/config.toml", "The configuration; see gateway\\-config(5)."),
    ("/etc/gateway/credentials/", "One file for each secret, for root alone."),
    ("/etc/gateway/certificates/", "The certificates that came from a card."),
    ("/var/lib/gateway/", "The store, the pictures and the copies of the last good configuration."),
    ("/run/gateway/", "The socket by which the commands ask the running gateway."),
    ("/usr/share/doc/site-gateway/", "The documentation for people."),
)
_STATUSES = "0 when all is well, 1 when something is wrong, 2 when that cannot be told."


def render(program: Command, version: str, second: int) -> str:
    """Give gateway(1)."""
    lines = [_head("GATEWAY", 1, version, second)]
    lines += [".SH NAME", f"gateway \\- {_roff(_uncapital(_about()))}"]
    lines += [".SH SYNOPSIS", ".B gateway", "[\\fIOPTIONS\\fR] \\fICOMMAND\\fR [\\fIARGUMENTS\\fR]"]
    lines += [".SH DESCRIPTION", *_paragraphs(program.help)]
    lines += [".SH OPTIONS", *(line for option in program.options for line in _option(option))]
    lines.append(".SH COMMANDS")
    for command in program.all():
        if command is not program:
            lines += _command(command)
    lines += [".SH FILES", *(line for path, text in _FILES for line in (".TP", f".I {_roff(path)}", text))]
    lines += [".SH EXIT STATUS", _roff(_STATUSES)]
    lines += [".SH SEE ALSO", ".BR gateway\\-config (5),", ".BR mosquitto (8),", ".BR systemctl (1)"]
    return "\n".join(lines) + "\n"


def render_configuration(example: str, version: str, second: int) -> str:
    """Give gateway-config(5): each section of the example, as it stands there."""
    lines = [_head("GATEWAY-CONFIG", 5, version, second)]
    lines += [".SH NAME", "gateway\\-config \\- the configuration of the gateway, /etc/gateway/config.toml"]
    lines += [".SH DESCRIPTION"]
    for line in example.splitlines():
        section = re.fullmatch(r"#?\[+([\w.]+)\]+.*", line)
        if section:
            lines += [f".SH [{_roff(section[1])}]"]
        elif not line.strip() or line.strip() == "#":
            lines.append(".PP")
        elif line.startswith("# "):
            lines.append(_roff(line[2:]))
        else:
            lines += [".br", f"\\fB{_roff(line.removeprefix('#'))}\\fR", ".br"]
    lines += [".SH SEE ALSO", ".BR gateway (1)"]
    return re.sub(r"(\.PP\n)+(?=\.SH|\Z|\.PP)", "", "\n".join(lines)) + "\n"


def _about() -> str:
    return "Receive what people counters and face terminals push, keep it, and forward it."


def _head(name: str, section: int, version: str, second: int) -> str:
    day = datetime.fromtimestamp(second, UTC).date().isoformat()
    return f'.TH {_roff(name)} {section} {day} "gateway {version}" "Gateway"'


def _command(command: Command) -> list[str]:
    lines = [f".SS gateway {_roff(command.place)} {_roff(command.usage)}", *_paragraphs(command.help)]
    return lines + [line for option in command.options for line in _option(option)]


def _option(option: Option) -> list[str]:
    names = ", ".join(f"\\fB{_roff(name)}\\fR" for name in option.names)
    value = f" \\fI{_roff(option.value)}\\fR" if option.value else ""
    return [".TP", names + value, _roff(option.help) or "\\&"]


def _paragraphs(text: str) -> list[str]:
    return [_roff(" ".join(part.split())) + "\n.PP" for part in re.split(r"\n\s*\n", text.strip()) if part]


def _roff(text: str) -> str:
    said = text.replace("\\", "\\e").replace("-", "\\-")
    return re.sub(r"^(?=[.'])", r"\\&", said, flags=re.MULTILINE)


def _uncapital(text: str) -> str:
    return text[:1].lower() + text[1:].removesuffix(".")
