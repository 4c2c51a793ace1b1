"""Tell a device where to push, where its maker allows it; the only writing to a device that there is."""

from gateway.provisioning.route import masked_url, own_address, port_answers, push_url, word_in
from gateway.provisioning.terminal import Subscription, Terminal, TerminalTrouble

__all__ = [
    "Subscription",
    "Terminal",
    "TerminalTrouble",
    "masked_url",
    "own_address",
    "port_answers",
    "push_url",
    "word_in",
]
