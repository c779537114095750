"""Help, usage errors, JSON errors, version, status, doctor, bundle, completion, man page, shell."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import select
import shutil
import subprocess
import tarfile
import time

import pytest
from conftest import BINARY, ROOT, clean_environment, sereus

COMMANDS = [
    *("init", "backup", "restore", "passphrase", "erase"),
    *("create-store", "list-stores", "use", "delete-store", "drop-store", "verify"),
    *("put", "get", "delete", "list", "heads", "watch", "fill", "import", "export"),
    *("invite", "invites", "revoke-invite", "join", "peers", "remove", "add-address", "sync"),
    *("listen", "ping", "identify", "echo", "perf"),
    *("up", "status", "doctor", "bundle", "shell", "completion", "version"),
]


def options_of(*command: str) -> set[str]:
    return set(re.findall(r"(--[a-z][a-z-]+)", sereus(*command, "--help").out))


# ---- Help and usage ---------------------------------------------------------------------------------------------------


def test_help_names_every_command():
    text = sereus("--help").out
    for command in COMMANDS:
        assert re.search(rf"^  {command} ", text, re.M), f"{command} is not in --help"
    shown = set(re.findall(r"^  ([a-z][a-z-]+) ", text, re.M))
    assert shown == set(COMMANDS)
    assert "__complete" not in text
    assert "Exit codes" in text


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command):
    result = sereus(command, "--help")
    assert result.code == 0
    assert "--help" in result.out
    assert result.err == ""


def test_version():
    assert re.fullmatch(r"sereus \d+\.\d+\.\d+\n", sereus("--version").out)
    assert re.match(r"sereus \d+\.\d+\.\d+ \(library \d+\.\d+\.\d+\)", sereus("version").out)
    assert set(sereus("--json", "version").object) == {"version", "library"}


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], "no command was given"),
        (["putt"], "did you mean `sereus put`?"),
        (["xyzzy-nothing"], "see `sereus --help`"),
        (["put"], "see `sereus put --help`"),
        (["get", "a", "b", "c"], "see `sereus get --help`"),
        (["--timeout", "soon", "status"], "timeout"),
        (["list", "--limit", "-1"], "limit"),
        (["--log-level", "loud", "status"], "log-level"),
        (["status", "--nonsense"], "--nonsense"),
        (["completion", "tcsh"], "tcsh"),
        (["shell", "extra"], "extra"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_2(arguments, expected, folder):
    result = sereus("--data", str(folder / "x"), *arguments)
    assert result.code == 2, result
    assert result.out == ""
    assert len(result.err.splitlines()) == 1, result
    assert result.err.startswith("sereus: ")
    assert expected in result.err


def test_errors_are_json_with_json(folder):
    for arguments, code in ((["putt"], 2), (["status"], 1), (["put"], 2)):
        result = sereus("--data", str(folder / "x"), "--json", *arguments)
        assert result.code == code
        assert result.out == ""
        error = result.error
        assert error["exit"] == code
        assert error["message"]
    assert sereus("status", "--data", str(folder / "x"), "--json").error["status"] == "SEREUS_E_NO_IDENTITY"


def test_no_home_and_no_folder():
    result = sereus("status", HOME="")
    assert result.code == 2
    assert "--data" in result.err


def test_a_closed_pipe_and_a_full_output(store):
    store.ok("fill", "3000")
    shell = f"'{BINARY}' --data '{store.data}' list | head -n 1"
    done = subprocess.run(["bash", "-c", shell], capture_output=True, env=clean_environment(), timeout=60)
    assert done.stdout == b"fill/00000000\n"
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [str(BINARY), "--data", str(store.data), "list"],
            stdout=full,
            stderr=subprocess.PIPE,
            env=clean_environment(),
        )
    assert done.returncode == 1
    assert b"standard output" in done.stderr


# ---- status, doctor, bundle -------------------------------------------------------------------------------------------


def test_status(pair):
    alice, bob = pair
    status = alice.json("status", "--digest")
    assert set(status) == {"version", "data", "daemon", "node", "stores", "peers"}
    assert status["node"]["bytes_sent"] > 0
    assert all(len(store["state_digest"]) == 64 for store in status["stores"])
    text = alice.ok("status").out
    for word in ("Node", "Listening", "Traffic", "Stores", "notes", "Peers", "bob"):
        assert word in text
    del bob


def test_doctor(store):
    report = store.json("doctor")
    assert report["healthy"] is True
    found = {check["check"]: check for check in report["checks"]}
    assert {"folder", "disk", "clock", "keys", "network", "stores", "peers"} <= set(found)
    assert all(set(check) == {"check", "result", "text", "advice"} for check in report["checks"])
    assert found["keys"]["result"] == "warn"
    assert "sereus passphrase" in found["keys"]["advice"]
    text = store.ok("doctor", "--deep").out
    assert "all hashes, chains and signatures" in text
    assert "Nothing is broken." in text


def test_doctor_finds_an_open_folder_and_an_absent_one(store, make_node):
    store.data.chmod(0o755)
    result = store.run("doctor")
    assert "chmod 700" in result.out or result.code == 0, "the library may have closed it by itself"
    absent = make_node("absent").run("doctor")
    assert absent.code == 1
    assert "sereus init" in absent.out


def test_bundle_tells_no_secrets(pair, folder):
    alice, _ = pair
    alice.ok("put", "very-secret-key", "very-secret-value")
    alice.ok("create-store", "very-secret-store")
    invite = alice.json("invite")["invite"]
    file = folder / "bundle.tar"
    made = alice.json("bundle", str(file))
    assert made["bytes"] == file.stat().st_size
    with tarfile.open(file) as archive:
        names = {os.path.basename(name) for name in archive.getnames()}
        texts = {name: archive.extractfile(name).read().decode() for name in archive.getnames()}
    assert names == {"README.txt", "versions.json", "status.json", "doctor.json", "settings.json", "log.txt"}
    everything = "\n".join(texts.values())
    status = alice.json("status")
    for secret in ("very-secret", invite, invite[7:60], status["node"]["peer"], str(folder), "127.0.0.1"):
        assert secret not in everything, f"{secret} is in the bundle"
    for address in status["node"]["addresses"]:
        assert address not in everything
    assert json.loads(texts["sereus-bundle/status.json"])["stores"]
    listed = subprocess.run(["tar", "tf", str(file)], capture_output=True, text=True, check=True).stdout
    assert "sereus-bundle/log.txt" in listed
    assert "--force" in alice.fails("bundle", str(file))


def test_bundle_when_nothing_works(make_node, folder):
    node = make_node("broken")
    node.data.mkdir()
    (node.data / "keystore").write_bytes(b"garbage")
    node.ok("bundle", str(folder / "b.tar"))


# ---- Completion and man page --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts_parse(shell, folder):
    script = sereus("completion", shell).out
    for command in COMMANDS:
        assert command in script
    packaged = ROOT / "apps/sereus/completion" / {"bash": "sereus.bash", "zsh": "_sereus", "fish": "sereus.fish"}[shell]
    assert packaged.read_text() == script, (
        f"{packaged.name} is old: build/release/bin/sereus completion {shell} > {packaged}"
    )
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed; only the content was checked")
    file = folder / "script"
    file.write_text(script)
    done = subprocess.run([shell, "-n", str(file)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def complete(words: str, data: str) -> list[str]:
    """What bash offers for a line that ends at the cursor."""
    script = f"""
      PATH='{BINARY.parent}':$PATH
      source <(sereus completion bash)
      compopt() {{ :; }}
      COMP_WORDS=({words})
      COMP_CWORD=$(({len(words.split())} - 1))
      [[ '{words}' == *' ' ]] && COMP_WORDS+=('') && COMP_CWORD=$((COMP_CWORD + 1))
      cd '{data}'
      _sereus
      printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, env=clean_environment(), timeout=60)
    assert done.stderr == ""
    return done.stdout.split()


