#include "graph_build.h"

#include <stdlib.h>
#include <string.h>

/* Eight bytes a step. The order of bytes within a word shows in the value, so a snapshot belongs to
 * the machine's byte order. */
uint32_t graph_hash(const char *text, size_t len)
{
    const uint64_t prime = 0x9e3779b97f4a7c15u;
    uint64_t h = len * prime, word;

    for (; len >= 8; len -= 8, text += 8) {
        memcpy(&word, text, 8);
        h = (h ^ word) * prime;
        h ^= h >> 32;
    }
    word = 0;
    memcpy(&word, text, len);
    h = (h ^ word) * prime;
    return (uint32_t)(h ^ h >> 32);
}

void *table_push(struct table *t)
{
    if (t->len == t->cap) {
        t->cap = t->cap ? 2 * t->cap : 64;
        t->at = xrealloc(t->at, t->cap * t->bytes);
    }
    void *entry = (char *)t->at + t->len++ * t->bytes;
    memset(entry, 0, t->bytes);
    return entry;
}

static bool builder_has(const struct graph_builder *b, text_id id, const char *text, size_t len)
{
    const char *other = builder_text(b, id);

    return id + len < b->text.len && !memcmp(other, text, len) && !other[len];
}

static struct text_slot *probe(const struct graph_builder *b, uint32_t hash, const char *text,
                               size_t len)
{
    uint32_t mask = b->slot_count - 1;

    for (uint32_t i = hash & mask;; i = (i + 1) & mask) {
        struct text_slot *slot = &b->slots[i];
        if (!slot->text)
            return slot;
        if (slot->hash == hash && builder_has(b, slot->text, text, len))
            return slot;
    }
}

struct text_slot *builder_find(const struct graph_builder *b, const char *text, size_t len)
{
    struct text_slot *slot = probe(b, graph_hash(text, len), text, len);
    return slot->text ? slot : NULL;
}

static void grow_slots(struct graph_builder *b)
{
    struct text_slot *old = b->slots;
    uint32_t old_count = b->slot_count;

    b->decl++;
    b->slot_count = old_count ? 2 * old_count : 1024;
    b->slots = xcalloc(b->slot_count, sizeof(*b->slots));
    for (uint32_t i = 0; i < old_count; i++) {
        if (!old[i].text)
            continue;
        uint32_t mask = b->slot_count - 1;
        uint32_t at = old[i].hash & mask;
        while (b->slots[at].text)
            at = (at + 1) & mask;
        b->slots[at] = old[i];
    }
    free(old);
}

static struct text_slot *intern_hashed(struct graph_builder *b, const char *text, size_t len,
                                       uint32_t hash)
{
    if (b->text.len + len + 1 >= UINT32_MAX) {
        b->overflow = true;
        text = "?";
        len = 1;
        hash = graph_hash(text, len);
    }
    if (4 * (b->texts + 1) > 3 * b->slot_count)
        grow_slots(b);
    struct text_slot *slot = probe(b, hash, text, len);
    if (!slot->text) {
        *slot = (struct text_slot){hash, (text_id)b->text.len, GRAPH_NONE, GRAPH_NONE};
        buf_add(&b->text, text, len + 1);
        b->texts++;
    }
    return slot;
}

static struct text_slot *intern(struct graph_builder *b, const char *text)
{
    size_t len = strlen(text);

    return intern_hashed(b, text, len, graph_hash(text, len));
}

static struct recent *recent_of(struct graph_builder *b, const char *text)
{
    uintptr_t address = (uintptr_t)text;

    return &b->recent[(address >> 3 ^ address >> 13) % ARRAY_LEN(b->recent)];
}

/* What is known of a text that this declaration named before: a command mostly names its inputs. */
static struct recent *find_recent(struct graph_builder *b, const char *text)
{
    struct recent *r = recent_of(b, text);

    return b->reading && r->address == text && r->decl == b->decl ? r : NULL;
}

static struct text_slot *intern_again(struct graph_builder *b, const char *text)
{
    const struct recent *r = find_recent(b, text);

