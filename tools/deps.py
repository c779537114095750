#!/usr/bin/env python3
"""Fetches, verifies and builds the pinned third-party archives (wolfSSL, ngtcp2 and llhttp).

    tools/deps.py build     build what is missing, print where it is (a rerun with nothing to do takes milliseconds)
    tools/deps.py fetch     only fetch and verify the archives
    tools/deps.py prefix    print KEY=VALUE lines for CMake; fails when something is not built

Debian 12's own packages cannot be used: its wolfSSL is built without QUIC and its ngtcp2 has no wolfSSL helper.

An archive is taken from the first route that has a file with the pinned SHA-256:
  1. the cache folder: $SEREUS_DEPS_CACHE, or build/deps/cache
  2. `apt-get --tar-only source`, through a private sources folder derived from this machine's own apt configuration;
     nothing of the system's configuration is read by apt from, or written to, anywhere else. llhttp instead: `pip download`
     of httptools, whose source archive carries llhttp's generated C files; llhttp's own sources, which Debian has, need a
     TypeScript compiler to become C
Without either, the error names the archive, its hash, its upstream page and the folder to put it in.
"""

import argparse
import contextlib
import dataclasses
import fcntl
import hashlib
import os
import pathlib
import platform
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
DEPS = pathlib.Path(os.environ.get("SEREUS_DEPS_DIR", ROOT / "build" / "deps"))
CACHE = pathlib.Path(os.environ.get("SEREUS_DEPS_CACHE", DEPS / "cache"))
LOGS = DEPS / "log"
HOOKS_HEADER = ROOT / "tools" / "wolfssl_hooks.h"


@dataclasses.dataclass(frozen=True)
class Archive:
    """One file with a pinned hash. `debian_revision` is only set for a file that exists in one Debian revision alone."""

    file: str
    sha256: str
    source: str
    upstream: str
    debian_revision: str = ""
    from_pip: bool = False


@dataclasses.dataclass(frozen=True)
class Pin:
    name: str
    version: str
    archive: Archive
    patches: Archive | None = None


WOLFSSL_PAGE = "the wolfSSL releases on GitHub (wolfSSL/wolfssl, tag v{}-stable)"
NGTCP2_PAGE = "the ngtcp2 releases on GitHub (ngtcp2/ngtcp2, tag v{})"


def pin(name: str, version: str, suffix: str, sha256: str, page: str, patches: tuple[str, str] | None = None) -> Pin:
    upstream = page.format(version)
    archive = Archive(f"{name}_{version}.orig.tar.{suffix}", sha256, name, upstream)
    patch_archive = None
    if patches:
        revision, patch_sha256 = patches
        patch_archive = Archive(f"{name}_{version}-{revision}.debian.tar.xz", patch_sha256, name, upstream, revision)
    return Pin(name, version, archive, patch_archive)


# httptools 0.9.0 carries llhttp 9.4.3.
LLHTTP = Pin(
    "llhttp",
    "9.4.3",
    Archive(
        "httptools-0.9.0.tar.gz",
        "d484ebb7e3a3f3597b0f645fbd1b85633674ca808c1f5ba11c2caf7c66f5c8b6",
        "httptools==0.9.0",
        "the source archive of httptools 0.9.0 (MagicStack/httptools), as pip downloads it",
        from_pip=True,
    ),
)

# To change a version, change its line. "newest" comes first; "stable" is what Debian 13 carries with its security
# patches, used when the newest cannot be had (its suite moves on) or when SEREUS_DEPS_SET=stable asks for it.
# fmt: off
PIN_SETS = {
    "newest": [
        pin("wolfssl", "5.9.2", "gz", "2f4ef3d4fd387a9b3191d36a6316d69116c46ff69bb9583b6c82b36d7b8ca114", WOLFSSL_PAGE),
        pin("ngtcp2", "1.24.0", "xz", "7fa5ec2be0f0cbed8bc4ec89c0787dfa9d8ce678f1ed9477c52f30eb1a591207", NGTCP2_PAGE),
        LLHTTP,
    ],
    "stable": [
        pin("wolfssl", "5.7.2", "gz", "0f2ed82e345b833242705bbc4b08a2a2037a33f7bf9c610efae6464f6b10e305", WOLFSSL_PAGE,
            ("0.1+deb13u2", "c4c31ffaa8e05e1132cb535cc0b0cd3083e04f134883ab039154f3857d0a96d8")),
        pin("ngtcp2", "1.11.0", "xz", "382c15bf66b630f26021631b25b7eb1feac42c67c1d6826189d61091dfaa4d09", NGTCP2_PAGE,
            ("1+deb13u1", "5d45f3e07ebaf4fff773d6ec32eee78c8514e17bac67dee8e268fa97af440854")),
        LLHTTP,
    ],
}
# fmt: on


