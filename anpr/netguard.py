"""May this address be reached? And this URL? Pure: nothing is looked up or connected here.

``judge`` says what a URL names, or refuses it; ``address_permitted`` says whether an address is
one of the public internet. Whoever connects must ask the second for every address that a name
resolved to, and connect to that very address, or the answer is worth nothing (DNS rebinding).

Every refusal is ``UrlNotAllowed`` with its one public sentence; the reason is the cause, for logs.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
)
from urllib.parse import urlsplit

import idna

from anpr.errors import UrlNotAllowed

MAX_URL_CHARS = 2048
DEFAULT_PORTS = {"http": 80, "https": 443}

# IANA IPv4 Special-Purpose Address Registry (RFC 6890), and what it leaves out. Written out,
# because the lists behind `ipaddress.is_global` differ between patch releases of Python.
_FORBIDDEN_V4 = tuple(
    map(
        IPv4Network,
        (
            "0.0.0.0/8",  # this network
            "10.0.0.0/8",  # private
            "100.64.0.0/10",  # carrier-grade NAT; Alibaba's metadata
            "127.0.0.0/8",  # loopback
            "168.63.129.16/32",  # Azure's wire server
            "169.254.0.0/16",  # link-local; the metadata of most clouds
            "172.16.0.0/12",  # private
            "192.0.0.0/24",  # IETF protocol assignments; Oracle's metadata
            "192.0.2.0/24",  # documentation
            "192.31.196.0/24",  # AS112
            "192.52.193.0/24",  # AMT relays
            "192.88.99.0/24",  # 6to4 relay anycast
            "192.168.0.0/16",  # private
            "192.175.48.0/24",  # AS112
            "198.18.0.0/15",  # benchmarks
            "198.51.100.0/24",  # documentation
            "203.0.113.0/24",  # documentation
            "224.0.0.0/4",  # multicast
            "240.0.0.0/4",  # reserved, broadcast
        ),
    )
)

# Only global unicast (RFC 4291) is reached at all. That refuses loopback, unspecified,
# v4-compatible (::7f00:1), translated, local NAT64 (64:ff9b:1::/48), discard, unique local,
# link-local, site-local and multicast addresses.
_GLOBAL_UNICAST = IPv6Network("2000::/3")
_FORBIDDEN_V6 = tuple(
    map(
        IPv6Network,
        (
            "2001::/23",  # IETF protocol assignments: Teredo, benchmarks, ORCHID
            "2001:db8::/32",  # documentation
            "2002::/16",  # 6to4: deprecated (RFC 7526), and holds any IPv4 address
            "2620:4f:8000::/48",  # AS112
            "3ffe::/16",  # the former 6bone
            "3fff::/20",  # documentation (RFC 9637)
        ),
    )
)
# The well-known NAT64 prefix (RFC 6052) is how IPv6-only networks reach IPv4: judged by what it
# holds.
_NAT64 = IPv6Network("64:ff9b::/96")
# ISATAP (RFC 5214) may sit in any prefix: ::0:5efe:a.b.c.d, or ::200:5efe:a.b.c.d.
_ISATAP_MARKS = (0x00005EFE, 0x02005EFE)

# RFC 6761, RFC 6762, RFC 8375, ICANN's .internal, the names that home and company networks use,
# and the metadata services that carry a public name. A name stands for its subdomains too.
_PRIVATE_NAMES = (
    "corp",
    "home",
    "home.arpa",
    "internal",
    "intranet",
    "lan",
    "local",
    "localdomain",
    "localhost",
    "metadata.azure.com",
    "metadata.goog",
    "metadata.packet.net",
    "metadata.platformequinix.com",
    "metadata.tencentyun.com",
    "private",
    "svc",
)

_AUTHORITY = re.compile(r"(?P<host>\[[^\[\]]*\]|[^\[\]:]*)(?::(?P<port>[0-9]{0,5}))?")
_LABEL = re.compile(r"[a-z0-9_-]{1,63}")
# What resolvers read as a part of an IPv4 address: decimal, octal, hexadecimal.
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")


@dataclass(frozen=True, slots=True)
class Target:
    """What a URL names, in one spelling: lower case, IDNA, no fragment, no default port."""

    url: str
    scheme: str
    host: str
    """A name in ASCII, or an address without brackets."""
    port: int
    literal: bool
    """Whether ``host`` is an address; then it was judged already."""


def address_permitted(address: str) -> bool:
    """Whether ``address`` is an IPv4 or IPv6 address of the public internet.

    False for anything that is not such an address in its standard form, and for scoped ones
    (``fe80::1%eth0``). An IPv4 address inside an IPv6 one is judged for itself. A NAT64 prefix
    of an operator's own cannot be told from other global addresses.
    """
    try:
        ip = ip_address(address)
    except ValueError:
        return False
    return _public_v4(ip) if isinstance(ip, IPv4Address) else _public_v6(ip)


def judge(
    url: str,
    *,
    https_only: bool = False,
    ports: Iterable[int] = (80, 443),
    hosts: Iterable[str] = (),
    permitted: Callable[[str], bool] = address_permitted,
    private_names: bool = False,
) -> Target:
    """What ``url`` names, if it may be asked for; else ``UrlNotAllowed``.

    ``private_names`` lets names of private networks pass, for who also permits their addresses.
    ``hosts``, where there are any, are the only ones: names, or ``*.name`` for its subdomains.
    A name is not looked up: what it resolves to is for the caller to ask ``permitted`` about.
    """
    try:
        return _judge(url, https_only, ports, hosts, permitted, private_names)
    except ValueError as reason:  # also what urlsplit, ipaddress and idna raise
        raise UrlNotAllowed from reason


def _judge(
    url: str,
    https_only: bool,
    ports: Iterable[int],
    hosts: Iterable[str],
    permitted: Callable[[str], bool],
    private_names: bool,
) -> Target:
    if len(url) > MAX_URL_CHARS:
        raise ValueError("the URL is too long")
    if not url.isprintable() or " " in url or "\\" in url:
        raise ValueError("the URL has a control character, white space or a backslash")
    parts = urlsplit(url)
    if parts.scheme not in (("https",) if https_only else DEFAULT_PORTS):
        raise ValueError("the scheme is not permitted")
    if "@" in parts.netloc:
        raise ValueError("the URL has user information")
    authority = _AUTHORITY.fullmatch(parts.netloc)
    if authority is None:
        raise ValueError("the host or port is malformed")
    host, literal = _normal(authority["host"])
    if literal and not permitted(host):
        raise ValueError("the address is not public")
    private = not literal and ("." not in host or _within(host, _PRIVATE_NAMES))
    if private and not private_names:
        raise ValueError("the name belongs to a private network")
    if not _listed(host, hosts):
        raise ValueError("the host is not on the list")
    default_port = DEFAULT_PORTS[parts.scheme]
    port = int(authority["port"] or default_port)
    if port not in ports:
        raise ValueError("the port is not permitted")
    name = f"[{host}]" if ":" in host else host
    suffix = "" if port == default_port else f":{port}"
    query = f"?{parts.query}" if parts.query else ""
    clean = f"{parts.scheme}://{name}{suffix}{parts.path or '/'}{query}"
    return Target(clean, parts.scheme, host, port, literal)


def _normal(host: str) -> tuple[str, bool]:
    """The one spelling of ``host``, and whether it is an address.

    A host whose last label is a number is an IPv4 address or nothing, as in the URL standard;
    of its forms only four plain decimals pass, not 127.1, 0x7f.1, 0177.0.0.1 or 2130706433.
    """
    if host.startswith("["):
        return str(IPv6Address(host[1:-1])), True
    ascii_host = host if host.isascii() else idna.encode(host, uts46=True).decode("ascii")
    name = ascii_host.lower().removesuffix(".")
    labels = name.split(".")
    if len(name) > 253 or not all(map(_LABEL.fullmatch, labels)):
        raise ValueError("the host name is malformed")
    if _NUMBER.fullmatch(labels[-1]):
        return str(IPv4Address(name)), True
    return name, False


def _within(host: str, names: Iterable[str]) -> bool:
    return any(host == name or host.endswith(f".{name}") for name in names)


def _listed(host: str, hosts: Iterable[str]) -> bool:
    entries = tuple(hosts)
    exact = {_normal(entry)[0] for entry in entries if not entry.startswith("*.")}
    parents = [_normal(entry[2:])[0] for entry in entries if entry.startswith("*.")]
    below = any(host.endswith(f".{parent}") for parent in parents)
    return not entries or host in exact or below


def _public_v4(ip: IPv4Address) -> bool:
    return ip.is_global and not any(ip in network for network in _FORBIDDEN_V4)


def _public_v6(ip: IPv6Address) -> bool:
    held = IPv4Address(int(ip) & 0xFFFF_FFFF)
    if ip.scope_id is not None:
        return False
    if ip.ipv4_mapped is not None or ip in _NAT64:
        return _public_v4(held)
    if (int(ip) >> 32) & 0xFFFF_FFFF in _ISATAP_MARKS and not _public_v4(held):
        return False
    forbidden = any(ip in network for network in _FORBIDDEN_V6)
    return ip in _GLOBAL_UNICAST and ip.is_global and not forbidden
