#include "plan_internal.h"

#include "key.h"

#include <string.h>

/* The record of a driver is a value of the store: its base key on the first line, then `result
 * name` for each node it asked for, in the order it asked. Its function is in no key: the graph
 * knows the nodes it asked for only as long as the snapshot holds, so when anything that was read
 * for the spakfile changes, the driver asks again. */

static char *record_name(struct plan *plan, uint32_t driver)
{
    return arena_printf(plan->arena, "driver/%s", node_name(plan->graph, driver));
}

/* What the driver saw of a node: how it ended and what it made. */
static void result_of(const struct plan *plan, uint32_t node, struct digest *out)
{
    const struct action_record *r = plan->entries[node].record;
    struct hasher h;
    hash_init(&h);
    if (r) {
        hash_add(&h, &r->exit_code, sizeof r->exit_code);
        for (size_t i = 0; i < r->output_count; i++) {
            hash_add(&h, r->outputs[i].path, strlen(r->outputs[i].path) + 1);
            hash_add(&h, r->outputs[i].digest.bytes, DIGEST_BYTES);
        }
    }
    hash_final(&h, out);
}

int plan_put_driver(struct plan *plan, uint32_t driver, const struct ids *asked, struct err *e)
{
    struct buf text = {0};
    char hex[DIGEST_HEX_LEN + 1];
    digest_hex(&plan->entries[driver].base, hex);
    buf_addf(&text, "%s\n", hex);
    for (size_t i = 0; i < asked->len; i++) {
        struct digest d;
        if (plan_recall(plan, asked->at[i], e) < 0) {
            buf_release(&text);
            return -1;
        }
        result_of(plan, asked->at[i], &d);
        digest_hex(&d, hex);
        buf_addf(&text, "%s %s\n", hex, node_name(plan->graph, asked->at[i]));
    }
    int rc = store_put_value(plan->options.store, record_name(plan, driver), text.ptr, text.len, e);
    buf_release(&text);
    return rc;
}

struct asked_line {
    struct digest result;
    uint32_t node; /* GRAPH_NONE: the graph does not know it (any more) */
};

static bool parse_line(struct plan *plan, struct str line, struct asked_line *out)
{
    char hex[DIGEST_HEX_LEN + 1];
    if (line.len < DIGEST_HEX_LEN)
        return false;
    memcpy(hex, line.ptr, DIGEST_HEX_LEN);
    hex[DIGEST_HEX_LEN] = '\0';
    out->node = GRAPH_NONE;
    if (line.len > DIGEST_HEX_LEN + 1) {
        size_t at = DIGEST_HEX_LEN + 1;
        char *name = arena_strndup(plan->arena, line.ptr + at, line.len - at);
        out->node = graph_find_node(plan->graph, name);
    }
    return digest_from_hex(hex, &out->result);
}

int plan_driver_asked(struct plan *plan, uint32_t driver, struct ids *asked, bool *found,
                      struct err *e)
{
    struct buf text = {0};
    struct asked_line entry;
    *found = false;
    int rc = store_recall_value(plan->options.store, record_name(plan, driver), &text, found, e);
    struct str rest = {buf_text(&text), text.len}, line;
    bool first = true;
    while (rc == 0 && *found && str_split(&rest, '\n', &line)) {
        if (line.len > 0 && !first) {
            *found = parse_line(plan, line, &entry) && entry.node != GRAPH_NONE;
            if (*found)
                ids_push(asked, entry.node);
        }
        first = false;
    }
    buf_release(&text);
    return rc;
}

static int recall_line(struct plan *plan, struct str line, bool *known, struct asked_line *entry,
                       struct err *e)
{
    *known = parse_line(plan, line, entry) && entry->node != GRAPH_NONE &&
             plan->entries[entry->node].verdict == PLAN_CLEAN;
    return *known ? plan_recall(plan, entry->node, e) : 0;
}

static int lines_hold(struct plan *plan, struct str rest, const struct digest *base, bool *holds,
                      struct err *e)
{
    struct str line;
    struct asked_line entry;
    *holds = str_split(&rest, '\n', &line) && parse_line(plan, line, &entry) &&
             digest_equal(&entry.result, base);
    while (*holds && str_split(&rest, '\n', &line)) {
        struct digest now;
        if (line.len == 0)
            continue;
        if (recall_line(plan, line, holds, &entry, e) < 0)
            return -1;
        if (!*holds)
            break;
        result_of(plan, entry.node, &now);
        *holds = digest_equal(&now, &entry.result);
    }
    return 0;
}

int plan_driver_holds(struct plan *plan, uint32_t driver, const struct digest *base, bool *holds,
                      struct err *e)
{
    struct buf text = {0};
    bool found = false;
    int rc = store_recall_value(plan->options.store, record_name(plan, driver), &text, &found, e);
    *holds = false;
    if (rc == 0 && found)
        rc = lines_hold(plan, (struct str){buf_text(&text), text.len}, base, holds, e);
    buf_release(&text);
    return rc;
}