class DepsError(Exception):
    """A failure whose message is all the user needs."""


def say(text: str) -> None:
    print(f"deps: {text}", file=sys.stderr, flush=True)


def file_sha256(path: pathlib.Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


# ---------------------------------------------------------------------------------------------------------- fetching


KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"


class AptSource:
    """Downloads Debian source archives without touching the system's apt configuration."""

    SUITES = ("sid", "forky", "trixie")

    def __init__(self) -> None:
        self.folder = DEPS / "apt"
        self.updated = False

    def options(self) -> list[str]:
        folder = self.folder
        return [
            "-oDir::Etc::sourcelist=/dev/null",
            f"-oDir::Etc::sourceparts={folder}/parts",
            f"-oDir::State::Lists={folder}/lists",
            "-oDir::Cache::pkgcache=",
            "-oDir::Cache::srcpkgcache=",
            "-oAPT::Sandbox::User=root",
            # A mirror that is a snapshot is past its lists' dates; the archives are pinned by SHA-256 in any case.
            "-oAcquire::Check-Valid-Until=false",
            "-qq",
        ]

    def configured_mirrors(self) -> list[str]:
        """The mirrors of the machine's own Debian sources."""
        run = subprocess.run(
            ["apt-get", "indextargets", "--format", "$(REPO_URI)|$(ORIGIN)|$(CREATED_BY)"],
            capture_output=True,
            text=True,
            check=False,
        )
        mirrors = []
        for line in run.stdout.splitlines():
            uri, origin, created_by = [*line.split("|"), "", ""][:3]
            if created_by == "Packages" and origin == "Debian" and uri not in mirrors:
                mirrors.append(uri)
        return mirrors

    def update(self) -> bool:
        if self.updated:
            return True
        if not shutil.which("apt-get"):
            return False
        # The security archive has only the suites' updates, and an update that is worth having reaches sid as well.
        mirrors = [uri for uri in self.configured_mirrors() if "security" not in uri]
        if not mirrors:
            return False
        parts = self.folder / "parts"
        (self.folder / "lists" / "partial").mkdir(parents=True, exist_ok=True)
        parts.mkdir(parents=True, exist_ok=True)
        text = f"Types: deb-src\nURIs: {mirrors[0]}\nSuites: {' '.join(self.SUITES)}\nComponents: main\n"
        if os.path.exists(KEYRING):
            text += f"Signed-By: {KEYRING}\n"
        (parts / "deb-src.sources").write_text(text)
        say(f"reading the source package lists of {', '.join(self.SUITES)}")
        run = subprocess.run(["apt-get", *self.options(), "update"], capture_output=True, text=True, check=False)
        if run.returncode != 0:
            say("apt-get update of the private source lists failed: " + (run.stderr.strip().splitlines() or ["?"])[-1])
            return False
        self.updated = True
        return True

    def versions(self, source: str) -> list[str]:
        run = subprocess.run(
            ["apt-cache", *self.options(), "showsrc", "--only-source", source],
            capture_output=True,
            text=True,
            check=False,
        )
        return re.findall(r"^Version: (\S+)$", run.stdout, re.MULTILINE)

    def fetch(self, archive: Archive, folder: pathlib.Path) -> pathlib.Path | None:
        if not self.update():
            return None
        kind = "--diff-only" if archive.debian_revision else "--tar-only"
        wanted = archive.file.split("_")[1].split(".orig")[0].split(".debian")[0]
        for version in self.versions(archive.source):
            matches = version == wanted if archive.debian_revision else version.rpartition("-")[0] == wanted
            if not matches:
                continue
            say(f"fetching {archive.file} from Debian's {archive.source} {version}")
            command = ["apt-get", *self.options(), kind, "--download-only", "source", f"{archive.source}={version}"]
            subprocess.run(command, cwd=folder, capture_output=True, check=False)
            file = folder / archive.file
            if file.exists():
                return file
        return None


APT = AptSource()


def fetch_with_pip(archive: Archive, folder: pathlib.Path) -> pathlib.Path | None:
    """pip runs a source archive's build script to read its metadata; with the hash required, only that of the pinned one."""
    say(f"fetching {archive.file} with pip")
    requirements = folder / "requirements.txt"
    requirements.write_text(f"{archive.source} --hash=sha256:{archive.sha256}\n")
    options = ["--no-deps", "--no-binary", ":all:", "--require-hashes", "--disable-pip-version-check", "--quiet"]
    command = [sys.executable, "-m", "pip", "download", *options, "-r", str(requirements), "-d", str(folder)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    file = folder / archive.file
    if file.exists():
        return file
    say(f"pip could not fetch {archive.file}: " + (run.stderr.strip().splitlines() or ["?"])[-1])
    return None


def obtain(archive: Archive) -> pathlib.Path | None:
    """The verified archive in the cache folder, or None. A file with the wrong hash is never used."""
    cached = CACHE / archive.file
    if cached.exists():
        found = file_sha256(cached)
        if found == archive.sha256:
            return cached
        raise DepsError(
            f"{cached} has SHA-256 {found}, expected {archive.sha256}. Remove it or replace it by the right file."
        )
    CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE) as folder:
        file = (fetch_with_pip if archive.from_pip else APT.fetch)(archive, pathlib.Path(folder))
        if not file:
            return None
        found = file_sha256(file)
        if found != archive.sha256:
            say(f"{archive.file} as fetched has SHA-256 {found}, expected {archive.sha256}: not used")
            return None
        file.rename(cached)
    return cached


def missing_message(missing: list[Archive]) -> str:
    lines = ["these archives are missing and could not be fetched (is the network there?):"]
    for archive in missing:
        lines += [f"  {archive.file}", f"    SHA-256 {archive.sha256}", f"    from {archive.upstream}"]
    lines.append(f"Put them into {CACHE} (or a folder named by SEREUS_DEPS_CACHE) under these names and run again.")
    return "\n".join(lines)


def archives_of(pins: list[Pin]) -> list[Archive]:
    return [archive for p in pins for archive in (p.archive, p.patches) if archive]


def choose_pins() -> list[Pin]:
    """The first set whose archives are all here; a set that is built already wins without looking at archives."""
    names = [os.environ["SEREUS_DEPS_SET"]] if "SEREUS_DEPS_SET" in os.environ else list(PIN_SETS)
    if unknown := [name for name in names if name not in PIN_SETS]:
        raise DepsError(f"SEREUS_DEPS_SET={unknown[0]}: there is no such set, only {', '.join(PIN_SETS)}")
    for name in names:
        if is_built(PIN_SETS[name]):
            return PIN_SETS[name]
    first_missing: list[Archive] = []
    for name in names:
        missing = [archive for archive in archives_of(PIN_SETS[name]) if not obtain(archive)]
        if not missing:
            return PIN_SETS[name]
        first_missing = first_missing or missing
        say(f"set '{name}' cannot be had completely: {', '.join(archive.file for archive in missing)}")
    raise DepsError(missing_message(first_missing))


# ---------------------------------------------------------------------------------------------------------- building

MACHINE = platform.machine()
ASSEMBLY = {"x86_64": ["--enable-intelasm"], "AMD64": ["--enable-intelasm"], "aarch64": ["--enable-armasm"]}

WOLFSSL_OPTIONS = [
    "--enable-static",
    "--disable-shared",
    "--enable-quic",
    # AES-GCM runs 20 times as fast with it, and wolfSSL's CMake build has no such option.
    *ASSEMBLY.get(MACHINE, []),
    "--enable-tls13",
    # TLS 1.2 is for secure WebSocket alone: servers and proxies of others that have nothing newer.
    "--enable-tlsv12",
    "--disable-oldtls",
    "--enable-ip-alt-name",
    "--enable-alpn",
    "--enable-sni",
    # ngtcp2's helper for clients turns tickets on, so the function must be there; the net room turns them off again.
    "--enable-session-ticket",
    "--enable-certgen",
    "--enable-certext",
    "--enable-keygen",
    "--enable-ed25519",
    "--enable-curve25519",
    "--enable-ed448",
    "--enable-curve448",
    "--enable-ecccustcurves=all",
    # libp2p's secp256k1 keys come compressed: 33 bytes.
    "--enable-compkey",
    "--enable-eccencrypt",
    "--enable-hkdf",
    "--enable-hpke",
    "--enable-aesctr",
    "--enable-sha512",
    "--enable-sp=yes,asm",
    # Every random byte comes from CUSTOM_RAND_GENERATE_BLOCK; a generator of wolfSSL's own in between would only hide it.
    "--disable-hashdrbg",
    "--disable-filesystem",
    "--disable-examples",
    "--disable-crypttests",
    "--disable-benchmark",
]

WOLFSSL_CFLAGS = [
    "-O2",
    "-g1",
    "-fPIC",
    "-fvisibility=hidden",
    "-ffunction-sections",
    "-fdata-sections",
    # The libp2p certificate carries its key in an extension that wolfSSL does not know.
    "-DWOLFSSL_CUSTOM_OID",
    "-DHAVE_OID_ENCODING",
    "-DHAVE_OID_DECODING",
    "-DWC_ASN_UNKNOWN_EXT_CB",
    # The peer's self-signed certificate is judged by our callback, which must be called when wolfSSL finds no fault too.
    "-DWOLFSSL_ALWAYS_VERIFY_CB",
    "-DKEEP_PEER_CERT",
    # QUIC's header protection; the configure option for it says it is on by default, and is not.
    "-DHAVE_AES_ECB",
    "-DHAVE_ECC_KOBLITZ",
    "-DHAVE_ALL_CURVES",
    # RFC 6979 signatures: the same message and key give the same bytes in every run of the simulator.
    "-DWOLFSSL_ECDSA_DETERMINISTIC_K",
    "-DWOLFSSL_PUBLIC_MP",
    # RSA keys of up to 8192 bits, which libp2p peers may have.
    "-DSP_INT_BITS=8192",
    "-DRSA_MAX_SIZE=8192",
    "-DFP_MAX_BITS=16384",
    "-DCUSTOM_RAND_GENERATE_BLOCK=sereus_wolfssl_random_block",
]

# These change nothing in the result, so they are no part of its name: where files lie, and a declaration (getpid) that
# wolfSSL forgets and GCC 14 insists on.
WOLFSSL_NEUTRAL_CFLAGS = [
    f"-include {HOOKS_HEADER}",
    f"-include {ROOT / 'tools' / 'wolfssl_declarations.h'}",
    f"-ffile-prefix-map={DEPS}=deps",
]

NGTCP2_OPTIONS = [
    "-DENABLE_LIB_ONLY=ON",
    "-DENABLE_WOLFSSL=ON",
    "-DENABLE_OPENSSL=OFF",
    "-DENABLE_STATIC_LIB=ON",
    "-DENABLE_SHARED_LIB=OFF",
    "-DBUILD_TESTING=OFF",
    "-DCMAKE_BUILD_TYPE=RelWithDebInfo",
    "-DCMAKE_POSITION_INDEPENDENT_CODE=ON",
    "-DCMAKE_C_VISIBILITY_PRESET=hidden",
    "-DCMAKE_INSTALL_LIBDIR=lib",
    "-DCMAKE_C_FLAGS_RELWITHDEBINFO=-O2 -g1 -DNDEBUG -ffunction-sections -fdata-sections",
]

LLHTTP_CFLAGS = ["-O2", "-g1", "-fPIC", "-fvisibility=hidden", "-ffunction-sections", "-fdata-sections"]
LLHTTP_SOURCES = ["api.c", "http.c", "llhttp.c"]


def config_hash(p: Pin, extra: list[str]) -> str:
    """Names the prefix, so that a changed option or pin builds anew and an unchanged one never does."""
    digest = hashlib.sha256()
    parts = [p.archive.sha256, p.patches.sha256 if p.patches else "", MACHINE, *extra]
    for part in parts:
        digest.update(part.encode() + b"\0")
    return digest.hexdigest()[:12]


def wolfssl_prefix(p: Pin) -> pathlib.Path:
    inputs = [*WOLFSSL_OPTIONS, *WOLFSSL_CFLAGS, HOOKS_HEADER.read_text(), HANDSHAKE_CALLBACK, CLEAN_REGISTER]
    return DEPS / f"wolfssl-{p.version}-{config_hash(p, inputs)}"


def ngtcp2_prefix(p: Pin, wolfssl: pathlib.Path) -> pathlib.Path:
    return DEPS / f"ngtcp2-{p.version}-{config_hash(p, [*NGTCP2_OPTIONS, wolfssl.name])}"


def stamp(prefix: pathlib.Path) -> pathlib.Path:
    return prefix / ".built"


def by_name(pins: list[Pin], name: str) -> Pin:
    return next(p for p in pins if p.name == name)


def prefixes(pins: list[Pin]) -> dict[str, pathlib.Path]:
    wolfssl = wolfssl_prefix(by_name(pins, "wolfssl"))
    llhttp = by_name(pins, "llhttp")
    return {
        "wolfssl": wolfssl,
        "ngtcp2": ngtcp2_prefix(by_name(pins, "ngtcp2"), wolfssl),
        "llhttp": DEPS / f"llhttp-{llhttp.version}-{config_hash(llhttp, LLHTTP_CFLAGS)}",
    }


def is_built(pins: list[Pin]) -> bool:
    return all(stamp(prefix).exists() for prefix in prefixes(pins).values())


def run_logged(command: list[str], cwd: pathlib.Path, log: pathlib.Path, env: dict[str, str] | None = None) -> None:
    with log.open("a") as out:
        out.write(f"\n$ {' '.join(command)}\n")
        out.flush()
        run = subprocess.run(
            command, cwd=cwd, stdout=out, stderr=subprocess.STDOUT, env={**os.environ, **(env or {})}, check=False
        )
    if run.returncode != 0:
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-25:])
        raise DepsError(f"{command[0]} failed; the end of {log}:\n{tail}")


