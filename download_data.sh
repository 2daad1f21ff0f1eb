#!/usr/bin/env bash
# Fetches ESC-50 (2000 clips; 650 MB to download, 1.6 GB free while it runs, 0.9 GB afterwards).
#
#   bash download_data.sh [FOLDER]     default: data/ESC-50 beside this script;
#                                      a relative FOLDER is relative to where you are
#
# Leaves FOLDER/meta/esc50.csv and FOLDER/audio/*.wav, or else FOLDER as it was. Safe to run again: a whole
# folder is only verified, a broken-off download is continued.
# Exit: 0 done or already complete, 1 download failed, 2 wrong usage or unfit FOLDER.
#
# Environment (for a mirror of your own, and for the tests):
#   ESC50_URLS          addresses of the zip, separated by spaces, tried in this order
#   ESC50_CSV_SHA256    expected sha256 of meta/esc50.csv (CRs removed)
#   ESC50_AUDIO_SHA256  expected sha256 of the sorted "md5  name" lines of audio/*.wav; "skip": not checked
#
# ESC-50 is CC BY-NC 3.0 (K. J. Piczak, 2015); its LICENSE comes along in FOLDER.
set -euo pipefail
unset CDPATH # it would make cd print

# The author's repository; then static copies of its zip: the one that PaddlePaddle's
# paddle.audio.datasets.ESC50 downloads, and the one in the Hugging Face data set yangwang825/esc50.
URLS=${ESC50_URLS:-"https://github.com/karolpiczak/ESC-50/archive/refs/heads/master.zip
https://paddleaudio.bj.bcebos.com/datasets/ESC-50-master.zip
https://huggingface.co/datasets/yangwang825/esc50/resolve/main/ESC-50-master.zip"}

# The zip has no lasting checksum (GitHub packs it anew, README changes included): what is in it is checked.
# csv: rebuilt from the 2000 clip names in soundata's ESC-50 index, as every column follows from the name. The
# rebuilt file (LF, 93742 bytes) has the md5 that several public loaders demand of meta/esc50.csv,
# 54a0d0055a10bb7df84ad340a148722e, and the sha256 that others give for upstream commit 33c8ce9.
# Audio: made from the 2000 md5s in that same index (esc50_index_2.0.json). One source only: hence "skip".
CSV_SHA256=${ESC50_CSV_SHA256:-ca660da60191a97de289983a05821c9382d852a38a2ba8428980816b68cf6246}
AUDIO_SHA256=${ESC50_AUDIO_SHA256:-64f5a155a8073c45babf8815db32988b4cdc4e29953a4f241a30627e3aa443da}
CLIPS=2000
HEADER=filename,fold,target,category,esc10

say() { printf 'download_data: %s\n' "$*"; }
note() { say "$@" >&2; }
die() { local code=$1; shift; note "error: $*"; exit "$code"; }
have() { command -v "$1" >/dev/null 2>&1; }
size() { if [ -f "$1" ]; then echo $(($(wc -c <"$1"))); else echo 0; fi; }
sha256() { if have sha256sum; then sha256sum; else shasum -a 256; fi | cut -d' ' -f1; }
md5_lines() {
  if have md5sum; then md5sum "$@"; else md5 -r "$@"; fi | awk '{ sub(/^\*?\.\//, "", $2); print $1 "  " $2 }'
}
unwritable() { die 2 "cannot write in $PARENT: name a FOLDER in a place that you may write to"; }
disk_full() {
  die 1 "cannot write to $PARENT (disk full?): free 1.6 GB there, or name a FOLDER on another disk," \
    "and run this again; what has arrived is kept"
}

# Says what is wrong with the ESC-50 in folder $1, nothing if it is whole. Checksums come last, as "clip X is
# missing" tells more than "checksum differs".
faults() {
  local csv=$1/meta/esc50.csv name rows=0 missing=0 first='' wavs
  [ -f "$csv" ] || { echo "meta/esc50.csv is missing"; return; }
  case $(head -n 1 "$csv" | tr -d '\r'), in
    "$HEADER",*) ;;
    *) echo "meta/esc50.csv does not begin with the columns $HEADER"; return ;;
  esac
  while IFS=, read -r name _ || [ -n "$name" ]; do
    rows=$((rows + 1))
    if [ -z "$name" ] || [ ! -s "$1/audio/$name" ]; then
      missing=$((missing + 1)) first=${first:-$name}
    fi
  done < <(tr -d '\r' <"$csv" | tail -n +2)
  [ "$rows" -eq "$CLIPS" ] || { echo "meta/esc50.csv has $rows rows instead of $CLIPS"; return; }
  [ "$missing" -eq 0 ] || { echo "$missing clips are missing or empty, first audio/$first"; return; }
  wavs=$(($(find "$1/audio" -maxdepth 1 -name '*.wav' | wc -l)))
  [ "$wavs" -eq "$CLIPS" ] || { echo "audio/ holds $wavs .wav files instead of $CLIPS"; return; }
  # Without CRs, so that a checkout made by git on Windows passes too.
  [ "$(tr -d '\r' <"$csv" | sha256)" = "$CSV_SHA256" ] ||
    { echo "meta/esc50.csv has the wrong sha256"; return; }
  [ "$AUDIO_SHA256" = skip ] ||
    [ "$(cd -- "$1/audio" && md5_lines ./*.wav | LC_ALL=C sort | sha256)" = "$AUDIO_SHA256" ] ||
    echo "the clips in audio/ are not the published ones (checksum differs)"
}

