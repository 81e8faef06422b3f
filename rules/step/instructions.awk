# instructions.awk: a listing of nvdisasm as a few lines for each function: what tells how a kernel works, also when there is none of it, and
# then every kind of instruction by number.
function flush(   i, j, n, m, line, kinds, name) {
    if (fn == "")
        return
    for (name in count)
        order[++n] = name
    for (i = 2; i <= n; i++) {
        name = order[i]
        for (j = i - 1; j > 0 && (count[order[j]] < count[name] || (count[order[j]] == count[name] && order[j] > name)); j--)
            order[j + 1] = order[j]
        order[j + 1] = name
    }
    printf "Instructions of '%s': %d\n", fn, total
    m = split("HGMMA HMMA UTMALDG UTMASTG LDGSTS LDSM STSM SYNCS BAR MUFU LDL STL", kinds, " ")
    for (i = 1; i <= m; i++)
        line = line (i > 1 ? ", " : "") kinds[i] " " ((kinds[i] in count) ? count[kinds[i]] : 0)
    print line
    line = ""
    for (i = 1; i <= n; i++)
        line = line (i > 1 ? ", " : "") order[i] " " count[order[i]]
    print line
    split("", count)
    total = 0
}
/^[ \t]*\.text\.[^ ]*:/ {
    flush()
    fn = substr($1, 7, length($1) - 7)
}
fn != "" && match($0, /^[ \t]*\/\*[0-9a-f]+\*\/[ \t]+/) {
    code = substr($0, RLENGTH + 1)
    sub(/^\{ */, "", code)
    sub(/^@!?U?P[T0-9]+ +/, "", code)
    sub(/[. ;].*/, "", code)
    count[code]++
    total++
}
END { flush() }