def unpack(p: Pin, into: pathlib.Path, log: pathlib.Path) -> None:
    into.mkdir(parents=True)
    run_logged(["tar", "xf", str(CACHE / p.archive.file), "--strip-components=1"], into, log)
    if not p.patches:
        return
    run_logged(["tar", "xf", str(CACHE / p.patches.file)], into, log)
    series = into / "debian" / "patches" / "series"
    for line in series.read_text().splitlines() if series.exists() else []:
        name = line.split("#")[0].strip()
        if name:
            run_logged(["patch", "-p1", "-i", f"debian/patches/{name}"], into, log)


@contextlib.contextmanager
def build_folder(p: Pin, prefix: pathlib.Path):
    """A scratch folder that is removed when the build succeeds and kept, with its log, when it does not."""
    LOGS.mkdir(parents=True, exist_ok=True)
    log = LOGS / f"{prefix.name}.log"
    log.unlink(missing_ok=True)
    scratch = DEPS / "src" / prefix.name
    shutil.rmtree(scratch, ignore_errors=True)
    shutil.rmtree(prefix, ignore_errors=True)
    started = time.monotonic()
    say(f"building {p.name} {p.version}, log {log}")
    unpack(p, scratch, log)
    yield scratch, log
    (prefix / "share").mkdir(exist_ok=True)
    for name in ("COPYING", "LICENSING"):
        if (scratch / name).exists():
            shutil.copy(scratch / name, prefix / "share" / name)
    stamp(prefix).write_text(f"{p.archive.file} {p.archive.sha256}\n")
    shutil.rmtree(scratch)
    say(f"built {p.name} {p.version} in {time.monotonic() - started:.0f} s")


