"""The copyright file: every package of others with its licence, or no package at all."""

import pytest
from deb import licences


def metadata(base, name, head, **texts):
    place = base / "pure" / f"{name}-1.dist-info"
    (place / "licenses").mkdir(parents=True)
    (place / "METADATA").write_text(f"Name: {name}\nVersion: 1\n{head}\n")
    for file, text in texts.items():
        (place / "licenses" / file).write_text(text)
    return place


def test_each_package_has_its_stanza(tmp_path):
    """Holder, short name and text of each are there, and a blank line of the text does not end it."""
    metadata(
        tmp_path, "one", "License-Expression: MIT OR Zlib", LICENSE="Copyright (c) 2020 Somebody\n\nDo it."
    )
    metadata(
        tmp_path,
        "two",
        "License: Apache License, Version 2.0",
        LICENSE="Apache License\nVersion 2.0, January 2004\n…",
    )
    text = licences.render(tmp_path)
    assert "Files: usr/lib/site-gateway/pure/one-1.dist-info/*" in text
    assert (
        "Copyright: Copyright (c) 2020 Somebody\nLicense: MIT or Zlib\n Copyright (c) 2020 Somebody\n .\n Do it.\n"
        in text
    )
    assert "License: Apache-2.0\n The whole text is in /usr/share/common-licenses/Apache-2.0.\n" in text


def test_a_package_without_a_text_ends_the_build(tmp_path):
    """To pass code on without its licence is not allowed, so nothing is built."""
    place = metadata(tmp_path, "one", "License-Expression: MIT")
    with pytest.raises(SystemExit, match=r"one-1\.dist-info brings no text"):
        licences.read(place)


@pytest.mark.parametrize("head", ["", "License: a text\n  of two lines"])
def test_a_package_that_does_not_name_its_licence_ends_the_build(tmp_path, head):
    """A person has to look at it."""
    place = metadata(tmp_path, "one", head, LICENSE="Do it.")
    with pytest.raises(SystemExit, match="does not name its licence"):
        licences.read(place)
