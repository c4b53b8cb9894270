"""Names that carry where something belongs: tenants with their enterprise, gestures with their tenant."""

import hashlib
from collections.abc import Mapping
from typing import Any


def tenant_of(enterprise: str | None, team: str | None) -> str:
    """The tenant of a workspace: `T1`, or `E1/T1` in an enterprise. The same ids in two workspaces never meet."""
    return f"{enterprise}/{team or ''}" if enterprise else team or ""


def parts_of(tenant: str) -> tuple[str | None, str | None]:
    """The enterprise and the team of a tenant."""
    enterprise, slash, team = tenant.rpartition("/")
    return (enterprise if slash else None), team or None


def key_of(*parts: str) -> str:
    """The key of a gesture, from all that tells it from every other one."""
    return hashlib.sha256("\x1f".join(parts).encode("utf-8", "surrogatepass")).hexdigest()[:24]


def text_at(value: object, *path: str) -> str:
    """A text deep in a payload; empty where anything on the way is missing or of another kind."""
    for name in path:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value if isinstance(value, str) else ""


def tenant_in(body: Mapping[str, Any]) -> str:
    """The tenant that a payload of any kind came from."""
    authorizations = body.get("authorizations")
    first = authorizations[0] if isinstance(authorizations, list) and authorizations else {}
    team = text_at(body, "team_id") or text_at(body, "team", "id") or text_at(first, "team_id")
    enterprise = text_at(body, "enterprise_id") or text_at(body, "enterprise", "id") or text_at(first, "enterprise_id")
    if not team:
        # An organisation's interactions in a shared channel name only the user's own team.
        team = text_at(body, "user", "team_id")
    return tenant_of(enterprise, team)