# wolfSSL 5.9 uses the callback for unknown critical extensions (which libp2p certificates of other makes have) everywhere
# but in a handshake. These lines pass it on there; a release that does so itself is left as it is.
HANDSHAKE_DECODE = "        InitDecodedCert(args->dCert, cert->buffer, cert->length, ssl->heap);\n"
HANDSHAKE_CALLBACK = (
    "        if (SSL_CM(ssl) != NULL && SSL_CM(ssl)->unknownExtCallback != NULL)\n"
    "            wc_SetUnknownExtCallback(args->dCert, SSL_CM(ssl)->unknownExtCallback);\n"
)


def pass_extension_callback_on(scratch: pathlib.Path) -> None:
    source = scratch / "src" / "internal.c"
    text = source.read_text(encoding="latin-1")
    if "unknownExtCallback" in text:
        return
    if text.count(HANDSHAKE_DECODE) != 1:
        raise DepsError(f"{source} is not as expected; see HANDSHAKE_DECODE in {__file__}")
    source.write_text(text.replace(HANDSHAKE_DECODE, HANDSHAKE_DECODE + HANDSHAKE_CALLBACK), encoding="latin-1")


# wolfSSL 5.9's table look-up of Ed25519 and X25519 (fe_cmov_table_avx2) puts its 1 into a register by an instruction that leaves
# the upper half as it was. After code that left something there, every public key with a zero digit comes out wrong: about
# half of all. vmovq clears the upper half. Shown by tests/unit/net/web_tls_channel_test.cc.
DIRTY_REGISTER = "        movd\t%rbx, %xmm9\n"
CLEAN_REGISTER = "        vmovq\t%rbx, %xmm9\n"


