#include "store_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MODE_LEN 6

/* "MODE DIGEST " before the path. */
#define PATH_AT (MODE_LEN + 1 + DIGEST_HEX_LEN + 1)

static char kind_of_mode(const char *mode)
{
    static const struct {
        const char *mode;
        char kind;
    } kinds[] = {{"100644", 'f'}, {"100755", 'x'}, {"120000", 'l'}, {"040000", 'd'}};

    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        if (memcmp(mode, kinds[i].mode, MODE_LEN) == 0)
            return kinds[i].kind;
    }
    return '\0';
}

/* Relative, and made of names only: nothing that leads out of the folder. */
static bool is_below(const char *path)
{
    struct str rest = str_of(path);
    struct str part;

    if (!*path || text_ends_with(path, "/"))
        return false;
    while (str_split(&rest, '/', &part)) {
        if (part.len == 0 || str_equal(part, str_of(".")) || str_equal(part, str_of("..")))
            return false;
    }
    return true;
}

int store_next_entry(struct str *rest, struct tree_entry *out, bool *found, struct err *e)
{
    const char *end = rest->len > 0 ? memchr(rest->ptr, '\0', rest->len) : NULL;
    const char *line = rest->ptr;
    char hex[DIGEST_HEX_LEN + 1] = "";

    *found = rest->len > 0;
    if (!*found)
        return 0;
    if (!end || end - line <= PATH_AT || line[MODE_LEN] != ' ' || line[PATH_AT - 1] != ' ')
        return err_set(e, ERR_tree_damaged, "an object that should list a folder does not");
    memcpy(hex, line + MODE_LEN + 1, DIGEST_HEX_LEN);
    out->kind = kind_of_mode(line);
    out->path = line + PATH_AT;
    if (!out->kind || !digest_from_hex(hex, &out->digest) || !is_below(out->path))
        return err_set(e, ERR_tree_damaged, "an object that should list a folder does not");
    rest->len -= (size_t)(end + 1 - line);
    rest->ptr = end + 1;
    return 0;
}

static int read_link(const char *path, char text[4096], size_t *len, struct err *e)
{
    ssize_t n = readlink(path, text, 4095);

    if (n < 0)
        return err_errno(e, ERR_os, "cannot read the link %s", path);
    *len = (size_t)n;
    text[n] = '\0';
    return 0;
}

static int put_entry(struct store *s, const char *path, const struct tree_entry *entry,
                     struct err *e)
{
    struct digest digest = entry->digest;
    uint64_t size_bytes;
    char text[4096];
    size_t len = 0;
    int rc = 0;

    if (entry->kind == 'f' || entry->kind == 'x') {
        rc = store_put_file(s, path, NULL, &digest, &size_bytes, e);
    } else if (entry->kind == 'l') {
        rc = read_link(path, text, &len, e);
        if (rc == 0)
            rc = store_put_bytes(s, text, len, &digest, e);
    }
    if (rc == 0 && !digest_equal(&digest, &entry->digest)) {
        err_set(e, ERR_input_moving, "%s changes while it is being stored", path);
        rc = err_hint(e, "a process that its command left behind may still be writing it");
    }
    return rc;
}

int store_put_tree(struct store *s, const char *path, struct digest *out, struct err *e)
{
    struct arena arena = {0};
    struct buf listing = {0};
    struct tree_entry entry;
    struct str rest;
    bool found = true;
    int rc = hash_list_tree(path, NULL, &listing, e);

    rest = (struct str){buf_text(&listing), listing.len};
    while (rc == 0 && found) {
        rc = store_next_entry(&rest, &entry, &found, e);
        if (rc == 0 && found)
            rc = put_entry(s, arena_printf(&arena, "%s/%s", path, entry.path), &entry, e);
    }
    if (rc == 0)
        rc = store_put_bytes(s, buf_text(&listing), listing.len, out, e);
    buf_release(&listing);
    arena_release(&arena);
    return rc;
}

static int get_link(struct store *s, const struct digest *d, const char *path, struct err *e)
{
    struct buf text = {0};
    int rc = store_get_bytes(s, d, &text, e);

    if (rc == 0 && symlink(buf_text(&text), path) < 0)
        rc = err_errno(e, ERR_os, "cannot make the link %s", path);
    buf_release(&text);
    return rc;
}

static int get_entry(struct store *s, const char *path, const struct tree_entry *entry,
                     struct err *e)
{
    switch (entry->kind) {
    case 'd':
        return os_mkdirs(path, e);
    case 'l':
        return get_link(s, &entry->digest, path, e);
    default:
        return store_get_file(s, &entry->digest, path, entry->kind == 'x' ? 0755 : 0644, e);
    }
}

/* A link of the listing must not be written through: "a" -> "/etc" and then "a/passwd". Listings
 * are sorted, and hash_list_tree does not follow links, so that no entry lies below one; a forged
 * listing may say otherwise. */
static bool passes_link(const char *root, const char *path, struct arena *arena)
{
    char *part = arena_strdup(arena, path);

    for (char *slash = strchr(part, '/'); slash; slash = strchr(slash + 1, '/')) {
        struct stat stat;

        *slash = '\0';
        if (lstat(arena_printf(arena, "%s/%s", root, part), &stat) == 0 && !S_ISDIR(stat.st_mode))
            return true;
        *slash = '/';
    }
    return false;
}

static int fill_folder(struct store *s, struct str listing, const char *root, struct arena *arena,
                       struct err *e)
{
    struct tree_entry entry = {0};
    bool found = true;
    int rc = os_mkdirs(root, e);

    while (rc == 0 && found) {
        rc = store_next_entry(&listing, &entry, &found, e);
        if (rc < 0 || !found)
            break;
        if (passes_link(root, entry.path, arena))
            rc = err_set(e, ERR_tree_damaged,
                         "an object that should list a folder leads out of it by a link");
        else
            rc = get_entry(s, arena_printf(arena, "%s/%s", root, entry.path), &entry, e);
    }
    return rc;
}

/* Filled beside and renamed, so that a folder is restored whole or not at all. */
int store_get_tree(struct store *s, const struct digest *d, const char *path, struct err *e)
{
    struct arena arena = {0};
    struct buf listing = {0};
    struct err ignored = {0};
    char hex[DIGEST_HEX_LEN + 1];
    const char *temp;
    int rc = store_get_bytes(s, d, &listing, e);

    digest_hex(d, hex);
    temp = arena_printf(&arena, "%s/" OS_TEMP_PREFIX "%.16s", os_dirname(&arena, path), hex);
    if (rc == 0)
        rc = os_remove(temp, e);
    if (rc == 0)
        rc = fill_folder(s, (struct str){buf_text(&listing), listing.len}, temp, &arena, e);
    if (rc == 0)
        rc = os_remove(path, e);
    if (rc == 0)
        rc = os_rename(temp, path, e);
    if (rc < 0 && os_remove(temp, &ignored) < 0)
        err_release(&ignored);
    buf_release(&listing);
    arena_release(&arena);
    return rc;
}
