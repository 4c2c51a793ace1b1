"""Tell a device where to push, where its maker allows it; the only writing to a device that there is."""

from gateway.provisioning.route import own_address, port_answers, push_url
from gateway.provisioning.terminal import Subscription, Terminal, TerminalTrouble

__all__ = [
    "Subscription",
    "Terminal",
    "TerminalTrouble",
    "own_address",
    "port_answers",
    "push_url",
]
