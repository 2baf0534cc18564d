"""Which addresses and URLs may be reached: tables of both, and what holds for any of them."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anpr.errors import UrlNotAllowed
from anpr.netguard import Target, address_permitted, judge

PUBLIC = [
    "1.1.1.1",
    "8.8.8.8",
    "9.255.255.255",
    "11.0.0.0",
    "93.184.215.14",
    "100.63.255.255",
    "100.128.0.0",
    "126.255.255.255",
    "128.0.0.1",
    "168.63.129.15",
    "168.63.129.17",
    "169.253.255.255",
    "169.255.0.0",
    "172.15.255.255",
    "172.32.0.0",
    "191.255.255.255",
    "192.0.1.0",
    "192.0.3.0",
    "192.88.98.255",
    "192.88.100.0",
    "192.167.255.255",
    "192.169.0.0",
    "198.17.255.255",
    "198.20.0.0",
    "203.0.114.0",
    "223.255.255.255",
    "2001:200::1",
    "2001:4860:4860::8888",
    "2003::1",
    "2606:4700:4700::1111",
    "2606:4700::5efe:808:808",  # ISATAP, holding 8.8.8.8
    "2a00:1450:4001:813::200e",
    "::ffff:8.8.8.8",
    "64:ff9b::8.8.8.8",
]

FORBIDDEN_V4 = [
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.1",
    "10.255.255.255",
    "100.64.0.1",
    "100.100.100.200",
    "100.127.255.255",
    "127.0.0.1",
    "127.0.0.2",
    "127.255.255.254",
    "168.63.129.16",
    "169.254.0.23",
    "169.254.169.254",
    "169.254.170.2",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.1",
    "192.0.0.9",
    "192.0.0.192",
    "192.0.2.1",
    "192.31.196.1",
    "192.52.193.1",
    "192.88.99.1",
    "192.168.0.1",
    "192.175.48.1",
    "198.18.0.1",
    "198.19.255.255",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
]

FORBIDDEN_V6 = [
    "::",
    "::1",
    "::2",
    "::7f00:1",  # v4-compatible
    "::8.8.8.8",
    "::ffff:127.0.0.1",  # v4-mapped
    "::ffff:a9fe:a9fe",
    "::ffff:168.63.129.16",
    "::ffff:0:127.0.0.1",  # translated (SIIT)
    "64:ff9b::7f00:1",  # NAT64
    "64:ff9b::a9fe:a9fe",
    "64:ff9b::192.168.1.1",
    "64:ff9b:1::8.8.8.8",  # local NAT64
    "64:ff9b:1:7f00:0:100::",
    "100::1",  # discard
    "2001::1",
    "2001:0:4136:e378:8000:63bf:80ff:fffe",  # Teredo
    "2001:2::1",  # benchmarks
    "2001:10::1",  # ORCHID
    "2001:20::1",
    "2001:db8::1",  # documentation
    "2002:7f00:1::",  # 6to4
    "2002:a9fe:a9fe::1",
    "2002:808:808::1",
    "2606:4700::5efe:7f00:1",  # ISATAP
    "2606:4700::200:5efe:a9fe:a9fe",
    "2620:4f:8000::1",  # AS112
    "3ffe::1",
    "3fff::1",
    "4000::1",  # not assigned
    "5f00::1",
    "fc00::1",  # unique local
    "fd00:ec2::254",
    "fe80::1",  # link-local
    "fe80::5efe:8.8.8.8",
    "fec0::1",  # site-local
    "ff02::1",  # multicast
    "ff0e::1",
]

NO_ADDRESS = [
    "",
    "127.1",
    "0177.0.0.1",
    "08.8.8.8",
    "0x7f000001",
    "2130706433",
    "8.8.8.8.",
    "8.8.8.8 ",
    "8.8.8.8/32",
    "８.８.８.８",
    "[::1]",
    "fe80::1%eth0",
    "2606:4700::1%eth0",
    "photos.example",
]

# --- URLs that are refused, whatever their names would resolve to
FORBIDDEN_URLS = [
    *(f"http://{address}/" for address in FORBIDDEN_V4),
    *(f"https://[{address}]/" for address in FORBIDDEN_V6),
    # other ports, other ways to write an IPv4 address
    "http://127.0.0.1:9001/2018-06-01/runtime/invocation/next",
    "http://127.0.0.1:443/",
    "http://127.1/",
    "http://127.0.1/",
    "http://0/",
    "http://0x0/",
    "http://127/",
    "http://2130706433/",
    "http://3232235521/",
    "http://0x7f000001/",
    "http://0X7F000001/",
    "http://0x7f.1/",
    "http://0x7f.0x0.0x0.0x1/",
    "http://0xa9.0xfe.0xa9.0xfe/",
    "http://0xa9fea9fe/",
    "http://0251.0376.0251.0376/",
    "http://0177.0.0.1/",
    "http://0177.1/",
    "http://017700000001/",
    "http://00000177.0.0.1/",
    "http://127.000.000.001/",
    "http://127.0.0.1./",
    "http://127.0.0.0x1/",
    "http://127.0.0.256/",
    "http://1.2.3.4.5/",
    "http://0x/",
    "http://photos.0x1/",
    "http://4294967297/",
    "http://127。0。0。1/",
    "http://１２７.０.０.１/",
    "http://①②⑦.⓪.⓪.①/",
    "http://１６９．２５４．１６９．２５４/",
    "http://%31%32%37.0.0.1/",
    "http://127.0.0.1%2f@photos.example/",
    # IPv6 in disguise
    "http://[::1]:80/",
    "http://[0:0:0:0:0:0:0:1]/",
    "http://[::ffff:127.0.0.1]/",
    "http://[::127.0.0.1]/",
    "http://[fe80::1%25eth0]/",
    "http://[fe80::1%eth0]/",
    "http://[2606:4700::1%25eth0]/",
    "http://[v1.fe80]/",
    "http://[8.8.8.8]/",
    "http://[::1/",
    "http://::1/",
    "http://[]/",
    "http://[::1].photos.example/",
    # names
    "http://localhost/",
    "http://LOCALHOST/",
    "http://localhost./",
    "http://photos.localhost/",
    "http://localhost.localdomain/",
    "http://ｌocalhost/",
    "http://router/",
    "http://metadata/computeMetadata/v1/",
    "http://metadata.google.internal/computeMetadata/v1/",
    "http://metadata.google.internal./",
    "http://METADATA.GOOGLE.INTERNAL/",
    "http://metadata.google。internal/",
    "http://metadata.goog/",
    "http://metadata.azure.internal/",
    "http://metadata.azure.com/",
    "http://metadata.packet.net/",
    "http://metadata.platformequinix.com/",
    "http://metadata.tencentyun.com/",
    "http://instance-data/",
    "http://instance-data.ec2.internal/",
    "http://kubernetes.default.svc/",
    "http://kubernetes.default.svc.cluster.local/",
    "http://printer.local/",
    "http://router.lan/",
    "http://nas.home.arpa/",
    "http://photos..example/",
    "http://photos.example../",
    "http://.photos.example/",
    "http://./",
    "http://-_.*.example/",
    "http://photos.example;evil/",
    "http://xn--.é/",
    "http://" + "a" * 64 + ".example/",
    "http://" + "a." * 127 + "example/",
    # the rest of a URL
    "",
    "photos.example",
    "//photos.example/",
    "http:photos.example",
    "http:/photos.example/",
    "http:///photos.example/",
    "http://",
    "http://:80/",
    "ftp://photos.example/",
    "file:///etc/passwd",
    "gopher://photos.example/",
    "javascript:alert(1)",
    "jar:http://photos.example!/",
    "data:image/png;base64,AAAA",
    "http://user@photos.example/",
    "http://user:secret@photos.example/",
    "http://photos.example@127.0.0.1/",
    "http://127.0.0.1@photos.example/",
    "http://@photos.example/",
    "http://photos.example:22/",
    "http://photos.example:8080/",
    "http://photos.example:0/",
    "http://photos.example:65616/",
    "http://photos.example:-80/",
    "http://photos.example:+80/",
    "http://photos.example:８０/",
    "http://photos.example:80:80/",
    "http://photos.example:000080/",
    " http://photos.example/",
    "http://photos.example/ ",
    "http://photos.example/a b",
    "http://photos.example/\t",
    "http://photos.example/\r\nHost: localhost",
    "http://photos\n.example/",
    "http://photos.example/\x00",
    "http://photos.example/\x7f",
    "http://photos.example/\u200b",
    "http://photos.example/\u2028",
    "http://photos.example/\u3000",
    "http://photos.example/\ud800",
    "http:\\\\photos.example\\",
    "http://photos.example\\@127.0.0.1/",
    "http://photos.example/" + "a" * 2048,
]


def test_the_table_is_long_enough() -> None:
    assert len(set(FORBIDDEN_URLS)) == len(FORBIDDEN_URLS) >= 60


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_is_permitted(address: str) -> None:
    assert address_permitted(address)
    literal = f"[{address}]" if ":" in address else address
    assert judge(f"http://{literal}/").literal


@pytest.mark.parametrize("address", [*FORBIDDEN_V4, *FORBIDDEN_V6, *NO_ADDRESS])
def test_any_other_address_is_not(address: str) -> None:
    assert not address_permitted(address)


@pytest.mark.parametrize("url", FORBIDDEN_URLS)
def test_a_forbidden_url_is_refused_with_the_one_sentence(url: str) -> None:
    with pytest.raises(UrlNotAllowed) as refusal:
        judge(url)
    assert str(refusal.value) == UrlNotAllowed.sentence
    assert isinstance(refusal.value.__cause__, ValueError)  # the reason, for the log


@pytest.mark.parametrize(
    ("url", "target"),
    [
        (
            "http://photos.example",
            Target("http://photos.example/", "http", "photos.example", 80, False),
        ),
        (
            "HTTPS://Photos.Example.:443/A%20b?c=d#e",
            Target("https://photos.example/A%20b?c=d", "https", "photos.example", 443, False),
        ),
        (
            "http://photos.example:443/",
            Target("http://photos.example:443/", "http", "photos.example", 443, False),
        ),
        (
            "http://photos.example:?q",
            Target("http://photos.example/?q", "http", "photos.example", 80, False),
        ),
        (
            "https://bücher.example/ü",
            Target("https://xn--bcher-kva.example/ü", "https", "xn--bcher-kva.example", 443, False),
        ),
        (
            "http://[2606:4700:0::0:1111]:443/",
            Target("http://[2606:4700::1111]:443/", "http", "2606:4700::1111", 443, True),
        ),
        ("http://８.8.8.8/", Target("http://8.8.8.8/", "http", "8.8.8.8", 80, True)),
        (
            "http://my_bucket.s3.example/",
            Target("http://my_bucket.s3.example/", "http", "my_bucket.s3.example", 80, False),
        ),
        (
            "http://mylocalhost.example/",
            Target("http://mylocalhost.example/", "http", "mylocalhost.example", 80, False),
        ),
    ],
)
def test_a_permitted_url_gets_one_spelling(url: str, target: Target) -> None:
    assert judge(url) == target
    assert judge(target.url) == target


def test_https_only_refuses_http() -> None:
    assert judge("https://photos.example/", https_only=True).port == 443
    with pytest.raises(UrlNotAllowed):
        judge("http://photos.example/", https_only=True)


def test_other_ports_can_be_permitted() -> None:
    assert judge("http://photos.example:8080/", ports=(8080,)).port == 8080
    with pytest.raises(UrlNotAllowed):
        judge("http://photos.example/", ports=(8080,))


@pytest.mark.parametrize(
    "host", ["photos.example", "PHOTOS.example.", "a.cdn.example", "b.a.cdn.example", "8.8.8.8"]
)
def test_a_listed_host_is_permitted(host: str) -> None:
    judge(f"http://{host}/", hosts=("Photos.Example", "*.cdn.example", "8.8.8.8"))


@pytest.mark.parametrize(
    "host", ["example", "a.photos.example", "cdn.example", "xcdn.example", "1.1.1.1", "127.0.0.1"]
)
def test_a_host_that_is_not_listed_is_refused(host: str) -> None:
    with pytest.raises(UrlNotAllowed):
        judge(f"http://{host}/", hosts=("photos.example", "*.cdn.example", "8.8.8.8", "127.0.0.1"))


def test_a_list_with_a_broken_entry_permits_nothing() -> None:
    with pytest.raises(UrlNotAllowed):
        judge("http://photos.example/", hosts=("photos.example", "https://photos.example"))


@given(st.sampled_from(FORBIDDEN_V4))
def test_no_wrapping_makes_a_forbidden_address_permitted(address: str) -> None:
    held = int(IPv4Address(address))
    wrappings = {
        "compatible": held,
        "mapped": 0xFFFF << 32 | held,
        "translated": 0xFFFF << 48 | held,
        "nat64": 0x64FF9B << 96 | held,
        "local nat64": 0x64FF9B0001 << 80 | held,
        "6to4": 0x2002 << 112 | held << 80,
        "teredo server": 0x20010000 << 96 | held << 64,
        "teredo client": 0x20010000 << 96 | (held ^ 0xFFFFFFFF),
        "isatap": 0x26064700 << 96 | 0x5EFE << 32 | held,
        "isatap, universal": 0x26064700 << 96 | 0x02005EFE << 32 | held,
    }
    for wrapping, value in wrappings.items():
        assert not address_permitted(str(IPv6Address(value))), wrapping


@given(st.ip_addresses())
def test_what_is_permitted_is_global(address: IPv4Address | IPv6Address) -> None:
    plain = address
    if isinstance(address, IPv6Address) and int(address) >> 32 in (0xFFFF, 0x64FF9B << 64):
        plain = IPv4Address(int(address) & 0xFFFFFFFF)
    if address_permitted(str(address)):
        assert plain.is_global
        assert not any((plain.is_private, plain.is_multicast, plain.is_reserved))


@given(st.one_of(st.text(), st.text().map("http://{}/".format), st.from_regex(r"https?://.*")))
def test_any_text_is_a_target_or_refused(url: str) -> None:
    try:
        target = judge(url)
    except UrlNotAllowed:
        return
    assert target.host.isascii()
    assert judge(target.url) == target
