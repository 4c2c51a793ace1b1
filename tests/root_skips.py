"""Who skips what: an ordinary user what takes root, and root only what is kept from a container.

No root inside of a container can mend that.
"""

import os

import pytest

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away and acts as another")

# By file, with the sentence that the skip must say: another skip of the same file stays a failure.
NO_ROOT_CAN = {"tests/chaos/test_memory_ceiling.py": "the control groups of this container are read-only"}


def no_root_can(nodeid: str, why: str) -> bool:
    """Say whether a skip, of this test and for this reason, is one of them."""
    said = NO_ROOT_CAN.get(nodeid.partition("::")[0])
    return said is not None and why.removeprefix("Skipped: ") == said