def clean_register(scratch: pathlib.Path) -> None:
    source = scratch / "wolfcrypt" / "src" / "fe_x25519_asm.S"
    source.write_text(source.read_text().replace(DIRTY_REGISTER, CLEAN_REGISTER))


def build_wolfssl(p: Pin, prefix: pathlib.Path, jobs: int) -> None:
    with build_folder(p, prefix) as (scratch, log):
        pass_extension_callback_on(scratch)
        clean_register(scratch)
        if not (scratch / "configure").exists():
            run_logged(["autoreconf", "-if"], scratch, log)
        flags = " ".join([*WOLFSSL_CFLAGS, *WOLFSSL_NEUTRAL_CFLAGS])
        # --enable-sp puts its own -O in front of ours; ccache makes a rebuild after `clean --deps` short.
        compiler = "ccache cc" if shutil.which("ccache") else "cc"
        env = {"CFLAGS": flags, "CC": os.environ.get("CC", compiler), "CCACHE_BASEDIR": str(DEPS)}
        run_logged(
            ["./configure", f"--prefix={prefix}", "--libdir", f"{prefix}/lib", *WOLFSSL_OPTIONS], scratch, log, env
        )
        run_logged(["make", f"-j{jobs}"], scratch, log)
        run_logged(["make", "install"], scratch, log)


