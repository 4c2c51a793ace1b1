"""`gateway simulate camio`: Camio's callbacks, without a cloud."""

from collections.abc import Callable
from typing import IO, Any

import click

from gateway.simulate.camio import Camio
from gateway.simulate.camio_json import Domain
from gateway.simulate.device import Device

_DEFAULT_URL = "http://127.0.0.1:8089/"


def add_camio(
    group: click.Group,
    common: Callable[[Callable[..., object]], Callable[..., object]],
    run: Callable[..., None],
) -> None:
    """Add the command to `gateway simulate`, with the options that all its commands have."""

    @group.command(context_settings={"default_map": {"url": _DEFAULT_URL}})
    @click.option(
        "--secret-file",
        type=click.File(encoding="utf-8"),
        required=True,
        help="The file that secret_file of [callbacks] names: what the header holds.",
    )
    @click.option("--header", default="Authorization", show_default=True, help="The header that shows it.")
    @click.option("--method", default="POST", show_default=True, type=click.Choice(["POST", "PUT"]))
    @click.option(
        "--domain", default="pier.example", show_default=True, help="Of the first one; others count on."
    )
    @click.option(
        "--cameras", default=4, show_default=True, type=click.IntRange(1, 1000), help="In each domain."
    )
    @click.option(
        "--rate", default=6.0, show_default=True, type=click.FloatRange(0, 600), help="Callbacks per minute."
    )
    @common
    def camio(
        *,
        secret_file: IO[str],
        header: str,
        method: str,
        domain: str,
        cameras: int,
        rate: float,
        **common: Any,
    ) -> None:
        """Call back as Camio does, with all eleven types of events."""
        headers = {header: secret_file.read().rstrip("\r\n")}

        def build(number: int, **how: Any) -> Device:
            named = f"{number + 1}.{domain}" if number else domain
            return Camio(
                common["url"],
                headers=headers,
                domain=Domain(name=named, cameras=cameras),
                method=method,
                rate=rate,
                zone=common["zone"],
                **how,
            )

        run(build, **common)
