"""A web of this machine: a public server on 127.0.0.2, an internal one that nobody may reach, and names for both.

Only the look-up of names and the verdict on 127.0.0.2 are the tests' own; connections and HTTP are real.
"""

import asyncio
import socket
import ssl
import time
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address, ip_address

from aiohttp import web
from aiohttp.abc import AbstractResolver
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from teams.sources.guard import Guard, is_public

PUBLIC = "127.0.0.2"
INTERNAL = "127.0.0.1"


def allows(address) -> bool:
    """The rule, with one address of this machine counted as public."""
    return address == IPv4Address(PUBLIC) or is_public(address)


class Names(AbstractResolver):
    """Names to addresses, in the order given; a list of lists is one answer per question. `asked` is who was asked for.

    What is no name it knows goes to the system, as long as that needs no network: odd notations of addresses.
    """

    def __init__(self, **names) -> None:
        self.names = {name.replace("_", "."): answer for name, answer in names.items()}
        self.asked: list[str] = []

    async def resolve(self, host, port=0, family=socket.AF_UNSPEC):
        self.asked.append(host)
        answer = self.names.get(host)
        if answer is None:
            infos = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
            answer = [info[4][0] for info in infos]
        elif isinstance(answer[0], list):
            answer = answer.pop(0) if len(answer) > 1 else answer[0]
        return [self._result(host, each, port) for each in answer]

    def _result(self, host, address, port):
        family = socket.AF_INET if ip_address(address).version == 4 else socket.AF_INET6
        return {"hostname": host, "host": address, "port": port, "family": family, "proto": 0, "flags": 0}

    async def close(self) -> None:
        pass


class LittleWeb:
    """The two servers. `reached` counts connections to the internal one, `seen` are the public one's requests."""

    def __init__(self) -> None:
        self.reached = 0
        self.seen: list[web.BaseRequest] = []
        self.pages: dict[str, object] = {}
        self.names = Names(public_example=[PUBLIC], www_public_example=[PUBLIC])
        self.port = self.internal_port = 0

    @property
    def guard(self) -> Guard:
        return Guard(allows, frozenset({80, 443, self.port, self.internal_port}), lambda: self.names)

    def url(self, path="/", host="public.example") -> str:
        return f"http://{host}:{self.port}{path}"

    def internal(self, host="127.0.0.1", path="/") -> str:
        return f"http://{host}:{self.internal_port}{path}"

    async def answer(self, request):
        self.seen.append(request)
        page = self.pages[request.path]
        if isinstance(page, web.Response | web.StreamResponse):
            return page
        return await page(request)

    async def count(self, reader, writer) -> None:
        self.reached += 1
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 6\r\n\r\nSECRET")
        writer.close()


@asynccontextmanager
async def little_web():
    """Both servers, as long as the block lasts."""
    here = LittleWeb()
    # The internal one listens on IPv4 and, where there is such a thing, on IPv6: at one port, or half of it is missed.
    internal = [await asyncio.start_server(here.count, INTERNAL, 0)]
    here.internal_port = internal[0].sockets[0].getsockname()[1]
    if socket.has_ipv6:
        with suppress(OSError):
            internal.append(await asyncio.start_server(here.count, "::1", here.internal_port))
    runner = web.ServerRunner(web.Server(here.answer), shutdown_timeout=0.1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, PUBLIC, 0)
        await site.start()
        here.port = site._server.sockets[0].getsockname()[1]
        yield here
    finally:
        for server in internal:
            server.close()
        await runner.cleanup()


@asynccontextmanager
async def raw_server(serve, host=PUBLIC, tls=None):
    """A server that writes what it likes, once a request's head has come: `serve(reader, writer)`. Gives its port."""
    tasks = set()

    async def kept(reader, writer):
        tasks.add(asyncio.current_task())
        try:
            await reader.readuntil(b"\r\n\r\n")
            await serve(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(kept, host, 0, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def certified(folder, *hosts) -> ssl.SSLContext:
    """A server's side of TLS for these names, vouched for by `folder/authority.pem` and by nobody else."""
    now = datetime.now(UTC)

    def signed(name, key, issuer, signer, *extensions):
        maker = x509.CertificateBuilder().subject_name(name).issuer_name(issuer).public_key(key.public_key())
        maker = maker.serial_number(x509.random_serial_number())
        maker = maker.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
        for extension in extensions:
            maker = maker.add_extension(extension, critical=isinstance(extension, x509.BasicConstraints))
        return maker.sign(signer, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    root, leaf = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "an authority of these tests")])
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, hosts[0])])
    names = x509.SubjectAlternativeName([x509.DNSName(host) for host in hosts])
    authority = x509.BasicConstraints(ca=True, path_length=0)
    (folder / "authority.pem").write_bytes(signed(issuer, root, issuer, root, authority))
    (folder / "server.pem").write_bytes(
        signed(subject, leaf, issuer, root, names, x509.BasicConstraints(ca=False, path_length=None))
        + leaf.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem")
    return context


class Lags:
    """How late the loop was, tick by tick, in seconds.

    Late by the clock and busy by the processor's own count, whichever is less: on a machine with much else to do a loop
    is late without having done anything.
    """

    def __init__(self) -> None:
        self.each: list[float] = []

    @property
    def worst(self) -> float:
        return max(self.each, default=0.0)


@asynccontextmanager
async def lags(tick=0.005):
    """Measures how long the loop keeps others waiting while the block runs."""
    found, clock = Lags(), asyncio.get_running_loop().time

    async def run() -> None:
        while True:
            before, busy = clock(), time.thread_time()
            await asyncio.sleep(tick)
            found.each.append(min(clock() - before - tick, time.thread_time() - busy))

    task = asyncio.create_task(run())
    try:
        yield found
    finally:
        task.cancel()


async def least_lag(work, tries=3, enough=0.05) -> float:
    """The worst lag of the best of some tries: other processes' work on this machine is not the code's."""
    best = float("inf")
    for _ in range(tries):
        async with lags() as found:
            await work()
        best = min(best, found.worst)
        if best <= enough:
            break
    return best
