"""Has h11 read every line of a head, of a trailer and before a chunk in time that grows with its length only.

h11 matches each line with a pattern in which two repeats stand next to each other and may take the same blanks. A line of
16,000 blanks that ends in what no header may have is then tried with every way to part them: nearly a second, in which
nobody else is answered, and anybody may send it. The same patterns are put in their place, with only one way to part.
"""

import re

from h11 import _abnf, _readers

_AMBIGUOUS = {
    # "X:" and blanks: the ones in front of the value are never given back to those behind it.
    "header_field": (f":{_abnf.OWS}(", f":{_abnf.OWS}+("),
    # "1;" and blanks: an extension takes those behind it as well, so they are looked for only where there is none.
    "chunk_header": (f"(?P<chunk_ext>;.*)?{_abnf.OWS}", f"(?:(?P<chunk_ext>;.*)|{_abnf.OWS})"),
}


def patterns() -> dict[str, str]:
    """Give h11's patterns by their names there, each with what is ambiguous in it replaced."""
    given = {name: str(getattr(_abnf, name)) for name in _AMBIGUOUS}
    return {name: given[name].replace(*_AMBIGUOUS[name], 1) for name in _AMBIGUOUS}


def read_in_linear_time() -> None:
    """Prepare h11, for all that use it in this process: the listener and every client. Doing it again changes nothing."""
    for name, pattern in patterns().items():
        setattr(_readers, f"{name}_re", re.compile(pattern.encode("ascii")))