def test_bash_completes(store):
    data = str(store.data)
    assert complete("sereus sta", data) == ["status"]
    assert set(complete("sereus list", data)) == {"list", "list-stores", "listen"}
    assert "--prefix" in complete("sereus import --p", data)
    assert complete("sereus completion ", data) == ["bash", "zsh", "fish"]
    assert complete("sereus invite --role ", data) == ["read", "write", "admin"]
    assert complete(f"sereus --data {data} use ", data) == [], "without a daemon nothing is opened"
    store.start()
    store.ok("put", "some-key", "v")
    assert complete(f"sereus --data {data} use ", data) == ["notes"]
    assert complete(f"sereus --data {data} --store ", data) == ["notes"]
    assert complete(f"sereus --data {data} get so", data) == ["some-key"]


def test_the_man_page_covers_every_command_and_option():
    page = (ROOT / "docs/man/sereus.1").read_text().replace("\\-", "-")
    for command in COMMANDS:
        assert re.search(rf"^\.B[RI]? .*\b{command}\b|^\.SS .*\b{command}\b|^\.TP\n\.BR? {command}\b", page, re.M), (
            command
        )
        for option in options_of(command) - {"--help"}:
            assert option in page, f"{command} {option} is not in the man page"
    for option in options_of():
        assert option in page, f"{option} is not in the man page"


