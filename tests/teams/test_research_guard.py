"""The guard of page fetching: whatever URLs, names and redirects say, nothing inside a network is connected to."""

import socket
from ipaddress import IPv6Address, ip_address

import aiohttp
import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from teams.model import FailureKind
from teams.sources.fetch import Fetched, fetch
from teams.sources.guard import Blocked, Guard, is_public
from teams.sources.port import SourceFailed
from tests.little_web import INTERNAL, PUBLIC, Names, allows, little_web

INNER = [
    *("0.0.0.0", "0.1.2.3", "10.0.0.1", "100.64.0.1", "100.100.100.200", "100.127.255.255", "127.0.0.1", "127.255.0.1"),
    *("169.254.1.1", "169.254.169.254", "169.254.170.2", "172.16.0.1", "172.31.255.255", "192.0.0.170", "192.0.2.1"),
    *("192.88.99.1", "192.168.1.1", "198.18.0.1", "198.19.255.255", "198.51.100.7", "203.0.113.9", "224.0.0.1"),
    *("239.255.255.250", "240.0.0.1", "255.255.255.255", "168.63.129.16"),
    *("::", "::1", "::127.0.0.1", "::ffff:127.0.0.1", "::ffff:8.8.8.8", "::ffff:0:127.0.0.1", "64:ff9b::7f00:1"),
    *("64:ff9b::808:808", "64:ff9b:1::7f00:1", "100::1", "2001::1", "2001:0:4136:e378:8000:63bf:3fff:fdd2"),
    *("2001:2::1", "2001:10::1", "2001:20::1", "2001:db8::1", "2002:7f00:1::", "2002:7f00:1::1", "3ffe::1", "3fff::1"),
    *("5f00::1", "fc00::1", "fd00:ec2::254", "fd12:3456::1", "fe80::1", "fe80::1%1", "fec0::1", "ff02::1"),
]

PUBLIC_ONES = ["8.8.8.8", "1.1.1.1", "100.63.255.255", "172.15.0.1", "172.32.0.1", "93.184.215.14", "223.255.255.255"]
PUBLIC_ONES += ["2606:4700:4700::1111", "2a00:1450:4001:80b::200e", "2001:4860:4860::8888", "2003::1"]

# How one and the same address is written, by those who hope that a check and a connection read it differently.
LOOPBACK_WRITTEN = [
    *(
        "127.0.0.1",
        "127.1",
        "127.0.1",
        "2130706433",
        "0x7f000001",
        "0x7f.0.0.1",
        "0x7f.1",
        "0177.0.0.1",
        "017700000001",
    ),
    *("127.0.0.1.", "127.000.000.001", "0", "0.0.0.0", "[::1]", "[::]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]"),
    *(
        "[0:0:0:0:0:0:0:1]",
        "[::127.0.0.1]",
        "[64:ff9b::7f00:1]",
        "[64:ff9b:1::7f00:1]",
        "[2002:7f00:1::]",
        "[fe80::1%251]",
    ),
    *(
        "１２７.０.０.１",
        "127。0。0。1",
        "①②⑦.⓪.⓪.①",
        "%31%32%37.0.0.1",
        "127.0.0.1%00.example",
        "localhost",
        "LOCALHOST.",
    ),
    *("ⓛocalhost", "a.localhost", "localhost.localdomain", "printer", "printer.local", "wiki.internal", "nas.lan"),
]

METADATA = [
    *("169.254.169.254", "0xa9fea9fe", "2852039166", "0251.0376.0251.0376", "[::ffff:169.254.169.254]"),
    *("metadata.google.internal", "metadata", "[fd00:ec2::254]", "100.100.100.200", "168.63.129.16", "instance-data"),
]


@pytest.mark.parametrize("address", INNER)
def test_fault_65_research_calls_no_inner_address_public(address):
    assert not is_public(ip_address(address))


@pytest.mark.parametrize("address", PUBLIC_ONES)
def test_research_calls_the_addresses_of_the_internet_public(address):
    assert is_public(ip_address(address))


@given(st.ip_addresses())
def test_fault_65_research_never_calls_public_what_the_standard_library_calls_private(address):
    if is_public(address):
        words = ["private", "loopback", "link_local", "multicast", "reserved", "unspecified"]
        assert address.is_global
        assert [word for word in words if getattr(address, f"is_{word}")] == []
        assert [name for name in ("ipv4_mapped", "sixtofour", "teredo") if getattr(address, name, None)] == []


