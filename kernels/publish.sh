#!/bin/sh
# publish.sh OP: puts the traces of a study's GPU runs, with what is known of their reproduction, beside its page, and their reports into it.
# The page's own words, up to the line before the reports, are a person's.
set -eu
op=$1
cd "$(dirname "$0")/.."
page=kernels/$op/hopper.md

git bundle create --quiet "kernels/$op/published/h100.bundle" "--glob=refs/heads/spak/$op-gpu*" "--glob=refs/notes/spak/*"

# TARGET DEPTH: the tables of its report, with headings of that depth.
tables() {
    report=$(git ls-tree -r --name-only "spak/$1" | grep "^measure/.*/files/out/report/$1.md$")
    git show "spak/$1:$report" | sed -n '/^## Variants/,$p' | sed "s/^##/$2/"
}

written=$(mktemp)
{
    sed '/^What the reports wrote:$/q' "$page"
    printf '\n'
    tables "$op-gpu" '###'
    printf '\n### In fp16\n\n'
    tables "$op-gpu-f16" '####'
} >"$written"
cat "$written" >"$page"
rm "$written"
