#!/bin/sh
# stage 1, the spak that stage 0 built, and stage 2, the spak that stage 1 builds, are equal byte for byte;
# so are the runners. Stage 2 is built in a copy of the sources, under a path with a space in it.
#
# usage: stages.sh STAGE1 FILE...      (STAGE1: out/bin; FILE: the sources, relative to the top of the project)
set -eu
stage1=$(cd "$1" && pwd)
shift
copy="$(mktemp -d)/stage two"
trap 'rm -rf "${copy%/*}"' EXIT
mkdir "$copy"
for file in "$@"; do
    mkdir -p "$copy/$(dirname "$file")"
    cp -p "$file" "$copy/$file"
done
(cd "$copy" && "$stage1/spak" build -q --no-trace spak </dev/null)
for program in "$copy"/out/bin/*; do
    cmp "$stage1/${program##*/}" "$program"
done
[ -x "$copy/out/bin/spak" ]
echo "$(find "$copy/out/bin" -type f | wc -l) programs are equal"