@given(st.ip_addresses(v=4))
def test_fault_65_research_never_calls_an_address_public_that_has_another_inside(inner):
    """Compatible, mapped, translated (NAT64, public and local), 6to4, Teredo."""
    number = int(inner)
    held = [number, 0xFFFF << 32 | number, 0x64FF9B << 96 | number, 0x64FF9B0001 << 80 | number]
    held += [0x2002 << 112 | number << 80, 0x20010000 << 96 | number << 64, 0x20010000 << 96 | number ^ 0xFFFFFFFF]
    assert [address for address in map(IPv6Address, held) if is_public(address)] == []


@pytest.mark.parametrize("host", [*LOOPBACK_WRITTEN, *METADATA])
async def test_fault_65_research_reaches_no_inner_server_however_its_address_is_written(host):
    async with little_web() as here:
        result = await fetch(here.internal(host), here.guard)

        assert isinstance(result, SourceFailed)
        assert result.kind is FailureKind.REFUSED
        assert here.reached == 0
        assert here.names.asked == []


@pytest.mark.parametrize(
    "tricks",
    [
        *("http://public.example@127.0.0.1:{port}/", "http://public.example:80@127.0.0.1:{port}/"),
        *("http://127.0.0.1:{port}#@public.example/", "http://127.0.0.1:{port}?@public.example/"),
        *("http://public.example#@127.0.0.1:{port}/", "http://user:word@public.example/", "http://@127.0.0.1:{port}/"),
        *("http://public.example\\@127.0.0.1:{port}/", "http://127.0.0.1:{port}\\@public.example/"),
        *("http:\\\\127.0.0.1:{port}/", "http:/127.0.0.1:{port}/", "http:127.0.0.1:{port}", "//127.0.0.1:{port}/"),
        *("http:///127.0.0.1:{port}/", "http://127.0.0.1\t:{port}/", "http://127.0.0.1\r\nHost: x:{port}/"),
        *("http://127.0.0.1 :{port}/", "http://127.0.0.1:0{port}/", "http://127.0.0.1:{port}:80/", "http://:{port}/"),
        *("http://[::1:{port}/", "http://[127.0.0.1]:{port}/", "http://[v1.127.0.0.1]:{port}/", "", " ", "http://"),
    ],
)
async def test_fault_65_research_is_not_led_astray_by_logins_fragments_and_signs(tricks):
    async with little_web() as here:
        # Who reads one of them as the public server's finds nothing there: nobody is connected to.
        here.names.names["public.example"] = [INTERNAL]

        result = await fetch(tricks.replace("{port}", str(here.internal_port)), here.guard)

        assert isinstance(result, SourceFailed)
        assert here.reached == 0


@pytest.mark.parametrize(
    "url",
    [
        *("file:///etc/passwd", "gopher://127.0.0.1:6379/_INFO", "ftp://public.example/", "data:text/html,x"),
        *("javascript:alert(1)", "ws://public.example/", "dict://127.0.0.1:11211/stat", "unix:///var/run/docker.sock"),
        *("jar:http://public.example!/", "ldap://127.0.0.1/", "view-source:http://public.example/", "about:blank"),
    ],
)
async def test_fault_65_research_fetches_by_http_alone(url):
    async with little_web() as here:
        result = await fetch(url, here.guard)

        assert isinstance(result, SourceFailed)
        assert result.kind is FailureKind.REFUSED
        assert (here.reached, here.seen, here.names.asked) == (0, [], [])


@pytest.mark.parametrize(
    "port", [0, 1, 22, 25, 81, 2375, 3306, 5432, 6379, 8000, 8080, 8443, 9200, 11211, 65535, 65536]
)
async def test_fault_65_research_fetches_from_the_ports_of_web_servers_alone(port):
    names = Names(public_example=[PUBLIC])

    result = await fetch(f"http://public.example:{port}/", Guard(allows, resolver=lambda: names))

    assert isinstance(result, SourceFailed)
    assert result.kind is FailureKind.REFUSED
    assert names.asked == []


@pytest.mark.parametrize("address", INNER)
async def test_fault_65_research_reaches_no_inner_server_by_a_public_name(address):
    async with little_web() as here:
        here.names.names["127.0.0.1.nip.io"] = [address]

        result = await fetch(here.internal("127.0.0.1.nip.io"), here.guard)

        assert isinstance(result, SourceFailed)
        assert result.kind is FailureKind.REFUSED
        assert here.names.asked == ["127.0.0.1.nip.io"]
        assert here.reached == 0


