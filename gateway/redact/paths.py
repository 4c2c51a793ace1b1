"""Masks what may open a door in the path and the query of a request."""

import re

_PATH_PART = re.compile(r"[^/]+")
_ADDRESS = re.compile(r"[^/]*(?:@|%40)[^/]*", re.IGNORECASE)
_LOOKS_RANDOM = re.compile(r"(?=[^/]*[0-9])(?=[^/]*[A-Za-z])[A-Za-z0-9_~.=+-]{20,}+")


def redact_path(path: str, tokens: frozenset[str] = frozenset()) -> str:
    """Return the path of a request without what may open a door or names somebody.

    Tokens, fields with a value, random letters and mail addresses go.
    """

    def shown(part: re.Match[str]) -> str:
        if part[0] in tokens or _LOOKS_RANDOM.fullmatch(part[0]) or _ADDRESS.fullmatch(part[0]):
            return "***"
        return redact_query(part[0]) if "=" in part[0] else part[0]

    return _PATH_PART.sub(shown, path)


def redact_query(query: str) -> str:
    """Return a query with its names and without its values: any of them may be a key."""
    return re.sub(r"=[^&;]+", "=***", query) if "=" in query else "***" if query else ""
