#include "session.h"

#include "watch.h"

#include <stdlib.h>
#include <string.h>

/* Nodes whose files are what their last decision looked at, and nothing else. What measures asks
 * the gate, what asks again is asked again, and a folder is more than its stamp. */
#define NEVER_STILL                                                                                \
    (NODE_ALWAYS | NODE_MEASURES | NODE_DEVICE | NODE_ASKED | NODE_SOFT_FAIL | NODE_CONSOLE)

/* After so many nodes, what was seen of the graph is given back. */
#define REST_EVERY 4096

static char *stamps_at(struct session *s)
{
    return arena_printf(s->arena, "%s/stamps", s->state_dir);
}

/* Stamps are of one snapshot, and of one boot: what a power cut did to the files they cannot say.
 */
static bool stamps_key(struct session *s, struct digest *key, struct err *e)
{
    struct buf boot = {0};
    struct hasher h;
    uint64_t id;
    bool found = graph_id(session_snapshot(s), &s->stamp, &id);

    if (!found || os_read("/proc/sys/kernel/random/boot_id", &boot, e) < 0) {
        err_release(e);
        buf_release(&boot);
        return false;
    }
    hash_init(&h);
    hash_add(&h, s->stamp.bytes, DIGEST_BYTES);
    hash_add(&h, &id, sizeof id);
    hash_add(&h, boot.ptr, boot.len);
    hash_final(&h, key);
    buf_release(&boot);
    return true;
}

static int values_hold(struct session *s, const struct stamps *stamps, bool *hold, struct err *e)
{
    uint32_t kind;
    const char *what;
    struct digest digest;

    *hold = true;
    for (uint32_t i = 0; *hold && stamps_value(stamps, i, &kind, &what, &digest); i++)
        if (script_value_holds(&s->script_options, kind, what, &digest, s->arena, hold, e) < 0)
            return -1;
    return 0;
}

/* Looks at what may have moved: at everything, where nobody watches. */
static int look(struct session *s, struct stamps *stamps, struct err *e)
{
    struct watch_answer watched;
    int rc;

    watch_ask(s->state_dir, stamps, &watched);
    if (watched.known)
        rc = stamps_check_some(stamps, &watched.which, s->cache, &s->moved, e);
    else
        rc = stamps_check(stamps, os_cores(), s->cache, &s->moved, e);
    if (rc == 0 && s->moved.len == 0 && watched.number > 0)
        watch_clean(s->state_dir, stamps, watched.number);
    if (s->moved.len > 0)
        stamps_rest(stamps);
    ids_release(&watched.which);
    return rc;
}

int session_look(struct session *s, struct err *e)
{
    struct err ignored = {0};
    struct digest key;
    bool hold = false;
    struct stamps *stamps = stamps_key(s, &key, &ignored) ? stamps_map(stamps_at(s), &key) : NULL;
    int rc = 0;

    if (stamps)
        rc = values_hold(s, stamps, &hold, e);
    if (rc == 0 && hold)
        rc = look(s, stamps, e);
    if (rc == 0 && hold)
        s->stamps = stamps;
    else
        stamps_free(stamps);
    return rc;
}

static void request_digest(const struct session *s, const struct strs *names, bool traced,
                           struct digest *out)
{
    struct hasher h;

    hash_init(&h);
    hash_add(&h, traced ? "traced" : "built", traced ? sizeof "traced" : sizeof "built");
    hash_add(&h, s->prefix, strlen(s->prefix) + 1);
    for (size_t i = 0; i < names->len; i++)
        hash_add(&h, names->at[i], strlen(names->at[i]) + 1);
    hash_final(&h, out);
}

bool session_is_still(const struct session *s, const struct strs *names, bool traced,
                      uint32_t *nodes)
{
    struct digest with, without;

    if (!s->stamps || s->moved.len > 0)
        return false;
    request_digest(s, names, true, &with);
    request_digest(s, names, false, &without);
    return stamps_knows(s->stamps, &with, nodes) ||
           (!traced && stamps_knows(s->stamps, &without, nodes));
}

