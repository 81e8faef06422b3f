#!/bin/sh
# dist.sh TARBALL NAME DEPFILE PROGRAM... -- FILE...: NAME/bin, NAME/lib and the files in one tarball that is the same bytes for the same
# content. The C library's own parts stay out: they belong to the machine's loader.
set -eu
umask 022
LC_ALL=C
export LC_ALL
out=$1 name=$2 depfile=$3
shift 3
stage=$TMPDIR/stage
top=$stage/$name
mkdir -p "$top/bin" "$top/lib"

add_libraries() {
    ldd "$1" >"$TMPDIR/ldd"
    if grep 'not found' "$TMPDIR/ldd" >&2; then
        echo "$1 needs a library that is not here" >&2
        exit 1
    fi
    sed -n 's|^[[:space:]]*\([^ /]*\) => \(/[^ ]*\) .*|\1 \2|p' "$TMPDIR/ldd" >"$TMPDIR/found"
    while read -r soname path; do
        case $soname in
        ld-linux* | libc.so.* | libm.so.* | libpthread.so.* | libdl.so.* | librt.so.* | libresolv.so.* | libutil.so.* | libanl.so.* | \
            libnsl.so.* | libmvec.so.* | libc_malloc_debug.so.* | libthread_db.so.* | libBrokenLocale.so.* | libnss_*) continue ;;
        libcuda.so.* | libnvidia-*) continue ;; # the driver's, never ours to carry
        esac
        [ ! -e "$top/lib/$soname" ] || continue
        cp -L "$path" "$top/lib/$soname"
        chmod 644 "$top/lib/$soname"
        printf ' %s' "$path" >>"$TMPDIR/deps"
    done <"$TMPDIR/found"
}

: >"$TMPDIR/deps"
while [ "$1" != -- ]; do
    cp "$1" "$top/bin/${1##*/}"
    chmod 755 "$top/bin/${1##*/}"
    add_libraries "$1"
    shift
done
shift
for file; do
    mkdir -p "$top/$(dirname "$file")"
    cp "$file" "$top/$file"
    if [ -x "$file" ]; then chmod 755 "$top/$file"; else chmod 644 "$top/$file"; fi
done
printf '%s:%s\n' "$out" "$(cat "$TMPDIR/deps")" >"$depfile"
tar --sort=name --format=ustar --mtime=@0 --owner=0 --group=0 --numeric-owner -C "$stage" -cf "$TMPDIR/dist.tar" "$name"
gzip -9n <"$TMPDIR/dist.tar" >"$out"
