"""Numbers that a vendor writes as text, with what strangers put around them."""

import pytest

from gateway.sources.camio import incidents
from gateway.sources.camlytics import values as camlytics
from gateway.sources.camlytics_cloud import values as cloud

READERS = (camlytics.whole, cloud.whole, incidents._whole)


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize("around", ["", " ", "\n", "\x1e", "\u2003"])
def test_what_stands_around_a_number_is_no_part_of_it(read, around):
    """Whatever Python takes for a space may stand around a number; a separator broke the reading once."""
    assert 6 == read(f"{around}6{around}")


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize("said", ["", "+-6", "6-", "٦", "6.0", "0x6", "1e3", "9" * 17])
def test_what_is_no_plain_number_is_none(read, said):
    """Two signs, other digits, other notations and too many digits are no number and no error."""
    assert read(said) is None
