#include "script_state.h"

#include <stdlib.h>
#include <string.h>

const char *script_name(struct script *s, const char *path)
{
    size_t n = strlen(s->options.root);
    const char *joined = os_join(&s->arena, s->options.root, path);

    return text_starts_with(joined, s->options.root) && joined[n] == '/' ? joined + n + 1 : joined;
}

const char *script_intern(struct script *s, const char *text)
{
    uint32_t id = strmap_get(&s->interned, text);

    if (id != STRMAP_NONE)
        return s->texts.at[id];
    const char *copy = arena_strdup(&s->arena, text);
    strmap_set(&s->interned, copy, (uint32_t)s->texts.len);
    strs_push(&s->texts, copy);
    return copy;
}

const struct script_file *script_file(const struct script *s, const char *name)
{
    /* Nearly always the file asked for last. */
    if (s->last_file < s->file_count && !strcmp(s->files[s->last_file].name, name))
        return &s->files[s->last_file];
    uint32_t id = strmap_get(&s->file_ids, name);
    return id == STRMAP_NONE ? NULL : &s->files[id];
}

void script_text_digest(const char *text, struct digest *out)
{
    hash_bytes(text, strlen(text), out);
}

void script_record(struct script *s, enum read_kind kind, const char *what,
                   const struct digest *digest)
{
    const char *id = arena_printf(&s->arena, "%d %s", (int)kind, what);

    if (strmap_get(&s->reads, id) != STRMAP_NONE)
        return;
    strmap_set(&s->reads, id, 1);
    graph_add_read(script_builder(s), kind, what, digest);
}

/* Through the cache, so that the first no-op after an evaluation hashes nothing. */
int script_record_file(struct script *s, const char *path, struct err *e)
{
    struct digest digest;
    bool exists;

    if (hash_cache_digest(s->options.cache, os_join(&s->arena, s->options.root, path), &digest,
                          &exists, e) < 0)
        return -1;
    script_record(s, READ_FILE, script_name(s, path), &digest);
    return 0;
}

static void index_lines(struct script *s, struct script_file *f)
{
    size_t count = 2;

    for (size_t i = 0; i < f->text.len; i++)
        count += f->text.ptr[i] == '\n';
    f->lines = arena_alloc(&s->arena, count * sizeof(*f->lines));
    f->line_count = 1;
    for (size_t i = 0; i < f->text.len; i++)
        if (f->text.ptr[i] == '\n')
            f->lines[f->line_count++] = (uint32_t)i + 1;
}

static struct script_file *add_file(struct script *s, const char *name, enum file_kind kind,
                                    const struct buf *text)
{
    s->files = realloc(s->files, (s->file_count + 1) * sizeof(*s->files));
    if (!s->files)
        BUG("out of memory");
    struct script_file *f = &s->files[s->file_count];
    *f = (struct script_file){.name = name, .kind = kind};
    f->text = (struct str){arena_strndup(&s->arena, buf_text(text), text->len), text->len};
    index_lines(s, f);
    strmap_set(&s->file_ids, name, (uint32_t)s->file_count++);
    return f;
}

/* The end of a file is where its last text is, not the blank lines or the prose below. */
static int last_line(const struct buf *lua)
{
    int line = 1, last = 1;

    for (size_t i = 0; i < lua->len; i++) {
        line += lua->ptr[i] == '\n';
        if (!strchr(" \t\r\n", lua->ptr[i]))
            last = line;
    }
    return last;
}

/* Lua says "name:LINE: what near 'x'". */
static int syntax_error(struct script *s, lua_State *L, const struct script_file *f,
                        const struct buf *lua, struct err *e)
{
    const char *text = lua_tostring(L, -1);
    const char *p = text;
    int line = 0;

    for (const char *colon = strchr(p, ':'); colon; colon = strchr(colon + 1, ':')) {
        char *end;
        long n = strtol(colon + 1, &end, 10);
        if (end > colon + 1 && *end == ':') {
            line = (int)n;
            p = end + 1 + (end[1] == ' ');
            break;
        }
    }
    err_set(e, ERR_lua_syntax, "%s", p);
    struct place place = {f->name, strstr(p, "near <eof>") ? last_line(lua) : line, 0};
    const char *near = strstr(p, "near '");
    if (near) {
        struct str word = {near + 6, strcspn(near + 6, "'")};
        const char *copy = arena_strndup(&s->arena, word.ptr, word.len);
        place.column = script_column(s, place, copy);
    } else {
        place.column = script_column(s, place, "");
    }
    return err_at(e, place);
}

static int compile(struct script *s, lua_State *L, struct script_file *f, const struct buf *lua,
                   struct err *e)
{
    const char *chunk = arena_printf(&s->arena, "@%s", f->name);
    int status = luaL_loadbufferx(L, buf_text(lua), lua->len, chunk, "t");

    if (status == LUA_OK)
        return 0;
    if (status == LUA_ERRMEM)
        script_take_error(s, L, status);
    else
        syntax_error(s, L, f, lua, e);
    lua_pop(L, 1);
    return -1;
}

/* Lua takes a first line that begins with # for a comment only when it loads files itself. */
static void skip_shebang(struct buf *lua)
{
    if (!lua->len || lua->ptr[0] != '#')
        return;
    for (size_t i = 0; i < lua->len && lua->ptr[i] != '\n'; i++)
        lua->ptr[i] = ' ';
}

int script_load(struct script *s, lua_State *L, const char *path, enum file_kind kind,
                struct err *e)
{
    const char *name = script_name(s, path);
    struct buf text = {0}, lua = {0};
    int r = -1;

    if (os_read(os_join(&s->arena, s->options.root, path), &text, e) < 0 ||
        script_record_file(s, path, e) < 0)
        goto out;
    struct script_file *f = add_file(s, name, kind, &text);
    if (kind != FILE_ENGINE && literate_is(name, buf_text(&text), text.len)) {
        if (literate_to_lua(buf_text(&text), text.len, name, &s->arena, &lua, &f->docs,
                            &f->doc_count, e) < 0)
            goto out;
    } else {
        buf_add(&lua, buf_text(&text), text.len);
        skip_shebang(&lua);
    }
    r = compile(s, L, f, &lua, e);
out:
    buf_release(&text);
    buf_release(&lua);
    return r;
}