    if (r && r->slot != GRAPH_NONE)
        return &b->slots[r->slot];
    size_t len = strlen(text);
    uint32_t hash = r ? r->hash : graph_hash(text, len);
    struct text_slot *slot = intern_hashed(b, text, len, hash);
    if (text != b->path.ptr)
        *recent_of(b, text) = (struct recent){text, b->decl, hash, (uint32_t)(slot - b->slots)};
    return slot;
}

/* In a large graph slots, and what they say, lie all over the memory. All of a list are asked for
 * before the first is looked at, so that the processor waits for them at once. */
static void expect(struct graph_builder *b, const struct strs *texts)
{
    uint32_t mask = b->slot_count - 1;
    bool fresh = false;

    for (size_t i = 0; i < texts->len; i++) {
        const char *text = texts->at[i];
        if (find_recent(b, text))
            continue;
        uint32_t hash = graph_hash(text, strlen(text));
        *recent_of(b, text) = (struct recent){text, b->decl, hash, GRAPH_NONE};
        __builtin_prefetch(&b->slots[hash & mask]);
        fresh = true;
    }
    for (size_t i = 0; fresh && i < texts->len; i++)
        __builtin_prefetch(builder_text(b, b->slots[recent_of(b, texts->at[i])->hash & mask].text));
}

static text_id add_text(struct graph_builder *b, const char *text)
{
    return text && *text ? intern_again(b, text)->text : 0;
}

struct graph_builder *graph_build(void)
{
    struct graph_builder *b = xcalloc(1, sizeof(*b));

    b->nodes.bytes = sizeof(struct node);
    b->artifacts.bytes = sizeof(struct artifact);
    b->tools.bytes = sizeof(struct tool);
    b->facts.bytes = sizeof(struct fact);
    b->pools.bytes = sizeof(struct pool);
    b->reads.bytes = sizeof(struct read);
    b->pending.bytes = sizeof(struct pending_member);
    buf_add(&b->text, "", 1);
    ids_push(&b->ids, 0); /* so that a slice at 0 is one that was never begun */
    grow_slots(b);
    return b;
}

void graph_discard(struct graph_builder *b)
{
    struct table *tables[] = {&b->nodes, &b->artifacts, &b->tools,  &b->facts,
                              &b->pools, &b->reads,     &b->pending};

    for (size_t i = 0; i < ARRAY_LEN(tables); i++)
        free(tables[i]->at);
    buf_release(&b->text);
    buf_release(&b->path);
    ids_release(&b->ids);
    strmap_release(&b->tool_ids);
    strmap_release(&b->fact_ids);
    strmap_release(&b->pool_ids);
    arena_release(&b->keys);
    free(b->slots);
    free(b);
}

static bool path_is_clean(const char *path)
{
    const char *part = path;

    for (const char *p = path;; p++) {
        if (*p != '/' && *p)
            continue;
        size_t len = (size_t)(p - part);
        if ((!len && (p != path || !*p)) || (len == 1 && part[0] == '.') ||
            (len == 2 && part[0] == '.' && part[1] == '.'))
            return false;
        if (!*p)
            return true;
        part = p + 1;
    }
}

/* Adds one part to the path in the buffer; ".." takes one away where there is one to take. */
static void fold_part(struct buf *out, struct str part)
{
    bool up = part.len == 2 && !memcmp(part.ptr, "..", 2);

    if (!part.len || (part.len == 1 && part.ptr[0] == '.'))
        return;
    if (up && out->len && !text_ends_with(buf_text(out), "..")) {
        while (out->len && out->ptr[out->len - 1] != '/')
            out->len--;
        if (out->len > 1 || (out->len == 1 && out->ptr[0] != '/'))
            out->len--;
        out->ptr[out->len] = '\0';
        return;
    }
    if (out->len && out->ptr[out->len - 1] != '/')
        buf_addch(out, '/');
    buf_add(out, part.ptr, part.len);
}

/* One file has one name: without ./, // and what .. takes back. The result lives until the next
 * call. */
static const char *clean_path(struct graph_builder *b, const char *path)
{
    struct str rest = str_of(path), part;

    if (path_is_clean(path))
        return path;
    buf_reset(&b->path);
    if (path[0] == '/')
        buf_addch(&b->path, '/');
    while (str_split(&rest, '/', &part))
        fold_part(&b->path, part);
    return b->path.len ? buf_text(&b->path) : ".";
}