def test_the_man_page_renders():
    if shutil.which("man") is None:
        pytest.skip("man is not installed")
    done = subprocess.run(
        ["man", "--warnings", "-l", str(ROOT / "docs/man/sereus.1")],
        capture_output=True,
        text=True,
        env={**clean_environment(), "MANPAGER": "cat", "MANWIDTH": "100"},
    )
    assert done.returncode == 0
    assert done.stderr == ""
    assert "EXIT STATUS" in done.stdout


def test_the_manual_covers_every_command():
    text = (ROOT / "docs/cli.md").read_text()
    for command in COMMANDS:
        assert f"`{command}" in text, f"{command} is not in docs/cli.md"


# ---- Shell --------------------------------------------------------------------------------------------------------------


def test_shell_runs_a_script(store):
    script = b"""# a comment

put 'a key' "a value"
get 'a key'
--json list
nonsense
get a\\ key --json
exit
put never reached
"""
    result = store.run("shell", stdin=script)
    assert result.code == 2, "the worst of its commands"
    lines = result.out.splitlines()
    assert lines[0].startswith("a value")
    assert "there is no command 'nonsense'" in result.err
    assert store.jsons("list") == [row for row in store.jsons("list") if row["key"] == "a key"]
    assert store.run("shell", stdin=b"put 'open quote\n").code == 2
    assert "cannot become the daemon" in store.run("shell", stdin=b"up\n").err


class Terminal:
    """A program on a terminal of its own."""

    def __init__(self, *arguments: str, **environment: str) -> None:
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.execve(arguments[0], list(arguments), clean_environment(TERM="xterm", **environment))
        self.seen = ""

    def wait_for(self, text: str, patience_s: float = 60) -> str:
        end = time.monotonic() + patience_s
        while text not in self.seen:
            ready, _, _ = select.select([self.fd], [], [], 0.2)
            if ready:
                try:
                    self.seen += os.read(self.fd, 65536).decode(errors="replace")
                except OSError:
                    break
            assert time.monotonic() < end, f"waited for {text!r}, saw {self.seen!r}"
        assert text in self.seen, f"{text!r} did not come: {self.seen!r}"
        before, _, self.seen = self.seen.partition(text)
        return before

    def type(self, text: str) -> None:
        os.write(self.fd, text.encode())

    def code(self, typing: str = "") -> int:
        end = time.monotonic() + 60
        typed = 0.0
        while True:
            if typing and time.monotonic() > typed + 1:
                typed = time.monotonic()
                self.type(typing)
            # What it still prints must be read, or it waits for the terminal.
            with contextlib.suppress(OSError):
                if select.select([self.fd], [], [], 0.05)[0]:
                    self.seen += os.read(self.fd, 65536).decode(errors="replace")
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid != 0:
                os.close(self.fd)
                return os.waitstatus_to_exitcode(status)
            assert time.monotonic() < end, "the program did not end"