# One transfer of address $1 into file $2, from where that file ends. Returns curl's numbers, wget's put into
# them: 0 whole, 22 refused, 23 cannot write, 33 cannot resume, others: broke off.
transfer() {
  local rc=0 status meter
  if have curl; then
    if [ -t 2 ]; then meter=--show-error; else meter=-sS; fi # a progress meter only on a terminal
    status=$(curl --fail --location "$meter" --connect-timeout 30 --speed-limit 1 --speed-time 60 \
      --continue-at - --output "$2" --write-out '%{http_code}' --url "$1") || rc=$?
    # 416: the server has nothing beyond our last byte. Unpacking will tell whether that is the whole zip.
    if [ "$rc" -eq 22 ] && [ "$status" = 416 ] && [ -s "$2" ]; then rc=0; fi
  else
    if [ -t 2 ]; then meter=--progress=bar:force; else meter=--no-verbose; fi
    wget "$meter" --continue --tries=1 --timeout=60 --output-document="$2" "$1" || rc=$?
    [ -s "$2" ] || rm -f -- "$2" # it leaves an empty file when refused
    case $rc in 3) rc=23 ;; 8) rc=22 ;; esac
  fi
  return "$rc"
}

# Gets address $1 into file $2, going on after each break if anything came at all.
fetch() {
  local rc try
  for try in 1 2 3 4 5; do
    rc=0
    transfer "$1" "$2" || rc=$?
    case $rc in
      0) return 0 ;;
      22) note "the server refused it"; return 1 ;;
      23) disk_full ;;
      33 | 36) note "this server cannot resume: starting over"; rm -f -- "$2" ;; # GitHub's zips are so
      *)
        [ -s "$2" ] || { note "nothing came from there"; return 1; }
        note "the connection broke after $(size "$2") bytes (try $try of 5)"
        sleep $((try - 1)) # at once the first time, then giving a bad line time to recover
        ;;
    esac
  done
  return 1
}

# Unpacks zip $1 into $WORK/new. Both tools test every member's CRC, so success also means an intact zip.
unpack() {
  local rc=0 said
  rm -rf -- "$WORK/new"
  if have unzip; then
    unzip -q -o "$1" -d "$WORK/new" </dev/null >/dev/null 2>&1 || rc=$? # no stdin: nobody is to be asked
    if [ "$rc" -eq 50 ]; then disk_full; fi
  else
    said=$(python3 -I -m zipfile -e "$1" "$WORK/new" 2>&1) || rc=$?
    case $said in *'[Errno 28]'* | *'[Errno 122]'*) disk_full ;; esac # no space left, over quota
  fi
  return "$rc"
}

