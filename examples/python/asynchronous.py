"""Two devices in one program, with asyncio: `python asynchronous.py`. They keep their data in ./alice and ./bob."""

import asyncio

import sereus


async def main() -> None:
    async with sereus.aio.Node("alice") as alice, sereus.aio.Node("bob") as bob:
        await asyncio.gather(alice.create_identity("laptop"), bob.create_identity("phone"))

        notes = await alice.create_store("notes")
        await notes.put("greeting", "hello from alice")

        async with asyncio.timeout(30):
            await bob.join(await alice.create_invite())
            await bob.sync()
        copy = await bob.open_store("notes")
        print(await copy.get("greeting"))

        watch = copy.watch()
        await asyncio.gather(*(notes.put(f"line/{i}", f"hello from line {i}") for i in range(3)))
        async for change in watch:
            print(change.key, change.value)
            if change.key == b"line/2":
                break


asyncio.run(main())