@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize("other", [INTERNAL, "10.0.0.1", "::1", "169.254.169.254"])
async def test_fault_65_research_takes_no_name_that_has_public_and_inner_addresses(order, other):
    async with little_web() as here:
        here.names.names["both.example"] = [PUBLIC, other][::order]

        results = [
            await fetch(url, here.guard) for url in (here.internal("both.example"), here.url("/", "both.example"))
        ]

        assert [result.kind for result in results] == [FailureKind.REFUSED] * 2
        assert (here.reached, here.seen) == (0, [])


async def test_fault_65_research_judges_a_name_anew_each_time_it_is_looked_up():
    """DNS rebinding: public when it is checked, inner when it is used."""
    async with little_web() as here:
        here.names.names["rebinding.example"] = [[PUBLIC], [INTERNAL]]
        here.pages["/"] = web.Response(text="public words", content_type="text/plain")

        first = await fetch(here.url("/", "rebinding.example"), here.guard)
        later = [await fetch(here.internal("rebinding.example"), here.guard) for _ in range(3)]

        assert isinstance(first, Fetched)
        assert first.body == b"public words"
        assert [result.kind for result in later] == [FailureKind.REFUSED] * 3
        assert here.names.asked == ["rebinding.example"] * 4
        assert here.reached == 0


async def test_fault_65_research_looks_a_name_up_once_and_connects_to_what_was_judged():
    async with little_web() as here:
        here.names.names["rebinding.example"] = [[PUBLIC], [INTERNAL]]

        await fetch(here.internal("rebinding.example"), here.guard)

        # The public address has nothing at that port; the second answer was never asked for.
        assert here.names.asked == ["rebinding.example"]
        assert here.reached == 0


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_fault_65_research_follows_no_redirect_to_an_inner_server(status):
    async with little_web() as here:
        here.names.names["inner.example"] = [INTERNAL]
        wheres = [
            *(here.internal(host) for host in LOOPBACK_WRITTEN if "\x00" not in host),
            *(
                here.internal("inner.example"),
                f"//127.0.0.1:{here.internal_port}/",
                "file:///etc/passwd",
                "gopher://x/",
            ),
            *(
                f"http://public.example@127.0.0.1:{here.internal_port}/",
                "http://public.example:22/",
                "",
                "http://[",
                "\\\\x",
            ),
        ]
        for where in wheres:
            here.pages["/"] = web.Response(status=status, headers={"Location": where})

            result = await fetch(here.url(), here.guard)

            assert isinstance(result, SourceFailed), where
        assert here.reached == 0
        assert len(here.seen) == len(wheres)


async def test_fault_65_research_judges_every_redirect_on_the_way():
    async with little_web() as here:
        for step in range(3):
            here.pages[f"/{step}"] = web.Response(status=302, headers={"Location": f"/{step + 1}"})
        here.pages["/3"] = web.Response(status=302, headers={"Location": here.internal()})

        result = await fetch(here.url("/0"), here.guard)

        assert isinstance(result, SourceFailed)
        assert "sends callers on to a URL that is not followed" in result.sentence
        assert (here.reached, len(here.seen)) == (0, 4)


@pytest.mark.parametrize("literal", ["127.0.0.1", "[::1]"])
async def test_fault_65_research_connects_to_no_inner_literal_even_if_nobody_looked_at_the_url(literal):
    async with little_web() as here, aiohttp.ClientSession(connector=here.guard.connector()) as session:
        with pytest.raises(aiohttp.ClientConnectorError) as refused:
            await session.get(here.internal(literal))

        assert isinstance(refused.value.os_error, Blocked)
        assert here.reached == 0


async def test_fault_65_research_follows_no_redirect_even_if_aiohttp_does():
    async with little_web() as here, aiohttp.ClientSession(connector=here.guard.connector()) as session:
        here.pages["/"] = web.Response(status=302, headers={"Location": here.internal()})
        with pytest.raises(aiohttp.ClientConnectorError):
            await session.get(here.url(), allow_redirects=True)

        assert here.reached == 0


async def test_fault_65_research_connects_to_no_inner_address_even_if_a_resolver_lies():
    """The verdict on a name changes between the look-up and the connection: the second one counts."""
    verdicts = [True]

    def once(address):
        return verdicts.pop() if verdicts else allows(address)

    async with little_web() as here:
        here.names.names["inner.example"] = [INTERNAL]
        guard = Guard(once, here.guard.ports, lambda: here.names)
        async with aiohttp.ClientSession(connector=guard.connector()) as session:
            with pytest.raises(aiohttp.ClientConnectorError):
                await session.get(here.internal("inner.example"))

        assert verdicts == []
        assert here.reached == 0