bool *session_still_nodes(struct session *s)
{
    bool *still;

    if (!s->stamps)
        return NULL;
    still = arena_alloc(s->arena, s->graph->node_count + 1);
    for (uint32_t i = 0; i < s->graph->node_count; i++)
        still[i] = stamps_covers(s->stamps, i);
    for (size_t i = 0; i < s->moved.len; i++) {
        uint32_t count;
        const uint32_t *users = stamps_users(s->stamps, s->moved.at[i], &count);

        for (uint32_t k = 0; k < count; k++)
            if (users[k] < s->graph->node_count)
                still[users[k]] = false;
    }
    return still;
}

bool session_still_digest(void *ctx, const char *path, struct digest *out)
{
    const struct session *s = ctx;
    uint32_t stamp = s->stamps ? stamps_find(s->stamps, path) : STAMP_NONE;

    if (stamp == STAMP_NONE || stamps_kind(s->stamps, stamp) != STAMP_FILE)
        return false;
    stamps_digest(s->stamps, stamp, out);
    return true;
}

/* What is settled at the end of a build. */
struct settling {
    struct session *s;
    const struct graph *g;
    struct plan *plan;
    const struct outcome *outcomes;
    struct stamps_builder *builder; /* NULL: the stamps that are there are renewed */
    bool fits;                      /* they name all that they should */
    uint32_t node;
    bool made; /* the file at hand was made in this build */
};

static bool has_folders(const struct graph *g, struct slice files)
{
    for (uint32_t i = 0; i < files.len; i++)
        if (g->artifacts[slice_id(g, files, i)].flags & (ARTIFACT_DIRECTORY | ARTIFACT_INSIDE))
            return true;
    return false;
}

static bool came_out(const struct settling *t, uint32_t node)
{
    const struct node *n = &t->g->nodes[node];
    const struct outcome *o = &t->outcomes[node];

    if (o->status != STATUS_CLEAN && o->status != STATUS_RESTORED && o->status != STATUS_RAN)
        return false;
    return !o->unsettled && n->action != NODE_DRIVER && !(n->flags & NEVER_STILL) &&
           !has_folders(t->g, n->inputs) && !has_folders(t->g, n->order_only) &&
           !has_folders(t->g, n->outputs);
}

static bool in_moved(const struct settling *t, uint32_t stamp)
{
    const struct ids *moved = &t->s->moved;
    size_t low = 0, high = moved->len;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (moved->at[middle] < stamp)
            low = middle + 1;
        else
            high = middle;
    }
    return low < moved->len && moved->at[low] == stamp;
}

/* One file of the node at hand, and what it has to hold for the node to be clean. */
static int settle_file(struct settling *t, const char *path, const struct digest *digest,
                       struct err *e)
{
    struct stamps *stamps = t->s->stamps;
    struct digest before;
    uint32_t stamp;

    if (t->builder) {
        stamp = stamps_add(t->builder, path, STAMP_FILE, digest);
        stamps_add_user(t->builder, stamp, t->node);
        return 0;
    }
    stamp = stamps_find(stamps, path);
    t->fits = stamp != STAMP_NONE && stamps_has_user(stamps, stamp, t->node);
    if (!t->fits)
        return 0;
    stamps_digest(stamps, stamp, &before);
    if (!t->made && !in_moved(t, stamp) && digest_equal(&before, digest))
        return 0;
    return stamps_renew(stamps, stamp, digest, t->s->cache, t->s->begin_ns, e);
}

/* False when nobody knows what it holds: it was not looked at. */
static int known_digest(struct settling *t, uint32_t artifact, struct digest *out, bool *known,
                        struct err *e)
{
    const struct artifact *a = &t->g->artifacts[artifact];

    *known = true;
    if (!t->plan->present[artifact] && a->producer != GRAPH_NONE &&
        plan_recall(t->plan, a->producer, e) < 0)
        return -1;
    if (t->plan->present[artifact]) {
        *out = t->plan->digests[artifact];
        return 0;
    }
    if (a->producer != GRAPH_NONE)
        return *known = false, 0;
    return plan_file_digest(t->plan, artifact_path(t->g, artifact), out, known, e);
}

