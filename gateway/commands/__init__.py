"""The commands. Each group is imported only when it is called, so that a command starts quickly."""

import importlib
from pathlib import Path

import click

from gateway import __version__

_COMMANDS = {
    "provision": "provisioning",
    "run": "running",
    "check": "checking",
    "reload": "reloading",
    "status": "status",
    "doctor": "doctoring",
    "devices": "devices",
    "adopt": "adopting",
    "capture": "capturing",
    "occupancy": "counting",
    "sinks": "sinks",
    "account": "accounting",
    "pair": "pairing",
    "tail": "tailing",
    "letters": "letters",
    "replay": "replaying",
    "erase": "erasing",
    "backup": "backing_up",
    "restore": "restoring",
    "demo": "demonstrating",
    "simulate": "simulating",
    "version": "checking",
}
DEFAULT_PATH = Path("/etc/gateway/config.toml")


class Lazy(click.Group):
    """Finds a command's module by the table above."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Give the commands in the order of a first day."""
        del ctx
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command."""
        del ctx
        module = _COMMANDS.get(cmd_name)
        if module is None:
            return None
        command = getattr(importlib.import_module(f"gateway.commands.{module}"), cmd_name)
        return command if isinstance(command, click.Command) else None


@click.group(cls=Lazy, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, message="gateway %(version)s")
@click.option(
    "-c",
    "--config",
    type=click.Path(path_type=Path, dir_okay=False),
    envvar="GATEWAY_CONFIG",
    help=f"The configuration file; {DEFAULT_PATH} if it exists.",
)
@click.pass_context
def main(ctx: click.Context, config: Path | None) -> None:
    """Receive people counts and door events, keep them, and forward them over MQTT and HTTPS.

    Exit status: 0 fine, 1 a fault was found, 2 it cannot be told.
    """
    ctx.obj = config or (DEFAULT_PATH if DEFAULT_PATH.exists() else None)