static uint32_t artifact_of(struct graph_builder *b, struct text_slot *slot)
{
    if (slot->artifact == GRAPH_NONE) {
        slot->artifact = (uint32_t)b->artifacts.len;
        struct artifact *a = table_push(&b->artifacts);
        a->path = slot->text;
        a->producer = GRAPH_NONE;
    }
    return slot->artifact;
}

/* The artifact of a path that is not clean; one program mostly makes many nodes. */
static uint32_t add_cleaned(struct graph_builder *b, const char *path, text_id text)
{
    if (text && text == b->cleaned.text)
        return b->cleaned.artifact;
    uint32_t artifact = artifact_of(b, intern(b, clean_path(b, path)));
    b->cleaned.text = text;
    b->cleaned.artifact = artifact;
    return artifact;
}

static uint32_t add_artifact(struct graph_builder *b, const char *path)
{
    const struct recent *r = find_recent(b, path);
    const struct text_slot *met = r && r->slot != GRAPH_NONE ? &b->slots[r->slot] : NULL;

    /* Only clean paths name artifacts, so one that does needs no look. */
    if (met && met->artifact != GRAPH_NONE)
        return met->artifact;
    return path_is_clean(path) ? artifact_of(b, intern_again(b, path))
                               : add_cleaned(b, path, met ? met->text : 0);
}

static struct slice begin_slice(const struct graph_builder *b)
{
    return (struct slice){(uint32_t)b->ids.len, 0};
}
static void end_slice(const struct graph_builder *b, struct slice *s)
{
    s->len = (uint32_t)b->ids.len - s->at;
}

static struct slice add_texts(struct graph_builder *b, const struct strs *texts)
{
    struct slice s = begin_slice(b);

    expect(b, texts);
    for (size_t i = 0; i < texts->len; i++)
        ids_push(&b->ids, add_text(b, texts->at[i]));
    end_slice(b, &s);
    return s;
}

static bool slice_has(const struct graph_builder *b, struct slice s, uint32_t id)
{
    for (size_t i = s.at; i < b->ids.len; i++)
        if (b->ids.at[i] == id)
            return true;
    return false;
}

/* A list long enough for a quadratic step to be felt is looked up instead: `users.at` is free until
 * the graph is frozen. */
static struct slice add_artifacts(struct graph_builder *b, const struct strs *paths)
{
    struct slice s = begin_slice(b);
    uint32_t mark = (uint32_t)b->nodes.len + 1;

    expect(b, paths);
    for (size_t i = 0; i < paths->len; i++) {
        uint32_t id = add_artifact(b, paths->at[i]);
        struct artifact *a = builder_artifact(b, id);
        if (a->users.at == mark && slice_has(b, s, id))
            continue;
        a->users.at = mark;
        ids_push(&b->ids, id);
    }
    end_slice(b, &s);
    return s;
}

static struct place builder_place(const struct graph_builder *b, uint32_t node)
{
    const struct node *n = (const struct node *)b->nodes.at + node;
    return (struct place){builder_text(b, n->file), (int)n->line, (int)n->column};
}

/* Names in `map` by nearness, for a hint. */
static const char *nearest_key(const struct table *t, const struct graph_builder *b,
                               const char *name)
{
    const char *best = NULL;
    size_t best_distance = strlen(name) / 3 + 2;

    for (size_t i = 0; i < t->len; i++) {
        /* tool, fact and pool begin with their name */
        text_id id = *(const text_id *)((const char *)t->at + i * t->bytes);
        size_t d = text_distance(name, builder_text(b, id));
        if (d < best_distance) {
            best = builder_text(b, id);
            best_distance = d;
        }
    }
    return best;
}

static int unknown(struct graph_builder *b, const struct table *t, const char *what,
                   const char *name, const struct node_decl *d, struct err *e)
{
    const char *near = nearest_key(t, b, name);

    err_set(e, ERR_unknown_name, "no %s is called \"%s\"", what, name);
    err_at(e, d->place);
    if (near)
        err_hint(e, "did you mean \"%s\"?", near);
    return -1;
}

