"""Fixtures for tests of the whole daemon."""

import pytest
from site_under_test import Site


@pytest.fixture
def site(tmp_path, request):
    """A site with default settings, or with those of a `site_with` marker."""
    marker = request.node.get_closest_marker("site_with")
    built = Site(tmp_path, **(marker.kwargs if marker else {}))
    yield built
    built.close()
