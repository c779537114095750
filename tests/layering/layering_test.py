"""The #include lines keep the rooms' order: dependencies point up the list of docs/architecture.md, and only there."""

import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]

# A room may include itself and the rooms named here; what those may include comes with them.
DIRECT = {
    "core/base": [],
    "core/ports": ["core/base"],
    "core/codec": ["core/ports"],
    "core/crypto": ["core/codec"],
    "core/storage": ["core/crypto"],
    "core/net": ["core/storage"],
    "core/discovery": ["core/net"],
    # These five never include one another; the node joins them.
    "core/store": ["core/storage"],
    "core/share": ["core/storage"],
    "core/mls": ["core/crypto"],
    "core/chat": ["core/storage"],
    "core/mesh": ["core/storage"],
    "core/gateway": ["core/net"],
    "core/cadre": ["core/store"],
    "core/strand": ["core/cadre"],
    "core/node": [
        "core/net",
        "core/discovery",
        "core/store",
        "core/share",
        "core/mls",
        "core/chat",
        "core/mesh",
        "core/gateway",
        "core/strand",
    ],
    "drivers/posix": ["core/node"],
    "drivers/web": ["core/node"],
    "core/capi": ["core/node", "drivers/posix", "drivers/web"],
    "sim": ["core/node"],
    "bench": ["core/node", "drivers/posix", "sim"],
    "tests/support": ["core/node"],
    "fuzz": ["core/node", "tests/support"],
    # On the C ABI alone.
    "apps": [],
    "bindings": [],
    "examples": [],
    "tests/capi": [],
}

# Our public header and what it says it needs.
HEADER_USERS = {"core/capi", "apps", "bindings", "examples", "tests/capi"}

# Headers by which the operating system, threads, clocks or hidden randomness would come in. The core has ports for them.
OS_HEADERS = re.compile(
    r"^(sys/.*|net/.*|netinet/.*|arpa/.*|linux/.*|mach/.*|unistd\.h|fcntl\.h|poll\.h|signal\.h|pthread\.h|dirent\.h|"
    r"netdb\.h|dlfcn\.h|pwd\.h|termios\.h|semaphore\.h|spawn\.h|sched\.h|ifaddrs\.h|syslog\.h|windows\.h|winsock2\.h|"
    r"time\.h|thread|mutex|shared_mutex|condition_variable|future|semaphore|barrier|latch|stop_token|random|chrono|ctime|"
    r"csignal|filesystem|fstream|iostream|stdio\.h)$"
)
OS_ALLOWED = {
    # The ABI's threads and queues are where other threads meet the node.
    # <chrono> is for the durations of a timed wait; a clock's now() is still refused below.
    "core/capi": {"thread", "mutex", "condition_variable", "chrono"},
    # Readers on the caller's threads beside the one writer.
    "core/store": {"mutex", "shared_mutex"},
    # The part of a node that is read from any thread, and the pool of locked memory that any thread's secrets live in.
    "core/node/view.h": {"mutex", "shared_mutex"},
    "core/crypto/secret.cc": {"mutex"},
    # Files in memory are read from any thread, as those of a system are.
    "core/ports/ram_files.h": {"mutex"},
    # SQLite's locks between the connections of one process; its xSleep gives up the processor, without a clock.
    "core/storage/vfs.cc": {"mutex", "thread"},
    "core/storage/vfs_locks.h": {"mutex"},
    # wolfSSL asks for a time_t, which the hooks answer without reading a clock.
    "core/crypto/wolfssl_hooks.cc": {"ctime"},
}

THIRD_PARTY = {
    "sodium.h": {"core/crypto", "bench"},
    "sqlite3.h": {"core/storage", "sim", "bench"},
    "wolfssl/": {"core/crypto", "core/net", "bench", "sim"},
    "ngtcp2/": {"core/net", "bench"},
    "llhttp.h": {"core/net"},
}

# Sources whose clock, randomness or threads no header gives away.
HIDDEN_SOURCES = re.compile(
    r"\b(std::random_device|std::rand|arc4random|getrandom|randombytes_buf|randombytes_random|randombytes_uniform|"
    r"gettimeofday|clock_gettime|std::chrono::\w*clock::now|crypto_(?!sign_seed)\w+(?<!_seed)_keypair|crypto_\w+_keygen)\s*\("
)


def room_of(path: pathlib.PurePath) -> str | None:
    """The longest name of DIRECT that the path lies in."""
    text = path.as_posix()
    fitting = [room for room in DIRECT if text == room or text.startswith(room + "/")]
    return max(fitting, key=len, default=None)


def closure(room: str) -> set[str]:
    allowed, pending = {room}, list(DIRECT[room])
    while pending:
        name = pending.pop()
        if name not in allowed:
            allowed.add(name)
            pending += DIRECT[name]
    return allowed


ALLOWED = {room: closure(room) for room in DIRECT}
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.MULTILINE)


def is_core(room: str) -> bool:
    return room.startswith("core/")


def without_comments(text: str) -> str:
    return re.sub(r"/\*.*?\*/|//[^\n]*", lambda match: re.sub(r"[^\n]", " ", match.group()), text, flags=re.DOTALL)


