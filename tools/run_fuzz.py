#!/usr/bin/env python3
"""Runs each libFuzzer program for a bounded time. New inputs go to the work folder, faults into WORK/NAME-faults."""

import argparse
import pathlib
import subprocess
import sys


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--corpora", type=pathlib.Path, required=True)
    parser.add_argument("--work", type=pathlib.Path, required=True)
    parser.add_argument("programs", nargs="+", type=pathlib.Path)
    arguments = parser.parse_args()
    failed = 0
    for program in arguments.programs:
        name = program.name.removesuffix("_fuzz")
        work, faults = arguments.work / name, arguments.work / f"{name}-faults"
        for folder in (work, faults):
            folder.mkdir(parents=True, exist_ok=True)
        seeds = arguments.corpora / name
        command = [
            str(program),
            f"-max_total_time={arguments.seconds}",
            "-rss_limit_mb=2048",
            "-timeout=10",
            "-print_final_stats=1",
            f"-artifact_prefix={faults}/",
            str(work),
            *([str(seeds)] if seeds.is_dir() else []),
        ]
        result = subprocess.run(command, stdin=subprocess.DEVNULL, check=False).returncode
        print(f"{program.name}: {'ok' if result == 0 else f'FAULT, input in {faults}'}", flush=True)
        failed += result != 0
    print(f"{len(arguments.programs) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
