"""Holds REST requests and answers against Discord's own OpenAPI document, and messages against what it leaves out.

The document is Discord's "Discord HTTP API (Preview)", version 10. It lies beside the repository and is not part of it;
without it the other rules still hold, and `needs_document` skips what is about nothing else.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote, unquote

import pytest
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

Json = dict[str, Any]

DOCUMENT = Path(__file__).parents[4] / "shared/data/discord-openapi.json"
BASE = "/api/v10"
REASON = f"needs Discord's OpenAPI document at ../shared/data/{DOCUMENT.name}, beside the repository"
needs_document = pytest.mark.skipif(not DOCUMENT.exists(), reason=REASON)

CONTENT_MOST, TEXT_MOST, COMPONENTS_MOST, CUSTOM_ID_MOST, FILES_MOST = 2_000, 4_000, 40, 100, 10
EMBEDS_MOST = 6_000
COMPONENTS_V2 = 1 << 15
NEW_KINDS = {9, 10, 11, 12, 13, 14, 17}
"""Section, text display, thumbnail, media gallery, file, separator, container: only in a message of Components V2."""
TEXT_DISPLAY, FILE, BUTTON = 10, 13, 2
MODAL_ROWS_MOST = 5
CREATES = {"create_message", "execute_webhook"}
EDITS = {"update_message", "update_webhook_message"}
CALLBACK = "create_interaction_response"
WITH_MESSAGE = {
    "create_message": re.compile(r"POST /channels/[^/]+/messages"),
    "update_message": re.compile(r"PATCH /channels/[^/]+/messages/[^/]+"),
    "execute_webhook": re.compile(r"POST /webhooks/[^/]+/[^/]+"),
    "update_webhook_message": re.compile(r"PATCH /webhooks/[^/]+/[^/]+/messages/[^/]+"),
    CALLBACK: re.compile(r"POST /interactions/[^/]+/[^/]+/callback"),
}
"""Which requests have a message in them, known without the document too."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request: `path` below the host, `body` as JSON (of a form, its `payload_json`), `files` the form's other
    fields. None for `files` is: not known."""

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    body: Any = None
    files: tuple[str, ...] | None = None


class Recorded(Protocol):
    """A request as simcord keeps it in `env.http_requests`: the path without `/api/v10`, a form's JSON as `json`."""

    method: str
    path: str
    params: dict[str, Any]
    json: Any


def assert_valid(requests: Iterable[Request | Recorded]) -> None:
    """Fails with everything that is wrong with any of the requests."""
    wrong = [f"{one.method} {one.path}: {problem}" for one in map(taken, requests) for problem in problems(one)]
    assert not wrong, "\n".join(wrong)


def taken(request: Request | Recorded) -> Request:
    if isinstance(request, Request):
        return request
    query = {name: str(value) for name, value in request.params.items()}
    return Request(request.method, request.path, query, request.json)


def problems(request: Request) -> list[str]:
    """What Discord would not take in this request, and what no request of a bot that alerts nobody may lack."""
    line = f"{request.method} {request.path.removeprefix(BASE)}"
    name = next((name for name, pattern in WITH_MESSAGE.items() if pattern.fullmatch(line)), "")
    return schema_problems(request) + message_problems(name, request.body, request.files)


# Discord's document


@dataclass(frozen=True, slots=True)
class Route:
    """One operation of the document."""

    method: str
    template: str
    name: str

    def pointer(self, *more: str) -> str:
        return "/".join(
            part.replace("~", "~0").replace("/", "~1") for part in ("paths", self.template, self.method, *more)
        )


@cache
def document() -> Json:
    loaded: Json = json.loads(DOCUMENT.read_text()) if DOCUMENT.exists() else {"paths": {}}
    return loaded


@cache
def registry(of_requests: bool) -> Registry[Any]:
    """The document as schemas refer to it. Discord takes snowflakes as numbers too, as discord.py sends some; it
    never answers so."""
    contents = document()
    if of_requests and contents["paths"]:
        schemas = contents["components"]["schemas"]
        either = {"anyOf": [schemas["SnowflakeType"], {"type": "integer", "minimum": 0}]}
        components = contents["components"] | {"schemas": schemas | {"SnowflakeType": either}}
        contents = contents | {"components": components}
    return Registry().with_resource("discord:api", Resource(contents, DRAFT202012))


@cache
def routes() -> dict[tuple[str, int], list[tuple[re.Pattern[str], Route]]]:
    """Every operation by method and number of parts, those with fewer unknown parts first."""
    found: dict[tuple[str, int], list[tuple[re.Pattern[str], Route]]] = {}
    for template, operations in document()["paths"].items():
        pattern = re.compile(re.sub(r"\\{\w+\\}", "[^/]+", re.escape(template)))
        for method, told in operations.items():
            if method != "parameters":
                key = (method, template.count("/"))
                found.setdefault(key, []).append((pattern, Route(method, template, told["operationId"])))
    for listed in found.values():
        listed.sort(key=lambda each: each[1].template.count("{"))
    return found


