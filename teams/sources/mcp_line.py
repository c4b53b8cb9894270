"""One connection to an MCP server, over a program's streams or HTTP, with the MCP library's client.

Takes more than a second to import, and so is imported late and in a thread.
"""

import json
import re
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from typing import Any

import anyio
import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError
from mcp_types import (
    CONNECTION_CLOSED,
    AudioContent,
    CallToolRequest,
    CallToolRequestParams,
    CallToolResult,
    EmbeddedResource,
    ImageContent,
    ResourceLink,
    TextContent,
    TextResourceContents,
)
from pydantic import ValidationError

from teams.sources.mcp_stdio import LARGEST, Heard, program
from teams.sources.mcp_words import (
    MOST_TOOLS,
    Definition,
    HttpServer,
    Said,
    Server,
    ServerGarbled,
    ServerGone,
    ServerRefused,
    StdioServer,
)

MOST_PAGES = 20
"""Pages of a list of tools. A list that goes on is no list."""

# Its own machine is reached without a proxy, whatever the environment says of others.
_NO_PROXY: Mapping[str, None] = {"all://localhost": None, "all://127.0.0.1": None, "all://[::1]": None}


@asynccontextmanager
async def connected(server: Server, values: Mapping[str, str], heard: Heard) -> AsyncIterator[Client]:
    """A session with the server, ready for calls from any task of this loop.

    `values` are the variables that it gets. It is offered nothing in return: no sampling, no roots, no questions to
    people, and what it says of itself as instructions is not read.
    """
    async with AsyncExitStack() as stack:
        if isinstance(server, StdioServer):
            transport: Any = program(server, values, heard)
        else:
            client = await stack.enter_async_context(_http(server, values, heard))
            transport = streamable_http_client(server.url, http_client=client, max_sse_event_size=LARGEST)
        # No cache: what a server says of its tools is asked anew before each call.
        yield await stack.enter_async_context(Client(transport, cache=None))


async def listing(client: Client) -> tuple[Definition, ...]:
    """All tools of the server, as it describes them now."""
    listed: list[Definition] = []
    cursor = None
    with _translated():
        for _ in range(MOST_PAGES):
            page = await client.list_tools(cursor=cursor)
            listed += (
                Definition(tool.name, tool.description or "", tool.input_schema, tool.output_schema)
                for tool in page.tools
            )
            if len(listed) > MOST_TOOLS:
                raise ServerGarbled(f"it lists more than {MOST_TOOLS} tools; give it fewer, or leave it out")
            cursor = page.next_cursor
            if cursor is None:
                return tuple(listed)
    raise ServerGarbled


async def called(client: Client, tool: str, arguments: Mapping[str, Any]) -> Said:
    """What the tool gives. Never asked twice: nobody knows what a call does."""
    request = CallToolRequest(params=CallToolRequestParams(name=tool, arguments=dict(arguments)))
    with _translated():
        # Below `Client.call_tool`, which holds the result against the output schema: a pattern of the server's in our
        # loop, for a part of the result that is not read.
        result = await client.session.send_request(request, CallToolResult)
    if result.result_type != "complete":
        raise ServerGarbled
    return _said(result)


def failed_with(error: BaseException, kind: type[BaseException]) -> bool:
    """Whether an error is of that kind, or holds one that is."""
    if isinstance(error, BaseExceptionGroup):
        return any(failed_with(each, kind) for each in error.exceptions)
    return isinstance(error, kind)


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except MCPError as error:
        if error.code == CONNECTION_CLOSED:
            raise ServerGone from error
        raise ServerRefused from error
    except (ValidationError, ValueError, RecursionError) as error:
        raise ServerGarbled from error
    except (anyio.ClosedResourceError, anyio.BrokenResourceError, httpx2.HTTPError, RuntimeError) as error:
        # A session that is closed says so with a plain RuntimeError.
        raise ServerGone from error


def _said(result: CallToolResult) -> Said:
    texts: list[str] = []
    left_out: list[str] = []
    for part in result.content:
        match part:
            case TextContent():
                texts.append(part.text)
            case EmbeddedResource(resource=TextResourceContents(text=text)):
                texts.append(text)
            case ImageContent() | AudioContent():
                left_out.append(_kind(part.type, part.mime_type))
            case EmbeddedResource(resource=resource):
                left_out.append(_kind("resource", resource.mime_type))
            case ResourceLink():
                left_out.append(_kind("link", part.mime_type))
    if not texts and not left_out and result.structured_content is not None:
        texts.append(json.dumps(result.structured_content, ensure_ascii=False))
    return Said("\n\n".join(texts), tuple(left_out), result.is_error)


def _kind(what: str, mime_type: str | None) -> str:
    # The server's word, and so only if it is one.
    fits = mime_type is not None and re.fullmatch(r"[a-z]{1,20}/[a-z0-9.+-]{1,60}", mime_type)
    return f"{what} ({mime_type})" if fits else what


def _http(server: HttpServer, values: Mapping[str, str], heard: Heard) -> httpx2.AsyncClient:
    """A client that sends the server's headers. Neither it nor the session follows a redirect to another origin."""

    async def bounded(response: httpx2.Response) -> None:
        heard.status = response.status_code
        if response.headers.get("content-encoding", "identity").lower() != "identity":
            # It was asked for none, and what unfolds has no bound.
            heard.too_large = True
            raise httpx2.StreamError("a compressed answer")
        if response.request.method != "GET" and isinstance(response.stream, httpx2.AsyncByteStream):
            response.stream = _Bounded(response.stream, heard)

    headers = {header: values[variable] for header, variable in server.headers} | {"Accept-Encoding": "identity"}
    return httpx2.AsyncClient(
        headers=headers,
        timeout=httpx2.Timeout(30.0, read=300.0),
        mounts=_NO_PROXY,
        event_hooks={"response": [bounded]},
        max_redirects=5,
    )


class _Bounded(httpx2.AsyncByteStream):
    def __init__(self, stream: httpx2.AsyncByteStream, heard: Heard) -> None:
        self._stream, self._heard = stream, heard

    async def __aiter__(self) -> AsyncIterator[bytes]:
        read = 0
        async for chunk in self._stream:
            read += len(chunk)
            if read > LARGEST:
                self._heard.too_large = True
                raise httpx2.StreamError("a larger answer than is read")
            yield chunk

    async def aclose(self) -> None:
        await self._stream.aclose()
