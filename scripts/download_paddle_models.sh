#!/usr/bin/env bash
# Gets the official PP-OCR models, text detection and recognition, in Paddle's format and as ONNX.
#
#   download_paddle_models.sh [--to DIR] [--format paddle|onnx|both] [--mirror URL]
#                             [--offline DIR] [--partial DIR] [MODEL...]
#
#   --to DIR       where the models go (default: .cache/paddle-models of this checkout). The folders
#                  are called as PaddleX calls them: with --to ~/.paddlex/official_models PaddleOCR
#                  finds them by itself
#   --format       which of the two formats (default: both)
#   --mirror URL   get the archives from below this address instead of Paddle's own
#   --offline DIR  take the archives out of this folder and ask no network
#   --partial DIR  keep an unfinished download here, and go on with it next time; without it a
#                  failed run leaves nothing behind
#   MODEL          names of PaddleOCR (default: PP-OCRv6_small_det PP-OCRv6_small_rec)
#
# Names and address are those of PaddleX 3.7, which PaddleOCR 3.7 gets its models with. Each archive
# is held to a SHA-256: one that stands below, or else the one in DIR/SHA256SUMS, where the hash of
# an archive that is seen for the first time is recorded (trust on first use, and it says so).
# Broken connections are resumed. A model is unpacked beside its place and moved there whole; one
# that is already there and whole is left alone.
#
# Needs bash, tar and Python 3. Exit status: 0, 1 (a model could not be had), 2 (usage).
set -euo pipefail

source_url=https://paddle-model-ecology.bj.bcebos.com/paddlex/official_inference_model/paddle3.0.0
tries=${DOWNLOAD_TRIES:-5} # the pause before another one grows: 1, 2, 4, 8 … times the next line
pause_s=${DOWNLOAD_PAUSE_S:-1}
timeout_s=${DOWNLOAD_TIMEOUT_S:-30} # without a byte
python=${PYTHON:-python3}

# Paddle publishes no hashes. These are what many projects that use the archives have recorded for
# them, independently and alike.
pinned_sha256() {
  case $1 in
    PP-OCRv6_small_det_infer.tar)
      echo bfb7c1e59f0faa6b540ebdca93aea3f4b1f2477805b389fbee117820d68fe9f5 ;;
    PP-OCRv6_small_rec_infer.tar)
      echo da460f968ce9f88325ac3a34fa302077d6e9b0dcefb16ba3137cd7796f879d06 ;;
    PP-OCRv6_small_det_onnx_infer.tar)
      echo d218f6fbf0f1c23d2161bd6ac7f5eaa6104fa89955c09290497e31008e2618e4 ;;
    PP-OCRv6_small_rec_onnx_infer.tar)
      echo d267ab077a44a0eedb1ea8f8c542d263f211de8e9d7a029bf9fcfff7e5a88fb1 ;;
  esac
}

say() { printf '%s\n' "$*" >&2; }
fail() {
  say "error: $*"
  exit 1
}
usage() {
  say "error: $*"
  say "usage: ${0##*/} [--to DIR] [--format paddle|onnx|both] [--mirror URL] [--offline DIR] [--partial DIR] [MODEL...]"
  exit 2
}

# --- options -----------------------------------------------------------------------------------

target=$(cd "$(dirname "$0")/.." && pwd)/.cache/paddle-models
format=both mirror='' offline='' partial=''
models=()
while (($#)); do
  case $1 in
    --to | --format | --mirror | --offline | --partial)
      [ -n "${2:-}" ] || usage "$1 needs a value"
      case $1 in
        --to) target=$2 ;;
        --format) format=$2 ;;
        --mirror) mirror=${2%/} ;;
        --offline) offline=$2 ;;
        --partial) partial=$2 ;;
      esac
      shift ;;
    -h | --help)
      sed -n '2,/^set /{/^set /!s/^# \{0,1\}//p;}' "$0"
      exit 0 ;;
    -*) usage "unknown option $1" ;;
    *) models+=("$1") ;;
  esac
  shift
