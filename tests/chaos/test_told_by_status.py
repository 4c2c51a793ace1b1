"""What is wrong is told first by `gateway status`, in words that somebody understands who knows nothing of the gateway."""

import os
from contextlib import ExitStack
from pathlib import Path

import pytest
from ills import ills, inflict, keep, wait_told
from site_under_test import Site

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("name", ills())
def test_the_first_fault_told_is_the_one_that_was_done(tmp_path, name):
    """Each of these is the first thing that is told, with its place and what to do; ILLS_FOLDER keeps the texts."""
    ill = ills()[name]
    site = Site(tmp_path, **ill.settings)
    try:
        with ExitStack() as ending:
            inflict(ill, site, ending)
            said = wait_told(ill, site)
    finally:
        site.close()
    if folder := os.environ.get("ILLS_FOLDER"):
        keep(Path(folder), name, said)
