#include "standing.h"

json_t *standing_json(const struct protocol_item *item)
{
    return json_pack("{s:s, s:s}", "object", gate_object_name(item->object), "name", item->name);
}

static int read(struct cmd_context *c, struct session *s, standing_fn *print, struct err *e)
{
    struct build_options o = {0};
    struct build_report report = {0};
    struct protocol_item *items;
    size_t count;
    const char *journal;
    int rc = build_plan(s, &o, &c->args, &report, e);
    if (rc == 0)
        rc = gate_journal(s->gate, &journal, e);
    if (rc == 0) {
        protocol_read(s->gate, report.plan, c->arena, &items, &count);
        print(c, items, count);
    }
    build_release(&report);
    return rc;
}

int standing_run(struct cmd_context *c, const char *verb, standing_fn *print, struct err *e)
{
    struct session s = {.lock_fd = -1};
    int rc = project_open(c, verb, true, &s, e);
    if (rc == 0)
        rc = read(c, &s, print, e);
    if (session_close(&s, e) < 0)
        rc = -1;
    return rc;
}
