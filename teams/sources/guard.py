"""Which addresses a page may be fetched from: judged as a URL, as it resolves, as it connects, and once connected.

A URL comes from a model or a stranger's page, so it must not reach what only this machine can: its own services, its
network's, or the ones that a cloud keeps beside it. A name says nothing of that. What counts is the address that is
connected to, at the moment it is. Knows neither pages nor providers.
"""

import re
import socket
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.client_reqrep import ClientRequest
from aiohttp.tracing import Trace
from yarl import URL

Address = IPv4Address | IPv6Address

LONGEST_URL = 2_000
"""Characters. Longer ones carry something out more often than they name a page."""


class Blocked(OSError):
    """A URL or an address is none that is fetched from. The message is the rest of a sentence that begins with it.

    An OSError, for so aiohttp gives up on an address and goes on to the next, which is judged in its turn.
    """


# IANA IPv4 Special-Purpose Address Registry, multicast, and the one public address that is a cloud's own (Azure's
# wire server); those of other clouds are link-local.
_NOT_PUBLIC_4 = tuple(
    map(
        ip_network,
        (
            *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12"),
            *("192.0.0.0/24", "192.0.2.0/24", "192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24"),
            *("192.168.0.0/16", "192.175.48.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24"),
            *("224.0.0.0/4", "240.0.0.0/4", "168.63.129.16/32"),
        ),
    )
)

# IANA IPv6 Global Unicast Address Assignments: all else (loopback, mapped, NAT64, local, multicast) lies outside.
_PUBLIC_6 = IPv6Network("2000::/3")

# What of that range is special (IANA IPv6 Special-Purpose Address Registry): protocol assignments with Teredo,
# documentation, 6to4, AS112, the former 6bone. Teredo and 6to4 have an IPv4 address inside.
_NOT_PUBLIC_6 = tuple(
    map(ip_network, ("2001::/23", "2001:db8::/32", "2002::/16", "2620:4f:8000::/48", "3ffe::/16", "3fff::/20"))
)


def is_public(address: Address) -> bool:
    """Whether an address belongs to the internet at large, and to no network or cloud from within."""
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _NOT_PUBLIC_4)
    return address in _PUBLIC_6 and not any(address in network for network in _NOT_PUBLIC_6)


# Names that no public server has. They are refused before anybody is asked for them: the question alone says something.
_INNER_NAME = re.compile(r"(^|\.)(localhost|localdomain|local|internal|intranet|lan|home|corp|private|home\.arpa)$")

_NAME = re.compile(r"(?=.{1,253}$)(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.)+[a-z0-9-]{2,63}")

# The URL standard (URL, "ends in a number checker") takes such a name for an IPv4 address, however it is written.
_NUMBER = re.compile(r"(\d+|0x[0-9a-f]*)$")

_UNWANTED = re.compile(r"[\x00-\x1f\x7f\\]")

_INNER = "is an address inside a network, which is never fetched from"


def _checked_host(host: str, allows: Callable[[Address], bool]) -> None:
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        pass
    else:
        if "%" in host or not allows(address):
            raise Blocked(_INNER)
        return
    name = host.removesuffix(".")
    if _NUMBER.search(name.rpartition(".")[2]):
        raise Blocked("is an address in an unusual notation, which is not fetched from")
    if "." not in name or _INNER_NAME.search(name):
        raise Blocked(_INNER)
    if not _NAME.fullmatch(name):
        raise Blocked("is no name that a public server could have")


@dataclass(frozen=True, slots=True)
class Guard:
    """What may be fetched from. The defaults are the rule; tests give the addresses and ports of their own servers.

    `resolver` makes what names are looked up with, inside the running loop.
    """

    allows: Callable[[Address], bool] = is_public
    ports: frozenset[int] = frozenset({80, 443})
    resolver: Callable[[], AbstractResolver] = aiohttp.ThreadedResolver

    def checked(self, url: str, base: URL | None = None) -> URL:
        """The URL as it is fetched, without its fragment; relative to `base`, if there is one.

        Raises `Blocked` for what it shows to be unfit. aiohttp takes the very object that was judged here and parses
        nothing again.
        """
        if len(url) > LONGEST_URL:
            raise Blocked(f"is over {LONGEST_URL:,} characters long")
        if _UNWANTED.search(url.strip()):
            raise Blocked("has signs in it that no URL has")
        try:
            parsed = URL(url.strip())
            if base is not None:
                parsed = base.join(parsed)
            parsed = parsed.with_fragment(None)
            host, port = parsed.raw_host, parsed.port
        except ValueError as error:
            raise Blocked("is no URL that can be read") from error
        if parsed.scheme not in {"http", "https"}:
            raise Blocked("begins with neither http nor https")
        if not host:
            raise Blocked("names no server")
        if parsed.raw_user is not None or parsed.raw_password is not None or "@" in parsed.raw_authority:
            raise Blocked("has a login in it, which is never sent")
        if port not in self.ports:
            raise Blocked("names a port that is not a web server's (80 or 443)")
        _checked_host(host, self.allows)
        return parsed

    def connector(self) -> "GuardedConnector":
        """A connector whose every connection was judged. To be made inside the running loop."""
        return GuardedConnector(self.allows, self.resolver())


def _allowed(address: str, allows: Callable[[Address], bool]) -> bool:
    try:
        # A zone after the address names an interface: such addresses are local ones.
        return "%" not in address and allows(ip_address(address))
    except ValueError:
        return False


class _GuardedResolver(AbstractResolver):
    """Looks names up with another resolver, and gives addresses only if all of them are allowed.

    A name that has addresses of both kinds is a trap: which one is connected to would be chance.
    """

    def __init__(self, allows: Callable[[Address], bool], inner: AbstractResolver) -> None:
        self._allows = allows
        self._inner = inner

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        found = await self._inner.resolve(host, port, family)
        if not all(_allowed(each["host"], self._allows) for each in found):
            raise Blocked(_INNER)
        return found

    async def close(self) -> None:
        await self._inner.close()


class GuardedConnector(aiohttp.TCPConnector):
    """Connects to allowed addresses only, whatever names, literals or resolvers said.

    Names are looked up anew for every connection and nothing is kept, so an answer that changes later is judged later.
    """

    def __init__(self, allows: Callable[[Address], bool], resolver: AbstractResolver) -> None:
        super().__init__(
            resolver=_GuardedResolver(allows, resolver),
            use_dns_cache=False,
            force_close=True,
            socket_factory=self._socket,
        )
        self._allows = allows

    def _socket(
        self, info: tuple[int | socket.AddressFamily, int | socket.SocketKind, int, str, tuple[object, ...]]
    ) -> socket.socket:
        """Called with the very address that is connected to next, also when it was written in the URL."""
        family, kind, protocol, _, address = info
        if not _allowed(str(address[0]), self._allows):
            raise Blocked(_INNER)
        return socket.socket(family, kind, protocol)

    async def connect(
        self, req: ClientRequest, traces: list[Trace], timeout: aiohttp.ClientTimeout
    ) -> aiohttp.connector.Connection:
        """A connection whose other end was judged. Nothing has been sent on it yet."""
        connection = await super().connect(req, traces, timeout)
        transport = connection.transport
        peer, own = map(transport.get_extra_info, ("peername", "sockname")) if transport else (None, None)
        # A public address may be this machine's own: then both ends of the connection have it.
        if not peer or not own or str(peer[0]) == str(own[0]) or not _allowed(str(peer[0]), self._allows):
            connection.close()
            raise Blocked(_INNER)
        return connection
