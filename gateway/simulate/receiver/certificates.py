"""The receiver's own certificate authority, made anew for every receiver."""

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path


class Authority:
    """A CA and what it issues. It needs `trustme`, which comes with the demo."""

    def __init__(self) -> None:
        import trustme  # noqa: PLC0415 - not part of the product, so only who uses it needs it

        self.ca = trustme.CA()

    def write(self, path: Path) -> None:
        """Write the certificate that clients have to trust."""
        self.ca.cert_pem.write_to_path(str(path))

    def server_context(self, names: tuple[str, ...], *, expired: bool, ask_client: bool) -> ssl.SSLContext:
        """Give the receiver's side of TLS."""
        end = datetime.now(UTC) - timedelta(days=1) if expired else None
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self.ca.issue_cert(*names, not_after=end).configure_cert(context)
        if ask_client:
            self.ca.configure_trust(context)
            context.verify_mode = ssl.CERT_REQUIRED
        return context