done
((${#models[@]})) || models=(PP-OCRv6_small_det PP-OCRv6_small_rec)
for model in "${models[@]}"; do
  [[ $model =~ ^[A-Za-z0-9][A-Za-z0-9._-]*$ ]] || usage "'$model' is not the name of a model"
done
case $format in
  paddle) suffixes=('') ;;
  onnx) suffixes=(_onnx) ;;
  both) suffixes=('' _onnx) ;;
  *) usage "the format is paddle, onnx or both" ;;
esac
[ -z "$mirror" ] || [ -z "$offline" ] || usage "--mirror and --offline exclude each other"
[ -z "$offline" ] || [ -d "$offline" ] || fail "the folder '$offline' does not exist"
case ${mirror:=$source_url} in
  https://* | http://*) ;;
  *) usage "the mirror must be an http or https address" ;;
esac
command -v "$python" >/dev/null || fail "Python 3 is needed ('$python' was not found)"
command -v tar >/dev/null || fail "tar is needed"

mkdir -p "$target" || fail "the folder '$target' cannot be made"
target=$(cd "$target" && pwd)
lock=$target/SHA256SUMS
# Beside the models, so that moving them into place is one step
work=$(mktemp -d "$target/.download.XXXXXX") || fail "the folder '$target' cannot be written"
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM HUP
if [ -n "$partial" ]; then
  mkdir -p "$partial" || fail "the folder '$partial' cannot be made"
else
  partial=$work
fi

# --- hashes ------------------------------------------------------------------------------------

sha256() {
  "$python" - "$1" <<'PY'
import hashlib, sys
with open(sys.argv[1], "rb") as file:
    print(hashlib.file_digest(file, "sha256").hexdigest()
          if hasattr(hashlib, "file_digest") else hashlib.sha256(file.read()).hexdigest())
PY
}

locked_sha256() { # NAME: what SHA256SUMS says of it, if anything
  [ ! -f "$lock" ] || awk -v name="$1" '$2 == name { print $1 }' "$lock"
}

record() { # FOLDER ARCHIVE SHA256: its lines in SHA256SUMS, in place of older ones
  local folder=$1 archive=$2 file
  {
    [ ! -f "$lock" ] || awk -v archive="$archive" -v folder="$folder/" \
      '$2 != archive && index($2, folder) != 1' "$lock"
    printf '%s  %s\n' "$3" "$archive"
    for file in "$target/$folder"/*; do
      printf '%s  %s\n' "$(sha256 "$file")" "$folder/${file##*/}"
    done
  } | sort -k2 >"$work/SHA256SUMS"
  mv "$work/SHA256SUMS" "$lock"
}

is_whole() { # FOLDER: all its files are there, and are what was recorded
  local folder=$1 sum name
  [ -d "$target/$folder" ] && [ -f "$lock" ] || return 1
  awk -v folder="$folder/" 'index($2, folder) == 1' "$lock" >"$work/expected"
  [ -s "$work/expected" ] || return 1
  while read -r sum name; do
    [ -f "$target/$name" ] && [ "$(sha256 "$target/$name")" = "$sum" ] || return 1
  done <"$work/expected"
}

# --- getting an archive ------------------------------------------------------------------------

# fetch URL FILE: goes on where FILE ends. Says on stderr what went wrong, and ends with 1 if it is
# worth another try, 3 if it is not.
fetch() {
  "$python" - "$1" "$2" "$timeout_s" <<'PY'
import os, sys, urllib.error, urllib.request

url, path, timeout = sys.argv[1], sys.argv[2], float(sys.argv[3])
have = os.path.getsize(path) if os.path.exists(path) else 0
request = urllib.request.Request(url, headers={"User-Agent": "anpr", "Accept-Encoding": "identity"})
if have:
    request.add_header("Range", f"bytes={have}-")


def give_up(reason, status):
    print(f"  {reason}", file=sys.stderr)
    sys.exit(status)


try:
    with urllib.request.urlopen(request, timeout=timeout) as answer:
        resumed = answer.status == 206
        if resumed and not answer.headers.get("Content-Range", "").startswith(f"bytes {have}-"):
            os.remove(path)
            give_up("the server resumed at the wrong place", 1)
        length = answer.headers.get("Content-Length")
        expected = int(length) if length else None
        got = 0
        with open(path, "ab" if resumed else "wb") as file:
            while chunk := answer.read(1 << 18):
                file.write(chunk)
                got += len(chunk)
        if expected is not None and got < expected:
            give_up(f"the connection broke after {got} of {expected} bytes", 1)
except urllib.error.HTTPError as error:
    if error.code == 416 and have:  # there is nothing after what we have: the hash will tell
        sys.exit(0)
    give_up(f"the server answered {error.code} {error.reason}",
            1 if error.code in (408, 429) or error.code >= 500 else 3)
except urllib.error.URLError as error:
    give_up(f"the server cannot be reached: {error.reason}", 1)
except OSError as error:  # time-outs and broken connections among them
    give_up(f"the connection failed: {error}", 1)
except Exception as error:
    give_up(f"the answer made no sense: {error!r}", 1)
PY
}

