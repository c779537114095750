#!/usr/bin/env python3
"""merge_archives.py AR TARGET PART...: adds the members of each PART archive to the static library TARGET.

CMake's static libraries only hold their own objects; a user of libsereus.a should not have to find our pinned
libraries as well.
"""

import pathlib
import subprocess
import sys


def main() -> int:
    archiver, target, *parts = sys.argv[1:]
    merged = pathlib.Path(target + ".merged")
    script = "".join([f"CREATE {merged}\n", *(f"ADDLIB {part}\n" for part in [target, *parts]), "SAVE\nEND\n"])
    subprocess.run([archiver, "-M"], input=script, text=True, check=True)
    merged.replace(target)
    return 0


if __name__ == "__main__":
    sys.exit(main())