static int add_known(struct graph_builder *b, const struct strs *names, const struct strmap *map,
                     const struct table *t, const char *what, const struct node_decl *d,
                     struct slice *out, struct err *e)
{
    *out = begin_slice(b);
    for (size_t i = 0; i < names->len; i++) {
        uint32_t id = strmap_get(map, names->at[i]);
        if (id == STRMAP_NONE)
            return unknown(b, t, what, names->at[i], d, e);
        ids_push(&b->ids, id);
    }
    end_slice(b, out);
    return 0;
}

static int check_output(const struct graph_builder *b, const struct node_decl *d, const char *path,
                        uint32_t artifact, uint32_t self, struct err *e)
{
    uint32_t producer = ((const struct artifact *)b->artifacts.at)[artifact].producer;

    if (path[0] == '/' || !strcmp(path, ".") || !strcmp(path, "..") ||
        text_starts_with(path, "../")) {
        err_set(e, ERR_bad_path, "the output \"%s\" does not lie in the project", path);
        err_hint(e, "outputs are paths below the project's root, by custom in out/");
        return err_at(e, d->place);
    }
    if (producer == GRAPH_NONE)
        return 0;
    if (producer == self)
        err_set(e, ERR_duplicate_output, "the output \"%s\" is listed twice", path);
    else
        err_set(e, ERR_duplicate_output, "two declarations make \"%s\"", path);
    err_at(e, d->place);
    if (producer != self)
        err_note(e, builder_place(b, producer), "it is also made here");
    return err_hint(e, "every file has one producer: give one of them another output");
}

static int add_outputs(struct graph_builder *b, const struct node_decl *d, uint32_t self,
                       struct slice *out, struct err *e)
{
    *out = begin_slice(b);
    for (size_t i = 0; i < d->outputs.len; i++) {
        uint32_t id = add_artifact(b, d->outputs.at[i]);
        struct artifact *a = builder_artifact(b, id);
        if (check_output(b, d, builder_text(b, a->path), id, self, e) < 0)
            return -1;
        a->producer = self;
        a->flags |= i < d->output_flags.len ? d->output_flags.at[i] : 0;
        ids_push(&b->ids, id);
    }
    end_slice(b, out);
    return 0;
}

static struct slice add_members(struct graph_builder *b, const struct strs *members, uint32_t self)
{
    struct slice s = begin_slice(b);

    for (size_t i = 0; i < members->len; i++) {
        text_id name = add_text(b, members->at[i]);
        struct pending_member *p = table_push(&b->pending);
        *p = (struct pending_member){self, (uint32_t)b->ids.len, name};
        ids_push(&b->ids, GRAPH_NONE);
    }
    end_slice(b, &s);
    return s;
}

static int add_name(struct graph_builder *b, const struct node_decl *d, uint32_t self,
                    struct node *n, struct err *e)
{
    const char *name = d->name && *d->name ? d->name
                       : d->outputs.len    ? clean_path(b, d->outputs.at[0])
                                           : NULL;

    if (!name) {
        err_set(e, ERR_wrong_argument, "a node without an output needs a name");
        err_hint(e, "give it an output, or name = \"...\"");
        return err_at(e, d->place);
    }
    struct text_slot *slot = intern_again(b, name);
    if (slot->node != GRAPH_NONE) {
        bool by_output = !d->name || !*d->name;
        err_set(e, by_output ? ERR_duplicate_output : ERR_duplicate_name,
                by_output ? "two declarations make \"%s\"" : "two declarations are called \"%s\"",
                name);
        err_at(e, d->place);
        return err_note(e, builder_place(b, slot->node), "the other one is here");
    }
    slot->node = self;
    n->name = slot->text;
    return 0;
}

static int add_refs(struct graph_builder *b, const struct node_decl *d, struct node *n,
                    struct err *e)
{
    if (add_known(b, &d->facts, &b->fact_ids, &b->facts, "fact", d, &n->facts, e) < 0 ||
        add_known(b, &d->tools, &b->tool_ids, &b->tools, "tool", d, &n->tools, e) < 0)
        return -1;
    n->pool = GRAPH_NONE;
    if (d->pool && *d->pool) {
        n->pool = strmap_get(&b->pool_ids, d->pool);
        if (n->pool == STRMAP_NONE)
            return unknown(b, &b->pools, "pool", d->pool, d, e);
    }
    return 0;
}