download() { # ARCHIVE FILE
  local archive=$1 file=$2 try status pause=$pause_s
  for ((try = 1; try <= tries; try++)); do
    if ((try > 1)); then
      say "  trying again in $pause s ($try of $tries)"
      sleep "$pause"
      pause=$("$python" -c 'import sys; print(float(sys.argv[1]) * 2)' "$pause")
    fi
    status=0
    fetch "$mirror/$archive" "$file" || status=$?
    case $status in
      0) return 0 ;;
      1) ;;
      *) break ;;
    esac
  done
  fail "$archive could not be downloaded from $mirror/. Another source can be given with --mirror, or a folder with the archives with --offline."
}

# obtain ARCHIVE EXPECTED: sets $obtained to a file with that hash (any, if EXPECTED is empty)
obtain() {
  local archive=$1 expected=$2
  if [ -n "$offline" ]; then
    obtained=$offline/$archive
    [ -f "$obtained" ] || fail "the folder '$offline' has no $archive"
  else
    obtained=$partial/$archive.part
    download "$archive" "$obtained"
  fi
  actual=$(sha256 "$obtained")
  if [ -n "$expected" ] && [ "$actual" != "$expected" ]; then
    [ -n "$offline" ] || rm -f "$obtained"
    fail "$archive has the wrong SHA-256: $actual instead of $expected. It was not used."
  fi
}

# --- one model in one format -------------------------------------------------------------------

install_model() { # NAME, as PaddleX calls it: with _onnx for that format
  local name=$1 archive=$1_infer.tar expected weights file
  if is_whole "$name"; then
    say "$name: already there"
    return
  fi
  expected=$(pinned_sha256 "$archive")
  [ -n "$expected" ] || expected=$(locked_sha256 "$archive")
  say "$name: getting $archive from ${offline:-$mirror}"
  obtain "$archive" "$expected"
  rm -rf "$work/fresh" "$work/stale"
  mkdir "$work/fresh"
  tar -xf "$obtained" -C "$work/fresh" --no-same-owner --strip-components 1 2>"$work/tar.log" ||
    fail "$archive cannot be unpacked: $(head -n 1 "$work/tar.log")"
  # only what a model is made of, whatever else the archive may hold
  find "$work/fresh" -mindepth 1 -maxdepth 1 ! \( -type f -name 'inference.*' \) -exec rm -rf {} +
  case $name in
    *_onnx) weights=inference.onnx ;;
    *) weights=inference.pdiparams ;;
  esac
  for file in "$weights" inference.yml; do
    [ -s "$work/fresh/$file" ] || fail "$archive is not such a model: it has no $file"
  done
  [ ! -e "$target/$name" ] || mv "$target/$name" "$work/stale"
  mv "$work/fresh" "$target/$name"
  record "$name" "$archive" "$actual"
  [ -n "$offline" ] || rm -f "$obtained"
  if [ -z "$expected" ]; then
    say "$name: nobody vouched for SHA-256 $actual: trusted on first use, recorded in $lock"
  else
    say "$name: verified, in $target/$name"
  fi
}

for model in "${models[@]}"; do
  for suffix in "${suffixes[@]}"; do
    install_model "$model$suffix"
  done
done