static int settle_artifact(struct settling *t, uint32_t artifact, struct err *e)
{
    struct digest digest;

    if (known_digest(t, artifact, &digest, &t->fits, e) < 0)
        return -1;
    return t->fits ? settle_file(t, artifact_path(t->g, artifact), &digest, e) : 0;
}

static int settle_slice(struct settling *t, struct slice files, struct err *e)
{
    for (uint32_t i = 0; i < files.len && t->fits; i++) {
        if (settle_artifact(t, slice_id(t->g, files, i), e) < 0)
            return -1;
    }
    return 0;
}

static int settle_tools(struct settling *t, struct slice tools, struct err *e)
{
    for (uint32_t i = 0; i < tools.len && t->fits; i++) {
        uint32_t artifact = t->g->tools[slice_id(t->g, tools, i)].artifact;

        if (artifact != GRAPH_NONE && settle_artifact(t, artifact, e) < 0)
            return -1;
    }
    return 0;
}

static int settle_record(struct settling *t, const struct action_record *r, struct err *e)
{
    for (size_t i = 0; i < r->dep_count && t->fits; i++)
        if (settle_file(t, r->deps[i].path, &r->deps[i].digest, e) < 0)
            return -1;
    t->made = t->outcomes[t->node].status != STATUS_CLEAN;
    for (size_t i = 0; i < r->output_count && t->fits; i++)
        if (settle_file(t, r->outputs[i].path, &r->outputs[i].digest, e) < 0)
            return -1;
    t->made = false;
    return 0;
}

static int settle_node(struct settling *t, uint32_t node, struct err *e)
{
    const struct node *n = &t->g->nodes[node];
    const struct action_record *record = t->outcomes[node].record;

    t->node = node;
    t->fits = true;
    if (n->action == NODE_GROUP)
        return 0;
    if (!record && plan_recall(t->plan, node, e) < 0)
        return -1;
    record = record ? record : t->plan->entries[node].record;
    if (!record)
        return t->fits = false, 0;
    if (settle_slice(t, n->inputs, e) < 0 || settle_slice(t, n->order_only, e) < 0 ||
        settle_tools(t, n->tools, e) < 0)
        return -1;
    return settle_record(t, record, e);
}

static void add_file(void *ctx, const char *path, const struct digest *digest)
{
    struct settling *t = ctx;
    enum stamp_kind kind = digest_is_zero(digest) ? STAMP_ABSENT : STAMP_FILE;

    stamps_add_user(t->builder, stamps_add(t->builder, path, kind, digest), STAMP_GRAPH);
}

static void add_folder(void *ctx, const char *path)
{
    struct settling *t = ctx;
    struct os_stat stat;
    struct err ignored = {0};
    bool there = os_stat(path, &stat, &ignored) == 0 && stat.kind != OS_ABSENT;
    enum stamp_kind kind = there ? STAMP_EXACT : STAMP_ABSENT;

    err_release(&ignored);
    stamps_add_user(t->builder, stamps_add(t->builder, path, kind, NULL), STAMP_GRAPH);
}

static void add_value(void *ctx, enum read_kind kind, const char *what, const struct digest *digest)
{
    struct settling *t = ctx;

    stamps_add_value(t->builder, kind, what, digest);
}

/* Stamps of everything that this build knows to be clean. */
static int write_all(struct settling *t, struct err *e)
{
    const struct script_reads reads = {
        .file = add_file, .folder = add_folder, .value = add_value, .ctx = t};
    struct session *s = t->s;
    struct err ignored = {0};
    struct digest key;
    int rc = script_each_read(t->g, &s->script_options, &reads, s->arena, e);

    for (size_t i = 0; i < t->plan->order.len && rc == 0; i++) {
        uint32_t node = t->plan->order.at[i];

        if (i % REST_EVERY == 0)
            graph_rest(t->g);
        if (!came_out(t, node))
            continue;
        rc = settle_node(t, node, e);
        if (t->fits)
            stamps_cover(t->builder, node);
    }
    if (rc == 0 && stamps_key(s, &key, &ignored)) {
        stamps_free(s->stamps);
        rc = stamps_write(t->builder, stamps_at(s), &key, s->cache, s->begin_ns, e);
        s->stamps = rc == 0 ? stamps_map(stamps_at(s), &key) : NULL;
    }
    return rc;
}