def build_ngtcp2(p: Pin, prefix: pathlib.Path, wolfssl: pathlib.Path, jobs: int) -> None:
    with build_folder(p, prefix) as (scratch, log):
        configure = [
            "cmake",
            "-GNinja",
            "-S.",
            "-Bout",
            f"-DCMAKE_INSTALL_PREFIX={prefix}",
            f"-DWOLFSSL_INCLUDE_DIR={wolfssl}/include",
            f"-DWOLFSSL_LIBRARY={wolfssl}/lib/libwolfssl.a",
            # ngtcp2's checks link test programs, which need the hooks that our crypto room defines.
            "-DCMAKE_TRY_COMPILE_TARGET_TYPE=STATIC_LIBRARY",
            *NGTCP2_OPTIONS,
        ]
        env = {"PKG_CONFIG_PATH": f"{wolfssl}/lib/pkgconfig"}
        run_logged(configure, scratch, log, env)
        run_logged(["ninja", "-C", "out", f"-j{jobs}"], scratch, log)
        run_logged(["ninja", "-C", "out", "install"], scratch, log)
        check_helper_links(prefix, wolfssl)


def build_llhttp(p: Pin, prefix: pathlib.Path) -> None:
    with build_folder(p, prefix) as (scratch, log):
        vendored = scratch / "vendor" / "llhttp"
        compiler = shlex.split(os.environ.get("CC", "cc"))
        objects = []
        for name in LLHTTP_SOURCES:
            objects.append(f"{name}.o")
            prefix_map = f"-ffile-prefix-map={DEPS}=deps"
            command = [*compiler, *LLHTTP_CFLAGS, prefix_map, "-Iinclude", "-c", f"src/{name}", "-o", objects[-1]]
            run_logged(command, vendored, log)
        (prefix / "lib").mkdir(parents=True)
        run_logged(["ar", "rcs", str(prefix / "lib" / "libllhttp.a"), *objects], vendored, log)
        shutil.copytree(vendored / "include", prefix / "include")
        # For a compiler that makes code for something else than this machine.
        shutil.copytree(vendored / "src", prefix / "src")
        shutil.copy(vendored / "LICENSE", scratch / "LICENSING")


