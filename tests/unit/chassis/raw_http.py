"""HTTP over plain streams, for requests that no client library sends."""

import asyncio

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]

HELLO = b"GET /hello HTTP/1.1\r\nHost: here\r\n\r\n"


async def send(streams: Streams, request: bytes) -> int:
    """Send a request and return the status of its response; 0 without a response."""
    streams[1].write(request)
    return await read_status(streams)


async def read_status(streams: Streams) -> int:
    head = await read_head(streams)
    return int(head.split()[1]) if head else 0


async def read_head(streams: Streams) -> str:
    """Read one response; return its head in lower case, "" without a response."""
    reader, _ = streams
    try:
        head = (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 30)).decode().lower()
        await reader.readexactly(int(head.split("content-length: ")[1].split("\r\n")[0]))
    except (ConnectionError, asyncio.IncompleteReadError, TimeoutError):
        return ""
    return head
