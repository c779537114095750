#!/usr/bin/env bash
# Tries the build on Debian 13: debootstrap into FOLDER (once), the project mounted in it, `./dev build` and the unit tests.
# Needs root. The build of the inner system is kept beside it, so a rerun is incremental.
set -euo pipefail
folder=$(realpath -m "${1:?usage: debian13.sh FOLDER}")
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
((EUID == 0)) || { echo "debian13.sh: needs root, for debootstrap and chroot" >&2; exit 1; }

# The mirror is the one this machine is configured with.
mirror=$(apt-get indextargets --format '$(REPO_URI)|$(ORIGIN)|$(CREATED_BY)' |
  awk -F'|' '$2 == "Debian" && $3 == "Packages" && $1 !~ /security/ { print $1; exit }')
if [[ ! -f $folder/system/.complete ]]; then
  rm -rf "$folder/system"
  mkdir -p "$folder/system"
  debootstrap --variant=minbase trixie "$folder/system" "$mirror"
  touch "$folder/system/.complete"
fi
# apt inside goes out the way apt outside does.
apt-config dump | grep -E '^Acquire::(http|https)' >"$folder/system/etc/apt/apt.conf.d/90outside" || true
cp /etc/resolv.conf "$folder/system/etc/resolv.conf" 2>/dev/null || true

# A clone, so that the inner build folder does not mix with the outer one; committed state only.
if [[ -d $folder/system/work/.git ]]; then
  git -C "$folder/system/work" fetch -q "$root" HEAD && git -C "$folder/system/work" checkout -qf FETCH_HEAD
else
  git clone -q "$root" "$folder/system/work"
fi
mkdir -p "$folder/system/work/build/deps/cache"
cp -n "$root"/build/deps/cache/* "$folder/system/work/build/deps/cache/" 2>/dev/null || true

mount -t proc proc "$folder/system/proc"
trap 'umount "$folder/system/proc"' EXIT
chroot "$folder/system" /usr/bin/env -i HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 \
  bash -c 'cd /work && apt-get update -qq && { ./dev build || ninja -C build/release -k 0; } && python3 tools/run_tests.py build/release/test/test_*'
