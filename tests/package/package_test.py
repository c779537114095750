#!/usr/bin/env python3
"""package_test.py BUILD WORK: installs BUILD into WORK/prefix, moves it, and uses it from outside in each offered way."""

import os
import pathlib
import shutil
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
APP = HERE / "app"
ROOT = HERE.parents[1]


def output_of(command: list[str], **more: object) -> str:
    run = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, **more)
    if run.returncode != 0:
        raise AssertionError(f"$ {' '.join(map(str, command))}\n{run.stdout}")
    return run.stdout


class Package:
    def __init__(self, build: pathlib.Path, work: pathlib.Path) -> None:
        self.work = work
        self.version = (build / "SereusConfigVersion.cmake").read_text().split('PACKAGE_VERSION "')[1].split('"')[0]
        shutil.rmtree(work, ignore_errors=True)
        first = work / "first"
        output_of(["cmake", "--install", str(build), "--prefix", str(first)])
        # A package must not remember where it was installed first.
        self.prefix = work / "prefix"
        first.rename(self.prefix)
        [self.lib] = [path.parent for path in self.prefix.rglob("libsereus.so")]

    def expect_version(self, program: pathlib.Path, **env: str) -> None:
        printed = output_of([str(program)], env={**os.environ, **env}).strip()
        assert self.version in printed, f"{program.name} printed {printed!r}, expected {self.version}"

    def test_find_package(self) -> None:
        out = self.work / "cmake"
        configure = ["cmake", "-GNinja", "-S", str(APP), "-B", str(out), f"-DCMAKE_PREFIX_PATH={self.prefix}"]
        output_of(configure)
        output_of(["cmake", "--build", str(out)])
        self.expect_version(out / "app_c")
        self.expect_version(out / "app_cc")

    def test_a_wrong_version_is_refused(self) -> None:
        copy = self.work / "wrong"
        shutil.copytree(APP, copy)
        lists = copy / "CMakeLists.txt"
        lists.write_text(lists.read_text().replace("Sereus 0.1", "Sereus 9.0"))
        command = ["cmake", "-GNinja", "-S", str(copy), "-B", str(copy / "out"), f"-DCMAKE_PREFIX_PATH={self.prefix}"]
        assert subprocess.run(command, capture_output=True, check=False).returncode != 0

    def pkg_config(self, *arguments: str) -> list[str]:
        env = {**os.environ, "PKG_CONFIG_PATH": str(self.lib / "pkgconfig")}
        return output_of(["pkg-config", *arguments, "sereus"], env=env).split()

    def test_pkg_config_shared(self) -> None:
        program = self.work / "app_shared"
        flags = self.pkg_config("--cflags", "--libs")
        output_of(["cc", "-std=c99", "-pedantic-errors", str(APP / "main.c"), "-o", str(program), *flags])
        self.expect_version(program, LD_LIBRARY_PATH=str(self.lib))

    def test_static_library(self) -> None:
        program = self.work / "app_static"
        flags = [flag for flag in self.pkg_config("--cflags", "--libs", "--static") if flag != "-lsereus"]
        command = ["cc", str(APP / "main.c"), "-o", str(program), str(self.lib / "libsereus.a"), *flags]
        output_of(command)
        needed = output_of(["objdump", "-p", str(program)])
        assert "libsereus" not in needed
        self.expect_version(program)

    def test_installed_files_do_not_name_the_build_folder(self) -> None:
        texts = [*self.prefix.rglob("*.cmake"), *self.prefix.rglob("*.pc")]
        assert texts
        for path in texts:
            assert str(ROOT) not in path.read_text(), f"{path} names {ROOT}"

    def test_documents_are_there(self) -> None:
        names = {path.name for path in self.prefix.rglob("*")}
        for name in ("sereus.h", "LICENSE", "licensing.md", "sbom.spdx.json", "sereus.pc", "SereusConfig.cmake"):
            assert name in names, f"{name} is not installed"

    def test_installed_command(self) -> None:
        program = self.prefix / "bin" / "sereus"
        if (ROOT / "apps" / "sereus").is_dir():
            self.expect_version_of_command(program)

    def expect_version_of_command(self, program: pathlib.Path) -> None:
        printed = output_of([str(program), "--version"])
        assert self.version in printed, printed


def main() -> int:
    build, work = (pathlib.Path(argument).resolve() for argument in sys.argv[1:3])
    package = Package(build, work)
    passed = failed = 0
    for name in dir(package):
        if not name.startswith("test_"):
            continue
        try:
            getattr(package, name)()
            passed += 1
            print(f"ok    {name}")
        except AssertionError as problem:
            failed += 1
            print(f"FAIL  {name}\n{problem}")
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
