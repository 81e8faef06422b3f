#include "repro.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#define NAME_MAX_BYTES 255
#define PATH_MAX_BYTES 4000

/* How long the UTF-8 character at `p` is; 0 when the bytes are none. */
static size_t utf8_length(const unsigned char *p)
{
    uint32_t c = p[0];
    size_t len = c < 0x80                ? 1
                 : c >= 0xc2 && c < 0xe0 ? 2
                 : c >= 0xe0 && c < 0xf0 ? 3
                 : c >= 0xf0 && c < 0xf5 ? 4
                                         : 0;
    for (size_t i = 1; i < len; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    if (len < 3)
        return len;
    bool overlong = (c == 0xe0 && p[1] < 0xa0) || (c == 0xf0 && p[1] < 0x90);
    bool outside = (c == 0xed && p[1] >= 0xa0) || (c == 0xf4 && p[1] >= 0x90);
    return overlong || outside ? 0 : len;
}

/* C0, DEL and C1 steer terminals; the bidirectional controls show one name and mean another. */
static bool is_control(const unsigned char *p, size_t len)
{
    if (len == 1)
        return *p < 0x20 || *p == 0x7f;
    if (len == 2)
        return p[0] == 0xc2 && p[1] < 0xa0;
    return len == 3 && p[0] == 0xe2 &&
           ((p[1] == 0x80 && p[2] >= 0xaa && p[2] <= 0xae) ||
            (p[1] == 0x81 && p[2] >= 0xa6 && p[2] <= 0xa9));
}

const char *repro_printable(struct arena *arena, const char *text)
{
    struct buf out = {0};
    for (const unsigned char *p = (const unsigned char *)text; *p;) {
        size_t len = utf8_length(p);
        if (len == 0 || is_control(p, len)) {
            for (size_t i = 0; i < (len ? len : 1); i++)
                buf_addf(&out, "\\x%02x", p[i]);
        } else {
            buf_add(&out, p, len);
        }
        p += len ? len : 1;
    }
    char *shown = arena_strdup(arena, buf_text(&out));
    buf_release(&out);
    return shown;
}

/* What HFS+ leaves out of names: ".g\u200cit" is ".git" there. */
static bool is_ignorable(const unsigned char *p, size_t len)
{
    if (len != 3)
        return false;
    return (p[0] == 0xe2 && p[1] == 0x80 &&
            ((p[2] >= 0x8c && p[2] <= 0x8f) || (p[2] >= 0xaa && p[2] <= 0xae))) ||
           (p[0] == 0xe2 && p[1] == 0x81 && p[2] >= 0xaa && p[2] <= 0xaf) ||
           (p[0] == 0xef && p[1] == 0xbb && p[2] == 0xbf);
}

static bool is_git_folder(const char *name)
{
    char folded[16];
    size_t n = 0;
    for (const unsigned char *p = (const unsigned char *)name; *p && n < sizeof(folded) - 1;) {
        size_t len = utf8_length(p);
        if (!is_ignorable(p, len))
            folded[n++] = (char)tolower(*p);
        p += len ? len : 1;
    }
    while (n && (folded[n - 1] == '.' || folded[n - 1] == ' '))
        n--;
    folded[n] = 0;
    return !strcmp(folded, ".git") || !strcmp(folded, "git~1");
}

static bool is_device_name(const char *name)
{
    static const char *const devices[] = {"con", "prn", "aux", "nul", "com", "lpt"};
    char folded[5] = "";
    size_t len = strlen(name);
    for (size_t i = 0; i < len && i < 4; i++)
        folded[i] = (char)tolower((unsigned char)name[i]);
    for (size_t i = 0; i < ARRAY_LEN(devices); i++)
        if (!strncmp(folded, devices[i], 3) && len == (i < 4 ? 3 : 4) &&
            (i < 4 || (folded[3] >= '1' && folded[3] <= '9')))
            return true;
    return false;
}

/* Why a name cannot be a source's; NULL when it can. */
static const char *name_fault(const char *name)
{
    size_t at = 0;
    if (!*name)
        return "is empty";
    if (!strcmp(name, ".") || !strcmp(name, ".."))
        return "is a step and no name";
    if (strchr(name, '/'))
        return name[0] == '/' ? "is an absolute path" : "holds a slash";
    if (strchr(name, '\\'))
        return "holds a backslash";
    if (strlen(name) > NAME_MAX_BYTES)
        return "is longer than 255 bytes";
    while (name[at]) {
        size_t len = utf8_length((const unsigned char *)name + at);
        if (len == 0)
            return "is no UTF-8";
        if (is_control((const unsigned char *)name + at, len))
            return "holds a control character";
        at += len;
    }
    if (is_git_folder(name))
        return "is git's own folder";
    if (is_device_name(name))
        return "is a device on some systems";
    return text_starts_with(name, OS_TEMP_PREFIX) ? "is one of SPAK's temporary files" : NULL;
}

static int refuse(struct err *e, enum err_code code, const char *path, const char *why)
{
    struct arena scratch = {0};
    err_set(e, code, "the trace holds \"%.200s\", which %s", repro_printable(&scratch, path), why);
    err_hint(e, "nothing of it was written; git ls-tree -r COMMIT shows it without unpacking");
    arena_release(&scratch);
    return -1;
}

static bool in_state(const char *path)
{
    return !strncasecmp(path, "out/.spak", 9) && (!path[9] || path[9] == '/');
}

static int check_name(const struct trace_item *item, struct err *e)
{
    const char *fault = name_fault(item->name);
    if (fault)
        return refuse(e, ERR_trace_name, item->path, fault);
    if (strlen(item->path) > PATH_MAX_BYTES)
        return refuse(e, ERR_trace_name, item->path, "is longer than 4000 bytes");
    if (in_state(item->path))
        return refuse(e, ERR_trace_name, item->path, "lies in SPAK's own state");
    return 0;
}

static int check_mode(const struct trace_item *item, struct err *e)
{
    char why[80];
    switch (item->mode) {
    case 0040000:
    case 0100644:
    case 0100664:
    case 0100755:
    case 0120000:
        return 0;
    case 0160000:
        return refuse(e, ERR_trace_submodule, item->path, "is a submodule");
    default:
        snprintf(why, sizeof(why), "has the mode %06o", item->mode);
        return refuse(e, ERR_trace_mode, item->path, why);
    }
}

/* Steps upwards come first: then they leave real folders of the tree, and what follows only goes
 * down, through links that were judged the same way. "a/.." could leave through a link "a". */
bool repro_link_stays(const char *target, size_t len, uint32_t depth)
{
    struct str rest = {target, len}, part;
    uint32_t up = 0;
    bool down = false;
    if (len == 0 || len > PATH_MAX_BYTES || target[0] == '/' || memchr(target, 0, len) ||
        memchr(target, '\\', len))
        return false;
    while (str_split(&rest, '/', &part)) {
        if (part.len == 2 && !memcmp(part.ptr, "..", 2)) {
            if (down || ++up >= depth)
                return false;
        } else if (part.len && !(part.len == 1 && part.ptr[0] == '.')) {
            char name[NAME_MAX_BYTES + 1];
            if (part.len > NAME_MAX_BYTES)
                return false;
            memcpy(name, part.ptr, part.len);
            name[part.len] = 0;
            if (name_fault(name) || !strcasecmp(name, ".spak"))
                return false;
            down = true;
        }
    }
    return true;
}

static int check_link(const struct trace_item *item, repro_link_fn *link, void *ctx, struct err *e)
{
    struct buf target = {0}, why = {0};
    struct arena scratch = {0};
    if (item->size_bytes > PATH_MAX_BYTES)
        return refuse(e, ERR_trace_link, item->path, "is a link of more than 4000 bytes");
    int rc = link(ctx, item, &target, e);
    if (rc == 0 && !repro_link_stays(buf_text(&target), target.len, item->depth)) {
        buf_addf(&why, "is a link to \"%.200s\", out of the sources",
                 repro_printable(&scratch, buf_text(&target)));
        rc = refuse(e, ERR_trace_link, item->path, buf_text(&why));
    }
    buf_release(&target);
    buf_release(&why);
    arena_release(&scratch);
    return rc;
}

static int check_collision(const struct trace_item *items, size_t at, struct strmap *seen,
                           struct arena *arena, struct err *e)
{
    char *folded = arena_strdup(arena, items[at].path);
    struct buf why = {0};
    for (char *p = folded; *p; p++)
        *p = (char)tolower((unsigned char)*p);
    uint32_t other = strmap_get(seen, folded);
    if (other == STRMAP_NONE) {
        strmap_set(seen, folded, (uint32_t)at);
        return 0;
    }
    buf_addf(&why, "is the same file as \"%.200s\" where case does not count",
             repro_printable(arena, items[other].path));
    refuse(e, ERR_trace_collision, items[at].path, buf_text(&why));
    buf_release(&why);
    return -1;
}

int repro_check(const struct trace_item *items, size_t count, repro_link_fn *link, void *ctx,
                struct err *e)
{
    struct strmap seen = {0};
    struct arena scratch = {0};
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < count; i++) {
        rc = check_name(&items[i], e);
        if (rc == 0)
            rc = check_mode(&items[i], e);
        if (rc == 0)
            rc = check_collision(items, i, &seen, &scratch, e);
        if (rc == 0 && items[i].mode == 0120000)
            rc = check_link(&items[i], link, ctx, e);
    }
    strmap_release(&seen);
    arena_release(&scratch);
    return rc;
}
