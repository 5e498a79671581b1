#!/usr/bin/env bash
# Fills the ignored folder .gpu with what a machine with a GPU, but without a network and without Debian's packages, needs for tests/gpu/gpu_check.sh:
# headers and CMake files of the packages, and, asked for, real slices shrunk for the trip and weights. Run it where the packages are, take the
# tree with .gpu there, and run tests/gpu/gpu_check.sh: it finds .gpu by itself.
set -euo pipefail
export LC_ALL=C  # a point in every number, whatever the locale

usage() {
  cat <<'TEXT'
usage: tests/gpu/gpu_carry.sh [--data DIR --weights FILE] [--manifest FILE] [--size PIXELS]
  --data      a folder with pictures; its slices of train, val and test travel grey and shrunk, in their own format (needs ImageMagick's mogrify)
  --manifest  the table with file, label, split and patient (default: manifest.csv in --data)
  --weights   ImageNet weights of ResNet-50, as dura reads them
  --size      height and width of the shrunk slices (default 256)
TEXT
}

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
# shellcheck source=scripts/build.sh
source "$root/scripts/build.sh"
data='' weights='' manifest='' size=256
while (($# > 0)); do
  case $1 in
    --data | --weights | --manifest | --size)
      (($# > 1)) || { usage >&2; exit 2; }
      printf -v "${1#--}" '%s' "$2"
      shift
      ;;
    --help | -h) usage; exit 0 ;;
    *) usage >&2; exit 2 ;;
  esac
  shift
done
if [[ -n $data && -z $weights || -z $data && -n $weights ]]; then die "--data and --weights go together"; fi
manifest=${manifest:-$data/manifest.csv}
if [[ -n $data ]]; then
  [[ -f $manifest ]] || die "$manifest does not exist; dura-prepare --split new --out FILE makes such a table"
  for column in file label split patient; do
    head -1 "$manifest" | tr -d '\r' | tr ',' '\n' | grep -qx "$column" || die "$manifest has no column $column; dura-prepare --split new adds a split"
  done
fi
[[ -z $data ]] || command -v mogrify >/dev/null || die "--data needs mogrify: install the package imagemagick"

ensure_packages
carry=$root/.gpu
rm -rf "$carry"
mkdir -p "$carry/packages"

say "headers and CMake files of the packages"
# All of these are used as headers alone; Catch2's CMake files also look for its library.
for package in libeigen3-dev libstb-dev catch2 libtomlplusplus-dev nlohmann-json3-dev; do
  dpkg-query --listfiles "$package" | grep -vE '/share/(doc|man|lintian)/|/unsupported/|\.so' | while read -r file; do
    [[ -f $file ]] || continue
    install -D -m 644 "$file" "$carry/packages$file"
  done
done
# Packed, they take a sixth: what travels is often limited.
tar -C "$carry" -czf "$carry/packages.tar.gz" packages
rm -r "$carry/packages"

if [[ -n $data ]]; then
  say "slices, $size x $size"
  mkdir -p "$carry/data"
  # What a study needs of the manifest; sizes in millimetres would be wrong for shrunk slices.
  awk -F, 'NR == 1 { for (i = 1; i <= NF; ++i) at[$i] = i; print "file,label,split,patient"; next }
    $at["split"] ~ /^(train|val|test)$/ { print $at["file"] "," $at["label"] "," $at["split"] "," $at["patient"] }' \
    "$manifest" >"$carry/data/manifest.csv"
  tail -n +2 "$carry/data/manifest.csv" | cut -d, -f1 | while read -r file; do
    install -D -m 644 "$data/$file" "$carry/data/$file"
  done
  find "$carry/data" -type f ! -name manifest.csv -print0 |
    xargs -0 -n 64 mogrify -resize "${size}x${size}" -colorspace Gray -strip -quality 80
  # In f16 they take half; the networks that are trained from them are compared with each other alone.
  say "weights in f16"
  build_dura "$root" cpu AUTO dura-convert
  "$root/build/apps/dura-convert" "$weights" "$carry/weights.safetensors" >/dev/null
  python3 - "$carry/weights.safetensors" <<'PYTHON'
import array, json, struct, sys

path = sys.argv[1]
data = open(path, "rb").read()
size = struct.unpack("<Q", data[:8])[0]
header, body, out = json.loads(data[8 : 8 + size]), data[8 + size :], bytearray()
for name, entry in sorted(header.items(), key=lambda item: item[1]["data_offsets"] if "data_offsets" in item[1] else [0, 0]):
    if "data_offsets" not in entry:
        continue
    begin, end = entry["data_offsets"]
    values, start = body[begin:end], len(out)
    if entry["dtype"] == "F32":
        numbers = array.array("f", values)
        values, entry["dtype"] = struct.pack(f"<{len(numbers)}e", *numbers), "F16"
    out += values
    entry["data_offsets"] = [start, len(out)]
text = json.dumps(header, separators=(",", ":")).encode()
text += b" " * (-len(text) % 8)
open(path, "wb").write(struct.pack("<Q", len(text)) + text + bytes(out))
PYTHON
fi
size=$(du -sm --apparent-size "$carry" | cut -f1)
say "done: $carry, $size MiB"
((size <= 64)) || die "$carry has $size MiB; 64 can travel. Use fewer slices or a smaller --size."