static void uncover_users(struct stamps *stamps, uint32_t stamp)
{
    uint32_t count;
    const uint32_t *users = stamps_users(stamps, stamp, &count);

    for (uint32_t i = 0; i < count; i++)
        stamps_set_cover(stamps, users[i], false);
}

/* Whoever relied on what has moved, or was made again, is clean only if that was decided in this
 * build. */
static void uncover(struct settling *t)
{
    struct stamps *stamps = t->s->stamps;
    bool anything = t->s->moved.len > 0;

    for (size_t i = 0; i < t->plan->order.len; i++)
        anything |= t->outcomes[t->plan->order.at[i]].status != STATUS_CLEAN;
    if (anything)
        stamps_forget_requests(stamps);
    for (size_t i = 0; i < t->s->moved.len; i++)
        uncover_users(stamps, t->s->moved.at[i]);
    for (size_t i = 0; i < t->plan->order.len; i++) {
        uint32_t node = t->plan->order.at[i];
        struct slice outputs = t->g->nodes[node].outputs;

        if (t->outcomes[node].status == STATUS_CLEAN)
            continue;
        stamps_set_cover(stamps, node, false);
        for (uint32_t k = 0; k < outputs.len; k++) {
            uint32_t stamp = stamps_find(stamps, artifact_path(t->g, slice_id(t->g, outputs, k)));

            if (stamp != STAMP_NONE)
                uncover_users(stamps, stamp);
        }
    }
}

/* A folder that a glob looked at, or a file that the graph was made from, was found to make the
 * same graph. */
static int renew_graph(struct settling *t, struct err *e)
{
    struct stamps *stamps = t->s->stamps;

    for (size_t i = 0; i < t->s->moved.len; i++)
        if (stamps_has_user(stamps, t->s->moved.at[i], STAMP_GRAPH) &&
            stamps_renew(stamps, t->s->moved.at[i], NULL, t->s->cache, t->s->begin_ns, e) < 0)
            return -1;
    return 0;
}

/* `fits` is false when something is needed that has no stamp. */
static int renew(struct settling *t, bool *fits, struct err *e)
{
    *fits = true;
    uncover(t);
    if (renew_graph(t, e) < 0)
        return -1;
    for (size_t i = 0; i < t->plan->order.len && *fits; i++) {
        uint32_t node = t->plan->order.at[i];

        if (stamps_covers(t->s->stamps, node) || !came_out(t, node))
            continue;
        if (settle_node(t, node, e) < 0)
            return -1;
        *fits = t->fits;
        stamps_set_cover(t->s->stamps, node, t->fits);
    }
    return 0;
}

static bool all_covered(const struct settling *t, uint32_t *nodes)
{
    *nodes = 0;
    for (size_t i = 0; i < t->plan->order.len; i++) {
        uint32_t node = t->plan->order.at[i];

        if (!stamps_covers(t->s->stamps, node) || t->g->nodes[node].show)
            return false;
        *nodes += t->g->nodes[node].action != NODE_GROUP;
    }
    return true;
}

int session_settle(struct session *s, struct plan *plan, const struct outcome *outcomes,
                   const struct strs *names, bool traced, struct err *e)
{
    struct settling t = {.s = s, .g = s->graph, .plan = plan, .outcomes = outcomes};
    struct digest request;
    uint32_t nodes;
    bool fits = false;
    int rc = s->stamps ? renew(&t, &fits, e) : 0;

    if (rc == 0 && !fits) {
        t.builder = stamps_build(t.g->node_count);
        rc = write_all(&t, e);
        stamps_discard(t.builder);
    }
    if (rc == 0 && s->stamps && all_covered(&t, &nodes)) {
        request_digest(s, names, traced, &request);
        stamps_remember(s->stamps, &request, nodes);
    }
    return rc;
}
