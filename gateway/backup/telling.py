"""Say to a person what a restore did, and what it cannot know."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from gateway.backup.about import About
from gateway.backup.forgetting import Gone
from gateway.outbox import rfc3339


@dataclass(slots=True, kw_only=True)
class Restored:
    """What was done."""

    about: About
    store: Path
    pictures: int = 0
    aside: Path | None = None  # where the replaced store lies
    aside_bytes: int = 0
    erased_again: Gone | None = None  # None: there was no store here that knows who was erased
    config: Path | None = None  # written
    config_kept: bool = False  # there was another one, which is in use; ours lies beside it
    credentials: Sequence[str] = ()
    credentials_kept: Sequence[str] = ()

    def sentences(self) -> Iterator[str]:
        """Say it, one sentence a line."""
        said, taken = self.about, rfc3339(self.about.taken)
        pictures = f" and {self.pictures} pictures" if self.pictures else ""
        yield f"Restored: gateway {said.gateway} as of {taken}, {said.received} events{pictures}, into {self.store}."
        if self.aside is not None:
            yield (
                f"The store that was here lies in {self.aside} ({self.aside_bytes >> 20} MiB): remove it when you no longer"
                " need it."
            )
        yield from self._settings()
        yield (
            f"What the gateway received after {taken} is not here. Face terminals and polled systems send it again; counts"
            " that are not sent again are missing, not zero. Numbers (seq) go on far above the old ones."
        )
        if self.erased_again is None:
            yield f"If a person was erased after {taken}, that person is in it again: give `gateway erase` once more."
        elif self.erased_again.anybody:
            gone = self.erased_again
            yield (
                f"{gone.events} events of persons who were erased here, {gone.letters} letters and {gone.held} held pushes"
                " were stripped again. What nobody could read, and what is no longer in the store that was here, may"
                " still name them: give `gateway erase` once more for each."
            )
        yield (
            "Never run the old box beside this one: both would speak as the same gateway, and the broker throws one of"
            " them out (mqtt_client_id_taken). Now start the gateway: systemctl start gateway.socket gateway.service"
        )

    def _settings(self) -> Iterator[str]:
        if self.config_kept:
            yield f"The configuration that is here stays in use; the one of the backup is {self.config}."
        elif self.config is not None:
            yield f"Configuration: {self.config}. Look at it with `gateway check`."
        if self.credentials:
            yield f"Secrets put in place: {', '.join(self.credentials)}."
        if self.credentials_kept:
            yield f"Secrets that are here and differ stay as they are: {', '.join(self.credentials_kept)}."
        if not self.about.secrets:
            yield "There are no secrets in this backup: put those that the configuration names back into their files."
