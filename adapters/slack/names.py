"""Names that carry where something belongs: tenants with their enterprise, gestures with their tenant."""

from collections.abc import Mapping
from typing import Any


def tenant_of(enterprise: str | None, team: str | None) -> str:
    """The tenant of a workspace: `T1`, or `E1/T1` in an enterprise. The same ids in two workspaces never meet."""
    return f"{enterprise}/{team or ''}" if enterprise else team or ""


def parts_of(tenant: str) -> tuple[str | None, str | None]:
    """The enterprise and the team of a tenant."""
    enterprise, slash, team = tenant.rpartition("/")
    return (enterprise if slash else None), team or None


def covers(tenant: str, other: str) -> bool:
    """Whether a tenant is the other one, or the organisation `E1/` that the other one is in."""
    return other == tenant or (tenant.endswith("/") and other.startswith(tenant))


def text_at(value: object, *path: str) -> str:
    """A text deep in a payload; empty where anything on the way is missing or of another kind."""
    for name in path:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value if isinstance(value, str) else ""


def tenant_in(body: Mapping[str, Any]) -> str:
    """The tenant that a payload of any kind came from."""
    first = _authorization(body)
    team = text_at(body, "team_id") or text_at(body, "team", "id") or text_at(first, "team_id")
    enterprise = text_at(body, "enterprise_id") or text_at(body, "enterprise", "id") or text_at(first, "enterprise_id")
    if not team:
        # An organisation's interactions in a shared channel name only the user's own team.
        team = text_at(body, "user", "team_id")
    return tenant_of(enterprise, team)


def departed_in(body: Mapping[str, Any]) -> str:
    """The tenant that the app was removed from: `E1/` where an organisation had it for all its workspaces. Slack then
    names no workspace, or one of them, or the organisation in its place."""
    enterprise, team = parts_of(tenant_in(body))
    if team and team.startswith("E"):
        return tenant_of(team, None)
    whole = _authorization(body).get("is_enterprise_install", body.get("is_enterprise_install"))
    return tenant_of(enterprise, None if enterprise and whole is True else team)


def _authorization(body: Mapping[str, Any]) -> Mapping[str, Any]:
    """For whom a payload is delivered, where it says that."""
    authorizations = body.get("authorizations")
    first = authorizations[0] if isinstance(authorizations, list) and authorizations else None
    return first if isinstance(first, Mapping) else {}