# From address $1 to a checked ESC-50 in $ROOT. The part file is named after the address, so that one mirror's
# bytes are never continued with another's.
try_mirror() {
  local part resumed csv why
  part=$WORK/$(printf '%s' "$1" | cksum | cut -d' ' -f1).zip.part
  resumed=$(size "$part")
  if [ "$resumed" -gt 0 ] && unpack "$part"; then
    say "an earlier run has fetched the whole zip from $1"
  else
    if [ "$resumed" -gt 0 ]; then say "continuing $1 after $resumed bytes"; else say "downloading $1"; fi
    fetch "$1" "$part" || return 1
    say "unpacking and checking"
    if ! unpack "$part"; then
      rm -f -- "$part"
      [ "$resumed" -gt 0 ] || { note "what came is not an intact zip"; return 1; }
      # It may be two versions of the zip sewn together, so it gets one clean start.
      note "what the earlier run left does not fit: starting over"
      fetch "$1" "$part" || return 1
      unpack "$part" || { note "what came is not an intact zip"; rm -f -- "$part"; return 1; }
    fi
  fi
  ROOT=$WORK/new
  for csv in "$WORK"/new/*/meta/esc50.csv; do # usually in one folder, named after the branch
    if [ -f "$csv" ]; then ROOT=${csv%/meta/esc50.csv}; fi
  done
  why=$(faults "$ROOT")
  [ -z "$why" ] || { note "that is not the whole ESC-50: $why"; rm -f -- "$part"; return 1; }
}

case ${1-} in
  -h | --help) sed -n '2,/^set /s/^# \{0,1\}//p' "$0"; exit 0 ;;
  -*) die 2 "no such option: $1 (usage: bash download_data.sh [FOLDER])" ;;
esac
if [ $# -gt 1 ] || [ -z "${1-default}" ]; then die 2 "usage: bash download_data.sh [FOLDER]"; fi
HERE=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd -P)
TARGET=${1-$HERE/data/ESC-50}
ASIDE=''

if [ -d "$TARGET" ]; then
  TARGET=$(cd -- "$TARGET" && pwd -P) || die 2 "cannot read that folder" # a link's folder: room is there
  if [ -n "$(ls -A -- "$TARGET")" ]; then
    why=$(faults "$TARGET")
    if [ -z "$why" ]; then say "already complete: $TARGET"; exit 0; fi
    # Only what is recognisably an ESC-50 gets replaced, so that nobody's home folder ever is.
    case $HERE/ in "$TARGET"/*) die 2 "$TARGET holds this script: name another FOLDER" ;; esac
    set -- "$TARGET"/audio/[1-5]-*-[A-Z]-*.wav
    if [ ! -f "$TARGET/meta/esc50.csv" ] && [ ! -f "$1" ]; then
      die 2 "$TARGET holds other files and no ESC-50: name another FOLDER, or empty that one"
    fi
    note "$TARGET is incomplete: $why"
    ASIDE=$TARGET.incomplete-$(date +%Y%m%d-%H%M%S)-$$
  fi
elif [ -e "$TARGET" ] || [ -L "$TARGET" ]; then
  die 2 "$TARGET is not a folder: remove it, or name another FOLDER"
fi

have curl || have wget || die 2 "neither curl nor wget is here: install one of them"
have unzip || have python3 || die 2 "neither unzip nor python3 is here: install one of them"
PARENT=$(dirname -- "$TARGET")
mkdir -p -- "$PARENT" 2>/dev/null || unwritable
PARENT=$(cd -- "$PARENT" && pwd -P) || unwritable
TARGET=$PARENT/$(basename -- "$TARGET")
# The work folder is beside the target: on one disk the last step is a mere rename, whole or not at all. Part
# files stay in it for the next run; what is unpacked does not.
WORK=$PARENT/.$(basename -- "$TARGET").download
if [ ! -w "$PARENT" ] || ! mkdir -p -- "$WORK" 2>/dev/null; then unwritable; fi
trap 'rm -rf -- "$WORK/new"; rmdir -- "$WORK" 2>/dev/null || :' EXIT
trap 'note "interrupted: run it again to go on"; exit 130' INT TERM

for url in $URLS; do
  try_mirror "$url" || { note "no ESC-50 from $url"; continue; }
  if [ -n "$ASIDE" ]; then
    mv -- "$TARGET" "$ASIDE" || unwritable
    note "the incomplete folder is now $ASIDE: nothing in it was changed, delete it when you like"
  elif [ -d "$TARGET" ]; then
    rmdir -- "$TARGET" || unwritable # it is empty; left there, mv would put ours inside it
  fi
  if ! mv -- "$ROOT" "$TARGET"; then
    if [ -n "$ASIDE" ]; then mv -- "$ASIDE" "$TARGET"; fi
    unwritable
  fi
  rm -rf -- "$WORK"
  say "done: $CLIPS clips, all checks passed: $TARGET"
  exit 0
done
die 1 "no address gave a whole ESC-50. Is there a network? Run this again (it continues what broke off)," \
  "or unpack ESC-50-master.zip by hand so that $TARGET/meta/esc50.csv exists, and run this to check it"
