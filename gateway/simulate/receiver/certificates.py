"""The receiver's own certificate authority, made anew for every receiver."""

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import NamedTemporaryFile


class Authority:
    """A CA and what it issues. It needs `trustme`, which comes with the demo."""

    def __init__(self) -> None:
        import trustme  # noqa: PLC0415 - not part of the product, so only who uses it needs it

        self._ca = trustme.CA()

    def write(self, path: Path) -> None:
        """Write the certificate that clients have to trust."""
        self._ca.cert_pem.write_to_path(str(path))

    def server_context(self, names: tuple[str, ...], *, expired: bool, ask_client: bool) -> ssl.SSLContext:
        """Give the receiver's side of TLS."""
        end = datetime.now(UTC) - timedelta(days=1) if expired else None
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._ca.issue_cert(*names, not_after=end).configure_cert(context)
        if ask_client:
            self._ca.configure_trust(context)
            context.verify_mode = ssl.CERT_REQUIRED
        return context

    def client_context(self, *, certificate: bool) -> ssl.SSLContext:
        """Give a client's side: trust in this CA, and a certificate of it when asked for."""
        context = ssl.create_default_context()
        self._ca.configure_trust(context)
        if certificate:
            with NamedTemporaryFile(suffix=".pem") as file:
                self._ca.issue_cert("gateway.test").private_key_and_cert_chain_pem.write_to_path(file.name)
                context.load_cert_chain(file.name)
        return context
