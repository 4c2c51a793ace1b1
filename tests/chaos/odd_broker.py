"""A real mosquitto with odd settings in the place of a site's own broker, and one that forgets everything."""

from pathlib import Path

from site_under_test import Site

from gateway.simulate.broker import Broker


class OddBroker(Broker):
    """Mosquitto with more lines in its configuration."""

    def __init__(self, directory: Path, *lines: str, port: int) -> None:
        super().__init__(directory, port=port, program="mosquitto")
        self._more = "\n".join(lines) + "\n"

    def _command(self) -> list[str]:
        command = super()._command()
        with Path(command[-1]).open("a") as config:
            config.write(self._more)
        return command

    def forget(self) -> None:
        """End as a broker without a disk does: sessions, queues and retained messages are gone."""
        self.kill()
        (self._directory / "mosquitto.db").unlink(missing_ok=True)


def with_broker(site: Site, *lines: str) -> OddBroker:
    """Put such a broker in the place of the site's own, on its port."""
    site.broker.stop()
    broker = OddBroker(site.directory / "broker", *lines, port=site.broker.port)
    site.broker = broker.start()
    return broker