async def test_fault_65_research_sends_nothing_to_a_peer_that_is_not_allowed():
    """The last of the checks: the other end of a connection that stands, before a byte is sent on it."""
    verdicts = [True, True]

    def twice(address):
        return verdicts.pop() if verdicts else False

    async with little_web() as here:
        here.pages["/"] = web.Response(text="words")
        guard = Guard(twice, here.guard.ports, lambda: here.names)
        async with aiohttp.ClientSession(connector=guard.connector()) as session:
            with pytest.raises(aiohttp.ClientOSError):
                await session.get(here.url())

        assert here.seen == []


async def test_fault_65_research_sends_nothing_to_an_address_of_this_machine_that_counts_as_public():
    async with little_web() as here:
        here.names.names["own.example"] = [INTERNAL]
        guard = Guard(lambda address: allows(address) or str(address) == INTERNAL, here.guard.ports, lambda: here.names)

        own = await fetch(here.internal(), guard)
        other = await fetch(here.internal("own.example"), guard)

        assert [own.kind, other.kind] == [FailureKind.REFUSED] * 2
        assert "is an address inside a network" in own.sentence


async def test_research_takes_neither_proxies_nor_logins_nor_cookies_from_anywhere(monkeypatch, tmp_path):
    netrc = tmp_path / "netrc"
    netrc.write_text("default login somebody password CANARY\n")
    monkeypatch.setenv("NETRC", str(netrc))
    async with little_web() as here:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, here.internal())
        onward = web.Response(status=302, headers={"Location": "/second", "Set-Cookie": "a=CANARY; Path=/"})
        here.pages |= {"/": onward, "/second": web.Response(text="words")}

        result = await fetch(here.url(), here.guard)

        assert isinstance(result, Fetched)
        assert here.reached == 0
        for request in here.seen:
            assert not {"Cookie", "Authorization", "Referer", "Proxy-Authorization"} & set(request.headers)
            assert request.headers["Accept-Encoding"] == "gzip, deflate"


async def test_research_tells_of_a_blocked_page_without_repeating_its_url():
    async with little_web() as here:
        result = await fetch(here.internal("127.0.0.1", "/CANARY?key=CANARY"), here.guard)

        assert isinstance(result, SourceFailed)
        assert "CANARY" not in str(result)
        assert "is an address inside a network" in result.sentence


def test_research_takes_no_url_that_is_longer_than_any_page_needs():
    with pytest.raises(Blocked, match="characters long"):
        Guard().checked("https://public.example/" + "x" * 2_000)


@pytest.mark.parametrize(
    ("url", "fetched"),
    [
        ("https://example.com", "https://example.com"),
        ("HTTP://Example.COM:80/a b?q=ä#part", "http://example.com/a%20b?q=%C3%A4"),
        ("https://bücher.example/", "https://xn--bcher-kva.example/"),
        ("https://8.8.8.8/x", "https://8.8.8.8/x"),
        ("https://[2606:4700:4700::1111]/", "https://[2606:4700:4700::1111]/"),
        ("https://a_b.example.co.uk./", "https://a_b.example.co.uk./"),
        ("https://xn--p1ai.xn--p1ai/", "https://xn--p1ai.xn--p1ai/"),
    ],
)
def test_research_takes_the_urls_of_the_web(url, fetched):
    assert str(Guard().checked(url)) == fetched


@given(st.text(max_size=60), st.sampled_from(["", "http://", "https://", "http://127.0.0.1", "http://[::1]"]))
def test_research_gives_every_url_a_verdict(text, start):
    try:
        checked = Guard().checked(start + text)
    except Blocked:
        return
    assert checked.scheme in {"http", "https"}
    assert checked.port in {80, 443}
    assert checked.raw_host not in {"127.0.0.1", "::1"}
    assert checked.user is None


def test_the_system_reads_the_odd_notations_as_the_tests_say():
    """Else the tests above would prove nothing: these are addresses of this machine, to who asks the system."""
    for written in ("127.1", "2130706433", "0x7f000001", "0177.0.0.1"):
        assert socket.getaddrinfo(written, 80, type=socket.SOCK_STREAM)[0][4][0] == "127.0.0.1"
