"""What the tests of a first boot have in common."""

import pytest
from card_box import CardBox


@pytest.fixture
def box(tmp_path):
    return CardBox(tmp_path)