def route_of(method: str, path: str) -> Route | None:
    path = path.removeprefix(BASE)
    listed = routes().get((method.lower(), path.count("/")), [])
    return next((route for pattern, route in listed if pattern.fullmatch(path)), None)


@cache
def validator(pointer: str, of_requests: bool) -> Draft202012Validator:
    reference = {"$ref": f"discord:api#/{quote(pointer, safe='/~')}"}
    return Draft202012Validator(reference, registry=registry(of_requests))


def told_of(error: ValidationError) -> str:
    """The likeliest cause, in a line: the document says "one of these" where a component may be of many kinds."""
    while error.context:
        branches: dict[Any, list[ValidationError]] = {}
        for each in error.context:
            branches.setdefault(each.schema_path[0], []).append(each)
        fitting = [one for one in branches.values() if not any(list(each.relative_path) == ["type"] for each in one)]
        error = (fitting or [error.context])[0][0]
    return f"{'.'.join(map(str, error.absolute_path)) or 'body'}: {error.message[:300]}"


def schema_problems(request: Request) -> list[str]:
    if not DOCUMENT.exists():
        return []
    route = route_of(request.method, request.path)
    if route is None:
        return ["no such route"]
    told = document()["paths"][route.template]
    return [
        *parameter_problems(route, request, told.get("parameters", [])),
        *parameter_problems(route, request, told[route.method].get("parameters", []), own=True),
        *body_problems(route, request, told[route.method]),
    ]


def parameter_problems(route: Route, request: Request, told: list[Json], *, own: bool = False) -> Iterator[str]:
    in_path = dict(zip(route.template.split("/"), request.path.removeprefix(BASE).split("/"), strict=True))
    place = (route.method, "parameters") if own else ("parameters",)
    listed = {one["name"]: number for number, one in enumerate(told) if one["in"] == "query"}
    if own:
        yield from (f"query {name}: not a parameter of {route.name}" for name in request.query.keys() - listed.keys())
    elif request.query and not document()["paths"][route.template][route.method].get("parameters"):
        yield f"query: {route.name} takes none"
    for number, one in enumerate(told):
        given = unquote(in_path[f"{{{one['name']}}}"]) if one["in"] == "path" else request.query.get(one["name"])
        if given is None:
            if one.get("required"):
                yield f"{one['in']} {one['name']}: missing"
            continue
        pointer = "/".join(p.replace("/", "~1") for p in ("paths", route.template, *place, str(number), "schema"))
        yield from (
            f"{one['in']} {one['name']}: {error.message}"
            for error in validator(pointer, True).iter_errors(typed(given, one["schema"]))
        )


def typed(given: str, schema: Json) -> Any:
    """A parameter's text as what it stands for."""
    kind = schema.get("type")
    if kind == "integer" and re.fullmatch(r"-?\d+", given):
        return int(given)
    if kind == "boolean" and given.lower() in ("0", "1", "true", "false"):
        return given.lower() in ("1", "true")
    return given


def body_problems(route: Route, request: Request, told: Json) -> Iterator[str]:
    wanted = told.get("requestBody")
    if wanted is None:
        if request.body is not None:
            yield f"body: {route.name} takes none"
        return
    if request.body is None:
        if wanted.get("required"):
            yield "body: missing"
        return
    check = validator(route.pointer("requestBody", "content", "application/json", "schema"), True)
    yield from (told_of(error) for error in check.iter_errors(request.body))


def answer_problems(method: str, path: str, status: int, body: Any) -> list[str]:
    """What in an answer is not as Discord answers."""
    if (route := route_of(method, path)) is None:
        return [] if not DOCUMENT.exists() else ["no such route"]
    answers = document()["paths"][route.template][route.method]["responses"]
    name = str(status) if str(status) in answers else f"{status // 100}XX"
    if name not in answers:
        return [f"{status} is no answer of {route.name}"]
    told, pointer = answers[name], route.pointer("responses", name)
    if reference := told.get("$ref"):
        pointer = reference.removeprefix("#/")
        told = document()["components"]["responses"][pointer.rpartition("/")[2]]
    if "content" not in told:
        return [] if body is None else ["body: there is none"]
    check = validator(f"{pointer}/content/application~1json/schema", False)
    return [told_of(error) for error in check.iter_errors(body)]


# Rules that the document leaves out


def message_of(name: str, body: Any) -> Json | None:
    """The message in a request; None where it has none."""
    if not isinstance(body, dict):
        return None
    if name == CALLBACK:
        data = body.get("data")
        return data if body.get("type") in (4, 7) and isinstance(data, dict) else None
    return body if name in CREATES | EDITS else None


def message_problems(name: str, body: Any, files: tuple[str, ...] | None = None) -> list[str]:
    if name == CALLBACK and isinstance(body, dict) and body.get("type") == 9:
        return list(modal_problems(body.get("data") or {}))
    message = message_of(name, body)
    if message is None:
        return []
    creates = name in CREATES or (name == CALLBACK and body["type"] == 4)
    return [
        *text_problems(message),
        *component_problems(message, creates),
        *file_problems(message, files),
        *mention_problems(message),
    ]


