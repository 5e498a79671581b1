#!/usr/bin/env bash
# The Debian packages as a user meets them: built, installed with apt in a Debian that has nothing else, used there, and taken away again.
# Needs root, debootstrap, dpkg-dev and a mirror of Debian; says what is missing, and is skipped then.
# usage: packages_test.sh SOURCE_DIR CXX_COMPILER
set -euo pipefail
source=$1 compiler=$2
skip() {
  echo "skipped: $*"
  exit 77
}
((EUID == 0)) || skip "only root can make a Debian to install packages in"
for tool in debootstrap dpkg-shlibdeps help2man file wget; do command -v "$tool" >/dev/null || skip "$tool is not installed"; done
suite=$(. /etc/os-release && echo "${ID:-}/${VERSION_CODENAME:-}")
[[ $suite == debian/?* ]] || skip "packages are tried on the Debian that they were built on, and this is no Debian"
suite=${suite#*/} mirror=${DURA_DEBIAN_MIRROR:-http://deb.debian.org/debian}
wget -q --timeout=30 --tries=2 -O /dev/null "$mirror/dists/$suite/Release" || skip "no answer from $mirror (DURA_DEBIAN_MIRROR names another)"

work=$(mktemp -d)
# debootstrap mounts /proc and /sys in its folder for a while; nothing is removed that lies behind a mount.
trap 'umount -q "$work"/debian/{proc,sys} || true; rm -rf --one-file-system "$work"' EXIT
quietly() { "$@" >"$work/log" 2>&1 || { tail -50 "$work/log"; echo "failed: $*"; exit 1; }; }

echo "== building"
# In the preset's own folder: a second run, or a compiler cache, has less to do.
build=$source/build-package
rm -rf "$build/packages"
quietly cmake -S "$source" --preset package -DCMAKE_CXX_COMPILER="$compiler"
quietly cmake --build "$build" --target package
cd "$build/packages"
ls -l ./*.deb
version=$(sed -n 's/^project(dura VERSION \([0-9.]*\).*/\1/p' "$source/CMakeLists.txt")
for package in dura libdura1 libdura-dev; do
  deb=$(echo "${package}_${version}"_*.deb)
  dpkg-deb --info "$deb"
  dpkg-deb --contents "$deb" >"$work/contents"
  grep -q " ./usr/share/doc/$package/copyright$" "$work/contents"
  dpkg-deb --fsys-tarfile "$deb" | tar -xO "./usr/share/doc/$package/copyright" | grep LICENSE >/dev/null
  # No part of another package. A list of none would pass, so one that all have is looked for, too.
  dpkg-deb --fsys-tarfile "$deb" | tar -xO "./usr/share/doc/$package/dura-sbom.json" >"$work/sbom"
  grep -q '"name": "Eigen"' "$work/sbom"
  others='MPI'
  [[ $package == dura ]] || others='MPI|HDF5|toml'
  if grep -E "\"name\": \"($others)" "$work/sbom"; then echo "$package lists what it does not have"; exit 1; fi
  # Nothing of the machine that built it.
  if grep -vE '^(d|-|l)r[-w][-x]r-[-x]r-[-x] root/root |^lrwxrwxrwx root/root ' "$work/contents"; then echo "owners or permissions"; exit 1; fi
  if grep -E "$source| ./usr/local| ./(home|tmp|root)/" "$work/contents"; then echo "a path of the machine that built $package"; exit 1; fi
done
# The maintainer's address is for those to set who ship the packages.
if command -v lintian >/dev/null; then
  lintian --allow-root --fail-on error --suppress-tags bogus-mail-host,bogus-mail-host-in-debian-changelog ./*.deb
fi

echo "== a Debian of its own ($suite)"
root=$work/debian
quietly debootstrap --variant=minbase "$suite" "$root" "$mirror"
mount -t proc proc "$root/proc" || skip "/proc could not be mounted"
inside() { chroot "$root" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive "$@"; }
inside find / -xdev -name '*dura*' -not -path '/proc/*' >"$work/before"
cp ./*.deb "$root/root"
cd "$root/root"
programs_debs=(dura_*.deb libdura1_*.deb) development_debs=(libdura-dev_*.deb)

echo "== installed with apt"
quietly inside apt-get update -q
quietly inside apt-get install -y --no-install-recommends "${programs_debs[@]/#//root/}"
inside dura-predict --version | grep Apache-2.0 >/dev/null
inside dura-predict --help | grep -- --model >/dev/null
programs=$(inside sh -c 'ls /usr/bin/dura-*')
for program in $programs; do
  name=${program##*/}
  inside "$name" --version >/dev/null
  inside gzip -dc "/usr/share/man/man1/$name.1.gz" >"$work/page"
  grep -qF '\fB\-\-help\fR' "$work/page"
  grep -qF "$name \\- " "$work/page"
  inside bash -c "source /usr/share/bash-completion/completions/$name && complete -p $name" >/dev/null
done
inside bash -c 'source /usr/share/bash-completion/completions/dura-predict; COMP_WORDS=(dura-predict --fo); COMP_CWORD=1; _dura_predict
  [[ ${COMPREPLY[*]} == --format ]]'
echo "$(wc -w <<<"$programs") programs, each with a manual page and completion"

# A small network, learnt there.
inside dura-phantom --task pretext --images 60 --size 64 --out /root/slices >/dev/null
quietly inside dura-train --data /root/slices --depth 18 --size 32 --phase1-epochs 1 --phase2-epochs 0 --out /root/run
inside dura-predict --model /root/run/model.safetensors /root/slices/images/0.png | tee answer

echo "== a C program"
quietly inside apt-get install -y --no-install-recommends "${development_debs[@]/#//root/}"
cp "$source/docs/examples/predict.c" .
if inside apt-get install -y --no-install-recommends gcc libc6-dev pkgconf >"$work/log" 2>&1; then
  inside sh -c 'cc -std=c99 -Wall -Wextra -Werror /root/predict.c -o /root/predict $(pkg-config --cflags --libs dura)'
else
  echo "no compiler could be installed there; the one outside is used"
  lib=$(dirname "$(find usr/lib ../usr/lib -name libdura.so | head -1)")
  cc -std=c99 -Wall -Wextra -Werror -I "$root/usr/include" predict.c -o predict -L "$lib" -ldura
fi
inside /root/predict /root/run/model.safetensors /root/slices/images/0.png | tee said
grep -q "$(sed -n '2s/^[^,]*,\([^,]*\),.*/\1/p' answer)" said

echo "== and taken away"
quietly inside apt-get purge -y dura libdura1 libdura-dev
inside find / -xdev -name '*dura*' -not -path '/proc/*' -not -path '/root/*' -not -path '/var/log/*' | diff "$work/before" -
