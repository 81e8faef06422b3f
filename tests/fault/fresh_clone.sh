#!/bin/sh
# A machine that has nothing but a clone: bootstrap.sh builds SPAK from it and reproduces a run of it, in a
# home and an environment of its own. By hand, for it takes minutes; prints the transcript.
#
# usage: tests/fault/fresh_clone.sh REPOSITORY TARGET|COMMIT
set -eu
repository=${1-} run=${2-}
if [ -z "$run" ]; then
    sed -n '2,/^set/{/^#/s/^# \{0,1\}//p;}' "$0" >&2
    exit 2
fi
top=$(mktemp -d)
trap 'rm -rf "$top"' EXIT
trap 'exit 130' INT TERM
mkdir "$top/home" "$top/tmp"
case $repository in
/* | *:*) ;;
*) repository=$(cd "$repository" && pwd) ;;
esac
status=0
env -i PATH=/usr/local/bin:/usr/bin:/bin HOME="$top/home" TMPDIR="$top/tmp" LC_ALL=C.UTF-8 \
    sh -eu -s "$top" "$repository" "$run" <<'END' 2>&1 | sed "s,$top,TOP,g" || status=$?
cd "$1"
type() {
    echo "\$ $*"
    "$@"
}
type git clone -q --no-local "$2" clone
type cd clone
type git log -1 --format='%h %s' "$3" -- 2>/dev/null || type git log -1 --format='%h %s' "origin/spak/$3"
code=0
type ./bootstrap.sh reproduce "$3" || code=$?
echo "exit status $code"
commit=$(git rev-parse -q --verify "$3^{commit}" || git rev-parse "origin/spak/$3")
type git notes --ref spak/verify show "$commit"
END
exit "$status"