def our_include_problem(path: pathlib.PurePath, room: str, included: str) -> str | None:
    if included == "sereus.h" or included.startswith("sereus/"):
        return None if room in HEADER_USERS else f"{room} does not include the C ABI"
    # An include without a folder is a file beside the including one.
    target_path = pathlib.PurePosixPath(included) if "/" in included else path.parent / included
    target = room_of(target_path)
    if target is None:
        # Private headers below apps/ or bindings/ are named from there.
        return None if room in {"apps", "bindings", "examples", "tests/capi"} else f"{included} lies in no room"
    if target in ALLOWED[room]:
        return None
    return f"{room} may not depend on {target}"


def os_include_problem(path: pathlib.PurePath, room: str, included: str) -> str | None:
    if not is_core(room) or not OS_HEADERS.match(included):
        return None
    if included in OS_ALLOWED.get(room, set()) | OS_ALLOWED.get(path.as_posix(), set()):
        return None
    return f"{room} reaches for the system by <{included}>; use a port"


def third_party_problem(room: str, included: str) -> str | None:
    for prefix, users in THIRD_PARTY.items():
        if included.startswith(prefix) and room not in users:
            return f"{room} includes {included}, which only {', '.join(sorted(users))} may"
    return None


def problems_in(path: pathlib.PurePath, text: str) -> list[str]:
    """What is wrong with one source file, given its path relative to the project folder."""
    room = room_of(path)
    if room is None:
        return [f"{path}: lies in no room; add the room to DIRECT"]
    problems = []
    code = without_comments(text)
    for match in INCLUDE.finditer(code):
        line = code.count("\n", 0, match.start(1)) + 1
        quoted, included = match.group(1) == '"', match.group(2)
        if included == "sereus.h" or quoted:
            problem = our_include_problem(path, room, included)
        else:
            problem = os_include_problem(path, room, included) or third_party_problem(room, included)
        if problem:
            problems.append(f"{path}:{line}: {problem}")
    if is_core(room):
        for match in HIDDEN_SOURCES.finditer(code):
            line = code.count("\n", 0, match.start()) + 1
            problems.append(f"{path}:{line}: {match.group(1)} is a hidden clock or random source; use a port")
    return problems


def sources() -> list[pathlib.Path]:
    found = []
    for top in ("core", "drivers", "apps", "bindings", "examples", "sim", "bench", "fuzz", "tests/capi"):
        for path in sorted((ROOT / top).rglob("*")):
            if path.suffix in {".h", ".hpp", ".c", ".cc", ".cpp"} and "build" not in path.relative_to(ROOT).parts:
                found.append(path.relative_to(ROOT))
    return found


@pytest.mark.parametrize("path", sources(), ids=str)
def test_includes_keep_the_order_of_the_rooms(path):
    problems = problems_in(path, (ROOT / path).read_text())
    assert not problems, "\n" + "\n".join(problems)


@pytest.mark.parametrize("room", ["core/store", "core/share", "core/mls", "core/chat", "core/mesh"])
def test_the_five_subjects_do_not_reach_one_another(room):
    others = {"core/store", "core/share", "core/mls", "core/chat", "core/mesh"} - {room}
    assert not ALLOWED[room] & others


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("core/base/a.cc", '#include "core/ports/clock.h"'),
        ("core/store/a.cc", '#include "core/net/host.h"'),
        ("core/store/a.cc", '#include "core/chat/room.h"'),
        ("core/node/a.cc", '#include "sereus.h"'),
        ("core/node/a.cc", "#include <sereus.h>"),
        ("core/net/a.cc", "#include <sys/socket.h>"),
        ("core/net/a.cc", "#  include <chrono>"),
        ("core/net/a.cc", "#include <thread>"),
        ("core/store/a.cc", "#include <sqlite3.h>"),
        ("core/capi/a.cc", "auto t = std::chrono::steady_clock::now();"),
        ("core/crypto/a.cc", "void f() { randombytes_buf(p, 3); }"),
        ("apps/sereus/a.cc", '#include "core/base/bytes.h"'),
        ("bindings/python/a.cc", '#include "core/capi/node.h"'),
        ("core/unheard_of/a.cc", ""),
    ],
)
def test_a_breach_is_found(path, text):
    assert problems_in(pathlib.PurePosixPath(path), text)


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("core/node/a.cc", '#include "core/net/host.h"\n#include "core/store/entry.h"\n#include <vector>'),
        ("core/capi/a.cc", '#include "sereus.h"\n#include <mutex>\n#include "drivers/posix/driver.h"'),
        ("core/store/a.cc", "#include <shared_mutex>\n// #include <thread>"),
        ("drivers/posix/a.cc", '#include <sys/socket.h>\n#include "core/ports/datagram.h"'),
        ("apps/sereus/a.cc", '#include <sereus.h>\n#include <unistd.h>\n#include "args.h"\n#include "apps/sereus/b.h"'),
        ("core/net/a.cc", '#include "core/net/schema/sync_generated.h"'),
    ],
)
def test_what_is_allowed_passes(path, text):
    assert not problems_in(pathlib.PurePosixPath(path), text)
