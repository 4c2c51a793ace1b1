"""The only skips that root may have: what is kept from a container, no root inside of it can mend."""

# By file, with the sentence that the skip must say: another skip of the same file stays a failure.
NO_ROOT_CAN = {"tests/chaos/test_memory_ceiling.py": "the control groups of this container are read-only"}


def no_root_can(nodeid: str, why: str) -> bool:
    """Say whether a skip, of this test and for this reason, is one of them."""
    said = NO_ROOT_CAN.get(nodeid.partition("::")[0])
    return said is not None and why.removeprefix("Skipped: ") == said