def units(text: str) -> int:
    """Length as JavaScript counts, which is never less than characters."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def text_problems(message: Json) -> Iterator[str]:
    """("Message Resource", "Message Content" and "Embed Limits")"""
    if units(message.get("content") or "") > CONTENT_MOST:
        yield f"content: over {CONTENT_MOST} characters"
    texts = [text for embed in message.get("embeds") or () for text in embed_texts(embed)]
    if sum(map(units, texts)) > EMBEDS_MOST:
        yield f"embeds: over {EMBEDS_MOST} characters together"


def embed_texts(embed: Json) -> Iterator[str]:
    yield from (embed.get(key) or "" for key in ("title", "description"))
    yield (embed.get("footer") or {}).get("text") or ""
    yield (embed.get("author") or {}).get("name") or ""
    for part in embed.get("fields") or ():
        yield from (part.get("name") or "", part.get("value") or "")


def walked(components: Any) -> Iterator[Json]:
    """Every component, outer before inner."""
    for one in components or ():
        if isinstance(one, dict):
            yield one
            yield from walked(one.get("components"))
            yield from walked([inner for key in ("accessory", "component") if (inner := one.get(key))])


def component_problems(message: Json, creates: bool) -> Iterator[str]:
    """("Component Reference", "Using Message Components": Components V2)"""
    every = list(walked(message.get("components")))
    new = any(one.get("type") in NEW_KINDS for one in every)
    flagged = bool((message.get("flags") or 0) & COMPONENTS_V2)
    if new and not flagged and creates:
        yield f"flags: components of V2 without {COMPONENTS_V2}"
    if new or flagged:
        yield from (
            f"{key}: not together with Components V2" for key in ("content", "embeds", "poll") if message.get(key)
        )
    if len(every) > COMPONENTS_MOST:
        yield f"components: {len(every)} are more than {COMPONENTS_MOST}"
    displayed = sum(units(one.get("content") or "") for one in every if one.get("type") == TEXT_DISPLAY)
    if displayed > TEXT_MOST:
        yield f"components: {displayed} displayed characters are more than {TEXT_MOST}"
    ids = [one["id"] for one in every if one.get("id")]
    if len(ids) != len(set(ids)):
        yield "components: an id occurs twice"
    yield from custom_id_problems(every)


def custom_id_problems(every: list[Json]) -> Iterator[str]:
    names = [one["custom_id"] for one in every if one.get("custom_id") is not None]
    if len(names) != len(set(names)):
        yield "components: a custom_id occurs twice"
    yield from (f"custom_id: {name!r} is over {CUSTOM_ID_MOST}" for name in names if units(name) > CUSTOM_ID_MOST)
    yield from (
        "button: neither a label nor an emoji"
        for one in every
        if one.get("type") == BUTTON and not one.get("label") and not one.get("emoji")
    )


def file_problems(message: Json, files: tuple[str, ...] | None) -> Iterator[str]:
    """In a message of Components V2 a file is only seen where a component shows it, and a component only shows what
    was sent ("Component Reference", "Uploading a file")."""
    attachments = message.get("attachments") or []
    named = {one.get("filename") for one in attachments}
    if files is not None:
        wanted = {f"files[{one['id']}]" for one in attachments if one.get("filename")}
        yield from (f"{name}: in the form and not among the attachments" for name in sorted(set(files) - wanted))
    if len(attachments) > FILES_MOST:
        yield f"attachments: more than {FILES_MOST}"
    every = list(walked(message.get("components")))
    shown = {one["file"]["url"] for one in every if one.get("type") == FILE}
    for url in sorted(shown):
        name = url.removeprefix("attachment://")
        if name == url:
            yield f"file: {url!r} is not an attachment"
        elif attachments and None not in named and name not in named:
            yield f"file: {name!r} is not among the attachments"
    if (message.get("flags") or 0) & COMPONENTS_V2:
        hidden = {name for name in named if name} - {url.removeprefix("attachment://") for url in shown}
        yield from (f"attachments: no component shows {name!r}" for name in sorted(hidden))


def mention_problems(message: Json) -> Iterator[str]:
    """Without `allowed_mentions` everything that looks like a mention alerts ("Allowed Mentions Object"): a message of
    ours always says that nobody is, but for people by their id."""
    if not any(message.get(key) for key in ("content", "components", "embeds")):
        return
    allowed = message.get("allowed_mentions")
    if not isinstance(allowed, dict):
        yield "allowed_mentions: missing"
        return
    if allowed.get("parse") != []:
        yield f"allowed_mentions: parse is {allowed.get('parse')!r}, not []"
    if allowed.get("roles") or allowed.get("replied_user"):
        yield "allowed_mentions: a role or whoever is replied to is alerted"


def modal_problems(modal: Json) -> Iterator[str]:
    """("Modals": up to 5 top-level components)"""
    rows = modal.get("components") or []
    if len(rows) > MODAL_ROWS_MOST:
        yield f"components: {len(rows)} are more than a modal's {MODAL_ROWS_MOST}"
    yield from custom_id_problems(list(walked(rows)))