static void add_plain(struct graph_builder *b, const struct node_decl *d, struct node *n)
{
    n->kind = add_text(b, d->kind ? d->kind : "node");
    n->doc = add_text(b, d->doc);
    n->file = add_text(b, d->place.file);
    n->line = (uint32_t)(d->place.line > 0 ? d->place.line : 0);
    n->column = (uint32_t)(d->place.column > 0 ? d->place.column : 0);
    n->action = d->action;
    n->flags = d->flags & ~(uint32_t)NODE_MEASURED;
    n->argv = add_texts(b, &d->argv);
    n->env = add_texts(b, &d->env);
    n->params = add_texts(b, &d->params);
    n->reads = add_texts(b, &d->reads);
    n->depfile = d->depfile && *d->depfile ? add_text(b, clean_path(b, d->depfile)) : 0;
    n->stdout_to = d->stdout_to && *d->stdout_to ? add_text(b, clean_path(b, d->stdout_to)) : 0;
    n->text = add_text(b, d->text);
    n->show = d->show && *d->show ? add_text(b, clean_path(b, d->show)) : 0;
    n->dir = add_text(b, d->dir);
    n->driver = d->driver;
    n->timeout_ms = d->timeout_ms;
    n->guide = d->guide && *d->guide ? add_artifact(b, d->guide) : GRAPH_NONE;
    n->inputs = add_artifacts(b, &d->inputs);
    n->proofs = add_artifacts(b, &d->proofs);
}

/* A declaration that failed leaves no trace but texts. */
static uint32_t undo(struct graph_builder *b, const struct node *n, uint32_t self)
{
    struct text_slot *slot = n->name ? intern(b, builder_text(b, n->name)) : NULL;

    if (slot)
        slot->node = GRAPH_NONE;
    for (size_t i = n->outputs.at; n->outputs.at && i < b->ids.len; i++)
        if (builder_artifact(b, b->ids.at[i])->producer == self)
            builder_artifact(b, b->ids.at[i])->producer = GRAPH_NONE;
    return GRAPH_NONE;
}

static uint32_t add_node(struct graph_builder *b, const struct node_decl *d, struct err *e)
{
    struct node n = {0};
    uint32_t self = (uint32_t)b->nodes.len;

    if (add_name(b, d, self, &n, e) < 0 || add_refs(b, d, &n, e) < 0)
        return undo(b, &n, self);
    add_plain(b, d, &n);
    n.order_only = add_artifacts(b, &d->order_only);
    if (add_outputs(b, d, self, &n.outputs, e) < 0)
        return undo(b, &n, self);
    n.members = add_members(b, &d->members, self);
    *(struct node *)table_push(&b->nodes) = n;
    return self;
}

uint32_t graph_add_node(struct graph_builder *b, const struct node_decl *d, struct err *e)
{
    b->decl++;
    b->reading = true;
    uint32_t id = add_node(b, d, e);
    b->reading = false;
    return id;
}

/* Finds or makes the entry of a named thing; `fresh` tells which. */
static void *named(struct graph_builder *b, struct table *t, struct strmap *map, const char *name,
                   bool *fresh)
{
    uint32_t id = strmap_get(map, name);

    *fresh = id == STRMAP_NONE;
    if (!*fresh)
        return (char *)t->at + id * t->bytes;
    strmap_set(map, arena_strdup(&b->keys, name), (uint32_t)t->len);
    return table_push(t);
}

int graph_add_tool(struct graph_builder *b, const struct tool_decl *d, struct err *e)
{
    bool fresh;
    struct tool *tool = named(b, &b->tools, &b->tool_ids, d->name, &fresh);

    if (!fresh) {
        if (digest_equal(&tool->digest, &d->digest) &&
            !strcmp(builder_text(b, tool->path), d->path))
            return 0;
        err_set(e, ERR_duplicate_name, "two different tools are called \"%s\"", d->name);
        return err_hint(e, "one is %s, the other %s", builder_text(b, tool->path), d->path);
    }
    tool->name = add_text(b, d->name);
    tool->path = add_text(b, d->artifact ? clean_path(b, d->path) : d->path);
    tool->version = add_text(b, d->version);
    tool->files = add_texts(b, &d->files);
    tool->digest = d->digest;
    tool->artifact = d->artifact ? add_artifact(b, d->path) : GRAPH_NONE;
    return 0;
}

