"""Which proxy a request takes, by the environment. Knows no model and no provider."""

from ipaddress import ip_address
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass


def proxy_for(url: str) -> str | None:
    """The proxy that the environment names for `url`; never one for this machine, whose prompts stay on it.

    aiohttp's own `trust_env` would also take a login out of netrc and send it to the model's provider.
    """
    target = urlsplit(url)
    host = target.hostname or ""
    if host == "localhost" or _is_loopback(host) or proxy_bypass(host):
        return None
    return getproxies().get(target.scheme)


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
