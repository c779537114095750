"""A protocol of your own between two hosts: `python own_protocol.py`. Nothing is kept on disk."""

import asyncio

import sereus


async def shout(stream: sereus.aio.Stream) -> None:
    await stream.write((await stream.read_all()).upper())


async def main() -> None:
    async with sereus.aio.Node() as node:
        server = await node.create_host(listen=["/ip4/127.0.0.1/udp/0/quic-v1"])
        await server.serve("/shout/1.0.0", shout)
        client = await node.create_host()
        connection = await client.dial(await server.addresses())
        async with await connection.open_stream("/shout/1.0.0") as stream:
            await stream.write("hello from here")
            await stream.finish()
            print((await stream.read_all()).decode())


asyncio.run(main())
