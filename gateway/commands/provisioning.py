"""`gateway provision`."""

from pathlib import Path

import click

from gateway.commands import DEFAULT_PATH
from gateway.errors import GatewayError
from gateway.firstboot import Outcome, tell_address
from gateway.firstboot import provision as take_over
from gateway.provisioning.route import own_address

_CARDS = (Path("/boot/firmware"), Path("/boot"))


@click.command()
@click.option(
    "--from",
    "folders",
    type=click.Path(path_type=Path, file_okay=False),
    multiple=True,
    envvar="GATEWAY_CARD",
    help=f"Where gateway.toml may be; the first that has one counts.  [default: {', '.join(map(str, _CARDS))}]",
)
@click.option(
    "--address",
    "address_only",
    is_flag=True,
    help="Only bring the address in gateway-accepted.txt up to date.",
)
@click.pass_obj
def provision(path: Path | None, folders: tuple[Path, ...], *, address_only: bool) -> None:
    """Take gateway.toml over from the card: for boxes without a shell, at each start.

    What is wrong with it is written beside it, and the box runs on with what it has; the exit status is 0 then too, so
    that the start goes on. See docs/first-boot.md.
    """
    try:
        chosen = folders or _CARDS
        if address_only:
            outcome = tell_address(chosen, path or DEFAULT_PATH, _address)
        else:
            outcome = take_over(chosen, path or DEFAULT_PATH, _address)
    except OSError as error:  # of the box's own disk, whose message names the file
        outcome = Outcome("rejected", (f"The box could not keep what the card says: {error}.",))
    for said in outcome.sentences:
        click.echo(said, err=outcome.kind == "rejected")
    if outcome.kind == "accepted":
        click.echo("A gateway that runs already uses it after `systemctl restart gateway`.")


def _address() -> str | None:
    try:
        return own_address()[0]
    except GatewayError:
        return None