int graph_add_fact(struct graph_builder *b, const char *name, const char *value, struct err *e)
{
    bool fresh;
    struct fact *fact = named(b, &b->facts, &b->fact_ids, name, &fresh);

    if (!fresh && strcmp(builder_text(b, fact->value), value) != 0)
        return err_set(e, ERR_duplicate_name, "the fact \"%s\" has two values: %s and %s", name,
                       builder_text(b, fact->value), value);
    fact->name = add_text(b, name);
    fact->value = add_text(b, value);
    return 0;
}

int graph_add_pool(struct graph_builder *b, const char *name, uint32_t depth, struct err *e)
{
    bool fresh;
    struct pool *pool = named(b, &b->pools, &b->pool_ids, name, &fresh);

    if (!fresh && pool->depth != depth)
        return err_set(e, ERR_duplicate_name, "the pool \"%s\" has two depths: %u and %u", name,
                       pool->depth, depth);
    pool->name = add_text(b, name);
    pool->depth = depth;
    return 0;
}

void graph_add_read(struct graph_builder *b, enum read_kind kind, const char *what,
                    const struct digest *digest)
{
    text_id id = add_text(b, what);
    struct read *r = table_push(&b->reads);

    *r = (struct read){.kind = kind, .what = id, .digest = *digest};
}

void graph_set_trace(struct graph_builder *b, const char *where)
{
    b->trace_to = add_text(b, where);
}

/* Every text again, in the order it lies in, so that ids stay what they are. */
static void thaw_texts(struct graph_builder *b, const struct graph *g)
{
    for (uint32_t at = 1; at < g->text_bytes; at += (uint32_t)strlen(g->text + at) + 1)
        intern(b, g->text + at);
    for (uint32_t i = 0; i < g->name_count; i++) {
        const struct graph_name *name = &g->names[i];
        if (!name->text)
            continue;
        struct text_slot *slot = intern(b, g->text + name->text);
        slot->node = name->node;
        slot->artifact = name->artifact;
    }
}

static void thaw_table(struct table *t, const void *from, uint32_t count)
{
    t->len = count;
    t->cap = count + count / 4 + 16;
    t->at = xmalloc(t->cap * t->bytes);
    if (count)
        memcpy(t->at, from, count * t->bytes);
}

static void thaw_names(struct graph_builder *b)
{
    for (uint32_t i = 0; i < b->tools.len; i++)
        strmap_set(&b->tool_ids,
                   arena_strdup(&b->keys, builder_text(b, ((struct tool *)b->tools.at)[i].name)),
                   i);
    for (uint32_t i = 0; i < b->facts.len; i++)
        strmap_set(&b->fact_ids,
                   arena_strdup(&b->keys, builder_text(b, ((struct fact *)b->facts.at)[i].name)),
                   i);
    for (uint32_t i = 0; i < b->pools.len; i++)
        strmap_set(&b->pool_ids,
                   arena_strdup(&b->keys, builder_text(b, ((struct pool *)b->pools.at)[i].name)),
                   i);
}

struct graph_builder *graph_thaw(const struct graph *g)
{
    struct graph_builder *b = graph_build();

    thaw_texts(b, g);
    thaw_table(&b->nodes, g->nodes, g->node_count);
    thaw_table(&b->artifacts, g->artifacts, g->artifact_count);
    thaw_table(&b->tools, g->tools, g->tool_count);
    thaw_table(&b->facts, g->facts, g->fact_count);
    thaw_table(&b->pools, g->pools, g->pool_count);
    thaw_table(&b->reads, g->reads, g->read_count);
    for (uint32_t i = 1; i < g->users_at; i++)
        ids_push(&b->ids, g->ids[i]);
    for (uint32_t i = 0; i < g->artifact_count; i++) {
        struct artifact *a = builder_artifact(b, i);
        a->users = (struct slice){0, 0};
        if (a->flags & ARTIFACT_INSIDE) {
            a->flags &= ~(uint32_t)ARTIFACT_INSIDE;
            a->producer = GRAPH_NONE;
        }
    }
    for (uint32_t i = 0; i < g->node_count; i++)
        builder_node(b, i)->flags &= ~(uint32_t)NODE_MEASURED;
    thaw_names(b);
    b->trace_to = g->trace_to;
    return b;
}
