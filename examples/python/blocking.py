"""Two devices in one program, blocking: `python blocking.py`. They keep their data in ./alice and ./bob."""

import sereus

with sereus.Node("alice") as alice, sereus.Node("bob") as bob:
    alice.create_identity("laptop")
    bob.create_identity("phone")

    notes = alice.create_store("notes")
    notes.put("greeting", "hello from alice")

    bob.join(alice.create_invite(), timeout=30)  # the invite is one line of text, to be copied
    bob.sync(timeout=30)
    copy = bob.open_store("notes")
    print(copy["greeting"].decode())

    with copy.watch() as changes:
        notes.put("greeting", "hello from alice, again")
        change = changes.next(timeout=30)
        print(change.key, change.value)
