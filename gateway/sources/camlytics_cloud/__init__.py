"""Camlytics cloud: its seven methods, polled, and its webhooks; both ways give the same events."""

from gateway.source import Poll
from gateway.sources.camlytics_cloud.account import ENDPOINT, Account
from gateway.sources.camlytics_cloud.events import Events
from gateway.sources.camlytics_cloud.histograms import Histograms
from gateway.sources.camlytics_cloud.lists import Lists
from gateway.sources.camlytics_cloud.rules import Rule, Rules
from gateway.sources.camlytics_cloud.signing import Keys
from gateway.sources.camlytics_cloud.totals import TRIGGERS, TYPES, Totals
from gateway.sources.camlytics_cloud.webhook import CamlyticsCloudWebhook

__all__ = ["ENDPOINT", "Account", "CamlyticsCloudWebhook", "Keys", "Rule", "Rules", "polls"]


def polls(account: Account, *, totals: bool = True, histograms: bool = True) -> list[Poll]:
    """Make the polls of one account: each method for each location, or for all at once when none is named.

    A location of its own is read by its own clock: when its PC was offline, all that it kept is found later.
    """
    made: list[Poll] = [Lists(account, None, "locations")]
    for location in account.locations or (None,):
        made += [Lists(account, location, method) for method in ("channels", "triggers")]
        made.append(Events(account, location))
        if totals:
            made += [Totals(account, location, method) for method in (TRIGGERS, TYPES)]
        if histograms:
            made.append(Histograms(account, location))
    return made
