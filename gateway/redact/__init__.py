"""Masks secrets, pictures and personal fields, before anything is kept or shown that a device sent."""

from gateway.redact.body import redact_body, redact_text
from gateway.redact.fields import redact_fields
from gateway.redact.names import tells_of_secret
from gateway.redact.paths import redact_path, redact_query

__all__ = ["redact_body", "redact_fields", "redact_path", "redact_query", "redact_text", "tells_of_secret"]