def test_shell_on_a_terminal(store):
    terminal = Terminal(str(BINARY), "--data", str(store.data), "shell")
    terminal.wait_for("sereus> ")
    terminal.type("put greeting 'hello terminal'\n")
    terminal.wait_for("sereus> ")
    terminal.type("get gree\t\n")
    terminal.wait_for("hello terminal")
    terminal.wait_for("sereus> ")
    # History: the line before the last one.
    terminal.type("\x1b[A\x1b[A\n")
    terminal.wait_for("hello terminal")
    terminal.wait_for("sereus> ")
    terminal.type("li\t\n")
    terminal.wait_for("sereus> ")
    terminal.type("help put\n")
    terminal.wait_for("--escaped")
    terminal.wait_for("sereus> ")
    terminal.type("exit\n")
    assert terminal.code() == 0
    assert store.ok("get", "greeting").out == "hello terminal"
    assert not list(store.data.rglob("*history*")), "values must not reach the disk as history"


def test_shell_ends_at_the_end_of_input(store):
    terminal = Terminal(str(BINARY), "--data", str(store.data), "shell")
    terminal.wait_for("sereus> ")
    # Typed again: the prompt is there a moment before the editor has the terminal, and until then Ctrl-D is the system's.
    assert terminal.code(typing="\x04") == 0


def test_the_passphrase_is_asked_for_without_echo(make_node):
    node = make_node("alice")
    terminal = Terminal(str(BINARY), "--data", str(node.data), "init", "--name", "alice", "--light-kdf")
    terminal.wait_for("none): ")
    terminal.type("first try\n")
    terminal.wait_for("again: ")
    terminal.type("other\n")
    terminal.wait_for("They differ")
    terminal.wait_for("none): ")
    terminal.type("sesame\n")
    terminal.wait_for("again: ")
    terminal.type("sesame\n")
    shown = terminal.wait_for("This device is")
    assert "sesame" not in shown
    assert terminal.code() == 0
    terminal = Terminal(str(BINARY), "--data", str(node.data), "status")
    terminal.wait_for("Passphrase of ")
    terminal.type("wrong\n")
    terminal.wait_for("try again")
    terminal.wait_for("Passphrase of ")  # what is typed before it is asked for is thrown away
    terminal.type("sesame\n")
    terminal.wait_for("protected")
    assert terminal.code() == 0


def test_erase_asks_on_a_terminal(store):
    terminal = Terminal(str(BINARY), "--data", str(store.data), "erase")
    terminal.wait_for("to go on: ")
    terminal.type("no\n")
    terminal.wait_for("nothing was erased")
    assert terminal.code() == 2
    terminal = Terminal(str(BINARY), "--data", str(store.data), "erase")
    terminal.wait_for("to go on: ")
    terminal.type("erase everything\n")
    terminal.wait_for("were erased")
    assert terminal.code() == 0


def test_a_binary_value_is_not_sent_to_a_terminal(store):
    store.ok("put", "k", "\x1b[2Jboo")
    terminal = Terminal(str(BINARY), "--data", str(store.data), "get", "k")
    terminal.wait_for("is binary")
    assert terminal.code() == 1
    store.ok("put", "text", "two\nlines with \\ and\ttabs")
    terminal = Terminal(str(BINARY), "--data", str(store.data), "get", "text")
    terminal.wait_for("lines with \\ and")
    assert terminal.code() == 0


def test_the_invite_on_a_terminal_has_a_code(store):
    store.start()
    terminal = Terminal(str(BINARY), "--data", str(store.data), "invite")
    terminal.wait_for("sereus1")
    terminal.wait_for("▀")
    terminal.wait_for("sereus join INVITE")
    assert terminal.code() == 0