def symbols(archive: pathlib.Path, kinds: str) -> set[str]:
    run = subprocess.run(["nm", "--format=posix", str(archive)], capture_output=True, text=True, check=False)
    rows = [line.split() for line in run.stdout.splitlines()]
    return {row[0] for row in rows if len(row) > 1 and row[1] in kinds}


def check_helper_links(ngtcp2: pathlib.Path, wolfssl: pathlib.Path) -> None:
    """A wolfSSL function that its options left out must not first show when libsereus is linked."""
    wanted = symbols(ngtcp2 / "lib" / "libngtcp2_crypto_wolfssl.a", "U")
    missing = {name for name in wanted if name.startswith(("wolfSSL_", "wc_"))}
    missing -= symbols(wolfssl / "lib" / "libwolfssl.a", "TDRBVW")
    if missing:
        raise DepsError(f"this wolfSSL lacks what ngtcp2's helper calls: {', '.join(sorted(missing))}")


@contextlib.contextmanager
def exclusive():
    """One builder at a time: several CMake presets may be configured at once, and all share the prefixes."""
    DEPS.mkdir(parents=True, exist_ok=True)
    with (DEPS / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another process is building the dependencies; waiting for it")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def build(jobs: int) -> list[Pin]:
    with exclusive():
        pins = choose_pins()
        paths = prefixes(pins)
        if not is_built(pins):
            missing = [archive for archive in archives_of(pins) if not obtain(archive)]
            if missing:
                raise DepsError(missing_message(missing))
            if not stamp(paths["wolfssl"]).exists():
                build_wolfssl(by_name(pins, "wolfssl"), paths["wolfssl"], jobs)
            if not stamp(paths["ngtcp2"]).exists():
                build_ngtcp2(by_name(pins, "ngtcp2"), paths["ngtcp2"], paths["wolfssl"], jobs)
            if not stamp(paths["llhttp"]).exists():
                build_llhttp(by_name(pins, "llhttp"), paths["llhttp"])
        return pins


def print_prefixes(pins: list[Pin]) -> None:
    for name, prefix in prefixes(pins).items():
        p = by_name(pins, name)
        print(f"{name}_prefix={prefix}")
        print(f"{name}_version={p.version}")
        print(f"{name}_sha256={p.archive.sha256}")
        print(f"{name}_patches={p.patches.file if p.patches else ''}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=["build", "fetch", "prefix"])
    parser.add_argument("-j", "--jobs", type=int, default=os.cpu_count() or 1)
    arguments = parser.parse_args()
    try:
        if arguments.command == "build":
            print_prefixes(build(arguments.jobs))
        elif arguments.command == "fetch":
            for archive in archives_of(choose_pins()):
                print(CACHE / archive.file)
        else:
            built = [pins for pins in PIN_SETS.values() if is_built(pins)]
            if not built:
                raise DepsError("the dependencies are not built: run ./dev setup")
            print_prefixes(built[0])
    except DepsError as error:
        print(f"deps: error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
