"""An engine whose streams never end, once so many are there: slowly at first, as a model's, then as fast as they are taken.

What else it is asked it has in its arguments.
"""

import asyncio
import json
import sys

LOOP, HOST, PORT, STREAMS, ANSWERS = sys.argv[1:]
ANSWERS = [(request.encode(), answer.encode()) for request, answer in json.loads(ANSWERS)]
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
EVENT = 2048
# So many events come one by one, with so much time behind each: streams that only pour are copied.
LEAD = 6
BEAT = 0.05
FILL = b"x" * (EVENT - len("data: ") - 20 - 2) + b"\n\n\r\n"

all_are_here = asyncio.Event()
streams = 0


async def pour(writer):
    global streams
    writer.write(HEAD)
    streams += 1
    if streams == int(STREAMS):
        all_are_here.set()
    await all_are_here.wait()
    number = 0
    while True:
        writer.write(b"800\r\ndata: %020d" % number + FILL)
        await writer.drain()
        number += 1
        if number <= LEAD:
            await asyncio.sleep(BEAT)


async def converse(reader, writer):
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            fields = dict(line.split(b":", 1) for line in head.lower().split(b"\r\n")[1:] if line)
            await reader.readexactly(int(fields.get(b"content-length", 0)))
            answer = next((answer for request, answer in ANSWERS if head.startswith(request)), None)
            if answer is None:
                await pour(writer)
            writer.write(answer)
            await writer.drain()
            if fields.get(b"connection", b"").strip() == b"close":
                return
    # uvloop has a RuntimeError for a stream that its client has left.
    except (asyncio.IncompleteReadError, ConnectionError, RuntimeError):
        pass
    finally:
        writer.close()


async def main():
    server = await asyncio.start_server(converse, HOST, int(PORT), backlog=1024)
    await server.serve_forever()


if LOOP == "uvloop":
    import uvloop

    uvloop.run(main())
else:
    asyncio.run(main())
