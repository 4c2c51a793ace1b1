"""Reading a certificate without trusting it."""

import datetime as dt
import ssl

import pytest
import trustme

from gateway.doctor import certificates
from gateway.doctor.certificates import expiry, read, read_pem

NOW = dt.datetime(2026, 11, 21, 12, tzinfo=dt.UTC)


@pytest.mark.parametrize("year", [2027, 2049, 2050, 2106])
def test_it_reads_what_the_library_reads(year):
    """Subject, issuer and both days are those that TLS's own decoder gives, on either side of 2050."""
    ends = dt.datetime(year, 5, 6, 7, 8, 9, tzinfo=dt.UTC)
    authority = trustme.CA(organization_name="An Authority")
    leaf = authority.issue_cert("broker.example", common_name="Büro", not_before=NOW, not_after=ends)
    found = read_pem(leaf.cert_chain_pems[0].bytes().decode())
    assert ("Büro", NOW, ends) == (found.subject, found.begins, found.ends)
    assert found.issuer


def test_the_first_of_a_chain_is_the_owners():
    """Of a file with a chain the first certificate is read, and text around it does no harm."""
    authority = trustme.CA()
    own = authority.issue_cert("one.example", common_name="one").cert_chain_pems[0].bytes().decode()
    assert "one" == read_pem(f"Bag Attributes\n{own}{authority.cert_pem.bytes().decode()}").subject


@pytest.mark.parametrize(
    "text", ["", "no certificate", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"]
)
def test_what_is_none_is_none(text):
    """What is no certificate gives none, and no error."""
    assert read_pem(text) is None


def test_cut_and_changed_bytes_raise_nothing():
    """Every certificate of a far end that is cut off, or has one byte changed, is read or is none."""
    der = ssl.PEM_cert_to_DER_cert(trustme.CA().issue_cert("a.example").cert_chain_pems[0].bytes().decode())
    for place in range(len(der)):
        read(der[:place])
        for other in (0x00, 0x80, 0xFF):
            read(der[:place] + bytes([other]) + der[place + 1 :])


@pytest.mark.parametrize(
    ("left", "code"),
    [
        (dt.timedelta(days=21, seconds=1), ""),
        (dt.timedelta(days=20, hours=23), "certificate_expires"),
        (dt.timedelta(seconds=-1), "certificate_expires"),
    ],
)
def test_three_weeks_before_its_end_it_is_told(left, code):
    """A certificate is well until 21 days before its end."""
    paper = certificates.Certificate("a", "b", NOW - dt.timedelta(days=300), NOW + left)
    (finding,) = expiry("sink a", "a", "The certificate of a", paper, NOW)
    assert code == finding.code
