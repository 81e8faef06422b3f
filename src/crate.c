#include "crate_parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define ROOT "./"
#define METADATA "ro-crate-metadata.json"
#define RUN "#run"

json_t *crate_ref(const char *id)
{
    return json_pack("{s:s}", "@id", id);
}

void crate_add(struct crate_graph *g, json_t *entity)
{
    const char *id = arena_strdup(g->arena, json_text(entity, "@id", ""));
    if (strmap_get(&g->seen, id) == STRMAP_NONE) {
        strmap_set(&g->seen, id, 1);
        json_array_append(g->entities, entity);
    }
    json_decref(entity);
}

static void add_encoded(struct buf *out, const char *text)
{
    static const char plain[] = "-._~/";
    for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
        bool word = (*p >= '0' && *p <= '9') || ((*p | 32) >= 'a' && (*p | 32) <= 'z');
        if (word || strchr(plain, *p))
            buf_addch(out, (char)*p);
        else
            buf_addf(out, "%%%02X", *p);
    }
}

char *crate_uri(struct arena *arena, const char *path)
{
    struct buf out = {0};
    add_encoded(&out, path);
    char *uri = arena_strdup(arena, buf_text(&out));
    buf_release(&out);
    return uri;
}

char *crate_id(struct arena *arena, const char *kind, const char *name)
{
    return arena_printf(arena, "#%s/%s", kind, crate_uri(arena, name));
}

char *crate_digest_uri(struct arena *arena, const struct digest *d)
{
    struct buf out = {0};
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    buf_addstr(&out, "ni:///sha-256;");
    for (size_t bit = 0; bit < 8 * DIGEST_BYTES; bit += 6) {
        uint32_t two = (uint32_t)d->bytes[bit / 8] << 8;
        two |= bit / 8 + 1 < DIGEST_BYTES ? d->bytes[bit / 8 + 1] : 0;
        buf_addch(&out, digits[two >> (10 - bit % 8) & 63]);
    }
    char *uri = arena_strdup(arena, buf_text(&out));
    buf_release(&out);
    return uri;
}

static void add_part(struct crate_graph *g, json_t *entity)
{
    const char *id = json_text(entity, "@id", "");
    if (strmap_get(&g->seen, id) == STRMAP_NONE)
        json_array_append_new(g->parts, crate_ref(id));
    crate_add(g, entity);
}

const char *crate_output_id(struct crate_graph *g, const struct crate_output *o)
{
    char hex[DIGEST_HEX_LEN + 1];
    const char *uri = crate_uri(g->arena, o->path);
    const char *id = !o->there   ? crate_digest_uri(g->arena, &o->digest)
                     : o->folder ? arena_printf(g->arena, "%s/", uri)
                                 : uri;
    digest_hex(&o->digest, hex);
    json_t *file = json_pack("{s:s, s:s, s:s}", "@id", id, "@type", o->folder ? "Dataset" : "File",
                             "name", o->path);
    if (!o->folder) {
        json_object_set_new(file, "sha256", json_string(hex));
        json_object_set_new(
            file, "contentSize",
            json_string(arena_printf(g->arena, "%llu", (unsigned long long)o->size_bytes)));
    }
    add_part(g, file);
    return id;
}

static bool has_source(const struct crate *c, const char *path)
{
    size_t low = 0, high = c->sources.len;
    while (low < high) {
        size_t middle = (low + high) / 2;
        int order = strcmp(c->sources.at[middle], path);
        if (order == 0)
            return true;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return false;
}

const char *crate_file_id(struct crate_graph *g, const char *path, const char *hex)
{
    const struct crate_output *made = crate_find_output(g->crate, path);
    struct digest digest;
    if (made)
        return crate_output_id(g, made);
    if (has_source(g->crate, path)) {
        const char *id = crate_uri(g->arena, path);
        add_part(g, json_pack("{s:s, s:s, s:s, s:s}", "@id", id, "@type", "File", "name", path,
                              "sha256", hex));
        return id;
    }
    if (strlen(hex) != DIGEST_HEX_LEN || !digest_from_hex(hex, &digest))
        return NULL;
    const char *id = crate_digest_uri(g->arena, &digest);
    add_part(g, json_pack("{s:s, s:s, s:s, s:s}", "@id", id, "@type", "File", "name", path,
                          "sha256", hex));
    return id;
}

static int by_path(const void *key, const void *element)
{
    return strcmp(key, ((const struct crate_output *)element)->path);
}

const struct crate_output *crate_find_output(const struct crate *c, const char *path)
{
    return c->output_count
               ? bsearch(path, c->outputs, c->output_count, sizeof(*c->outputs), by_path)
               : NULL;
}

static const char *when(struct arena *arena, int64_t seconds)
{
    time_t time = (time_t)seconds;
    struct tm parts;
    char text[40] = "";
    if (gmtime_r(&time, &parts))
        strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &parts);
    return arena_strdup(arena, text);
}

static void add_profiles(struct crate_graph *g, json_t *list)
{
    static const struct {
        const char *id, *name, *version;
    } profiles[] = {
        {"https://w3id.org/ro/wfrun/process/0.5", "Process Run Crate", "0.5"},
        {"https://w3id.org/ro/wfrun/workflow/0.5", "Workflow Run Crate", "0.5"},
        {"https://w3id.org/ro/wfrun/provenance/0.5", "Provenance Run Crate", "0.5"},
        {"https://w3id.org/workflowhub/workflow-ro-crate/1.0", "Workflow RO-Crate", "1.0"},
    };
    for (size_t i = 0; i < ARRAY_LEN(profiles); i++) {
        crate_add(g,
                  json_pack("{s:s, s:s, s:s, s:s}", "@id", profiles[i].id, "@type", "CreativeWork",
                            "name", profiles[i].name, "version", profiles[i].version));
        json_array_append_new(list, crate_ref(profiles[i].id));
    }
}

/* "NAME VERSION... SHA256"; what SPAK itself built or is has no digest. */
static void add_tools(struct crate_graph *g, const struct strs *lines)
{
    for (size_t i = 0; i < lines->len; i++) {
        struct str rest = str_of(lines->at[i]), name;
        struct digest unused;
        str_split(&rest, ' ', &name);
        const char *tool = arena_strndup(g->arena, name.ptr, name.len);
        bool digest = rest.len > DIGEST_HEX_LEN && rest.ptr[rest.len - DIGEST_HEX_LEN - 1] == ' ' &&
                      digest_from_hex(rest.ptr + rest.len - DIGEST_HEX_LEN, &unused);
        size_t version = digest ? rest.len - DIGEST_HEX_LEN - 1 : rest.len;
        bool engine = strcmp(tool, "spak") == 0;
        if (!strcmp(tool, "sandbox") || !strcmp(tool, "pretended"))
            continue;
        json_t *entity =
            json_pack("{s:s, s:s, s:s, s:s}", "@id", crate_tool_id(g->arena, engine ? NULL : tool),
                      "@type", "SoftwareApplication", "name", tool, "softwareVersion",
                      trace_value(g->arena, (struct str){rest.ptr, version}, NULL));
        if (digest)
            json_object_set_new(entity, "sha256",
                                json_string(rest.ptr + rest.len - DIGEST_HEX_LEN));
        crate_add(g, entity);
    }
}

/* A node may name a program that is no declared tool. */
static void add_other_tools(struct crate_graph *g)
{
    for (size_t i = 0; i < g->crate->node_count; i++) {
        const char *tool = g->crate->nodes[i].tool;
        crate_add(g, json_pack("{s:s, s:s, s:s}", "@id", crate_tool_id(g->arena, tool), "@type",
                               "SoftwareApplication", "name", tool ? tool : "spak"));
    }
}

static void add_params(struct crate_graph *g, const struct strs *lines, json_t *formal,
                       json_t *used)
{
    for (size_t i = 0; i < lines->len; i++) {
        struct str rest = str_of(lines->at[i]), name;
        str_split(&rest, '=', &name);
        const char *key = arena_strndup(g->arena, name.ptr, name.len);
        const char *slot = crate_id(g->arena, "parameter", key);
        const char *value = crate_id(g->arena, "parameter-value", key);
        crate_add(g, json_pack("{s:s, s:s, s:s, s:s, s:o}", "@id", slot, "@type", "FormalParameter",
                               "additionalType", "Text", "name", key, "workExample",
                               crate_ref(value)));
        crate_add(g, json_pack("{s:s, s:s, s:s, s:s, s:o}", "@id", value, "@type", "PropertyValue",
                               "name", key, "value", trace_value(g->arena, rest, NULL),
                               "exampleOfWork", crate_ref(slot)));
        json_array_append_new(formal, crate_ref(slot));
        json_object_set_new(used, value, json_true());
    }
}

/* "metric unit median lo hi n" */
static void add_metrics(struct crate_graph *g, const struct strs *lines, json_t *list)
{
    for (size_t i = 0; i < lines->len; i++) {
        const char *field[6] = {"", "", "", "", "", ""};
        struct str rest = str_of(lines->at[i]), word;
        for (size_t k = 0; k < 6 && str_split(&rest, ' ', &word); k++)
            field[k] = arena_strndup(g->arena, word.ptr, word.len);
        const char *id = crate_id(g->arena, "metric", field[0]);
        crate_add(g, json_pack("{s:s, s:s, s:s, s:s, s:f, s:f, s:f, s:s}", "@id", id, "@type",
                               "PropertyValue", "name", field[0], "unitText", field[1], "value",
                               strtod(field[2], NULL), "minValue", strtod(field[3], NULL),
                               "maxValue", strtod(field[4], NULL), "measurementTechnique",
                               arena_printf(g->arena, "median of %s blocks with its 95 %% interval",
                                            field[5])));
        json_array_append_new(list, crate_ref(id));
    }
}

static void add_machine(struct crate_graph *g, const struct strs *lines, json_t *mentions)
{
    json_t *facts = json_array();
    if (!lines->len) {
        json_decref(facts);
        return;
    }
    for (size_t i = 0; i < lines->len; i++) {
        struct str rest = str_of(lines->at[i]), name;
        str_split(&rest, ' ', &name);
        const char *key = arena_strndup(g->arena, name.ptr, name.len);
        const char *id = crate_id(g->arena, "fact", key);
        crate_add(g, json_pack("{s:s, s:s, s:s, s:s}", "@id", id, "@type", "PropertyValue", "name",
                               key, "value", trace_value(g->arena, rest, NULL)));
        json_array_append_new(facts, crate_ref(id));
    }
    crate_add(g, json_pack("{s:s, s:s, s:s, s:o}", "@id", "#machine", "@type", "IndividualProduct",
                           "name", crate_text(g->arena, g->crate->entry->machine),
                           "additionalProperty", facts));
    json_array_append_new(mentions, crate_ref("#machine"));
}

/* The start is in the run's note, which does not come with every clone. */
static const char *start_time(const struct crate *c, struct arena *arena)
{
    struct buf text = {0};
    struct err none = {0};
    const char *start = NULL;
    bool found = false;
    json_t *note = NULL;
    if (trace_note_read(c->trace, "run", c->entry->commit, &text, &found, &none) == 0 && found)
        note = json_parse(buf_text(&text), text.len, "note", &none);
    if (note && json_text(note, "start", NULL))
        start = arena_strdup(arena, json_text(note, "start", ""));
    json_decref(note);
    buf_release(&text);
    err_release(&none);
    return start;
}

static json_t *references(const json_t *set)
{
    json_t *list = json_array();
    const char *id;
    json_t *unused;
    json_object_foreach((json_t *)(uintptr_t)set, id, unused)
        json_array_append_new(list, crate_ref(id));
    return list;
}

static bool run_failed(const struct crate *c)
{
    return strcmp(c->entry->status, "ok") != 0;
}

static void add_run(struct crate_graph *g, const struct crate_run *run)
{
    const struct trace_entry *entry = g->crate->entry;
    const char *start = start_time(g->crate, g->arena);
    const char *end = when(g->arena, entry->time);
    const char *status = run_failed(g->crate) ? "http://schema.org/FailedActionStatus"
                                              : "http://schema.org/CompletedActionStatus";
    json_t *action =
        json_pack("{s:s, s:s, s:s, s:s, s:o, s:s, s:o, s:o, s:o, s:o}", "@id", RUN, "@type",
                  "CreateAction", "name", crate_text(g->arena, entry->subject), "description",
                  arena_printf(g->arena, "spak build %s", crate_text(g->arena, entry->target)),
                  "instrument", crate_ref(crate_uri(g->arena, g->crate->spakfile)), "endTime", end,
                  "agent", crate_ref("#agent"), "object", references(run->used), "result",
                  references(run->made), "actionStatus", crate_ref(status));
    json_t *engine =
        json_pack("{s:s, s:s, s:s, s:o, s:o, s:o, s:o, s:o, s:s}", "@id", "#engine-run", "@type",
                  "OrganizeAction", "name", "run of SPAK", "instrument", crate_ref("#spak"),
                  "agent", crate_ref("#agent"), "object", json_incref(run->controls), "result",
                  crate_ref(RUN), "actionStatus", crate_ref(status), "endTime", end);
    if (start) {
        json_object_set_new(action, "startTime", json_string(start));
        json_object_set_new(engine, "startTime", json_string(start));
    }
    crate_add(g, action);
    crate_add(g, engine);
    crate_add(g, json_pack("{s:s, s:s, s:s}", "@id", "#agent", "@type", "Person", "name",
                           crate_text(g->arena, entry->author)));
}

static void add_workflow(struct crate_graph *g, const struct crate_run *run, json_t *formal)
{
    const char *path = g->crate->spakfile;
    json_t *workflow = json_pack(
        "{s:s, s:[s,s,s,s], s:s, s:o, s:O, s:O}", "@id", crate_uri(g->arena, path), "@type", "File",
        "SoftwareSourceCode", "ComputationalWorkflow", "HowTo", "name", path, "programmingLanguage",
        crate_ref("#spakfile-language"), "hasPart", run->tools, "step", run->steps);
    if (json_array_size(formal))
        json_object_set(workflow, "input", formal);
    add_part(g, workflow);
    crate_add(g, json_pack("{s:s, s:s, s:s, s:s, s:o}", "@id", "#spakfile-language", "@type",
                           "ComputerLanguage", "name", "Lua, as a spakfile", "version", "5.4",
                           "url", crate_ref("https://www.lua.org/manual/5.4/")));
    crate_add(g, json_pack("{s:s, s:s, s:s}", "@id", "https://www.lua.org/manual/5.4/", "@type",
                           "WebPage", "name", "Lua 5.4 Reference Manual"));
}

/* Files that no node read are in the crate too: the sources of a run are kept whole. */
static void add_other_files(struct crate_graph *g)
{
    for (size_t i = 0; i < g->crate->sources.len; i++)
        add_part(g,
                 json_pack("{s:s, s:s, s:s}", "@id", crate_uri(g->arena, g->crate->sources.at[i]),
                           "@type", "File", "name", g->crate->sources.at[i]));
    for (size_t i = 0; i < g->crate->traced.len; i++)
        add_part(g, json_pack("{s:s, s:s, s:s, s:o}", "@id",
                              crate_uri(g->arena, g->crate->traced.at[i]), "@type", "File", "name",
                              g->crate->traced.at[i], "about", crate_ref(RUN)));
}

/* A crate has to say under what terms it may be used, also that nobody said. */
static void add_license(struct crate_graph *g, json_t *root)
{
    bool stated = has_source(g->crate, "LICENSE");
    const char *id = stated ? "LICENSE" : "#no-license";
    json_object_set_new(root, "license", crate_ref(id));
    if (!stated)
        crate_add(g, json_pack("{s:s, s:s, s:s, s:s}", "@id", id, "@type", "CreativeWork", "name",
                               "No license is stated", "description",
                               "The project has no file LICENSE: ask its authors for terms."));
}

static void add_root(struct crate_graph *g, const struct crate_run *run, json_t *metrics)
{
    const struct crate *c = g->crate;
    json_t *profiles = json_array(), *mentions = json_array();
    json_array_append_new(mentions, crate_ref(RUN));
    json_array_append_new(mentions, crate_ref("#engine-run"));
    json_array_extend(mentions, run->actions);
    add_profiles(g, profiles);
    struct strs machine = {0};
    struct err none = {0};
    crate_lines(c, arena_printf(g->arena, "measure/%s/machine", c->entry->machine), g->arena,
                &machine, &none);
    add_machine(g, &machine, mentions);
    strs_release(&machine);
    err_release(&none);
    json_t *root = json_pack(
        "{s:s, s:s, s:s, s:s, s:s, s:s, s:o, s:O, s:o, s:o}", "@id", ROOT, "@type", "Dataset",
        "name", arena_printf(g->arena, "A run of %s", crate_text(g->arena, c->entry->target)),
        "description", crate_text(g->arena, c->entry->subject), "identifier", c->entry->commit,
        "datePublished", when(g->arena, c->entry->time), "conformsTo", profiles, "hasPart",
        g->parts, "mainEntity", crate_ref(crate_uri(g->arena, c->spakfile)), "mentions", mentions);
    if (json_array_size(metrics))
        json_object_set(root, "variableMeasured", metrics);
    add_license(g, root);
    crate_add(g, root);
    crate_add(g, json_pack("{s:s, s:s, s:o, s:[o,o]}", "@id", METADATA, "@type", "CreativeWork",
                           "about", crate_ref(ROOT), "conformsTo",
                           crate_ref("https://w3id.org/ro/crate/1.1"),
                           crate_ref("https://w3id.org/workflowhub/workflow-ro-crate/1.0")));
}

static int describe(struct crate_graph *g, struct crate_run *run, json_t *metrics, json_t *formal,
                    struct err *e)
{
    const struct crate *c = g->crate;
    struct strs tools = {0}, params = {0}, summary = {0};
    const char *measured = arena_printf(g->arena, "measure/%s/summary", c->entry->machine);
    int rc = crate_lines(c, "env/toolchain", g->arena, &tools, e);
    if (rc == 0)
        rc = crate_lines(c, "env/params", g->arena, &params, e);
    if (rc == 0)
        rc = crate_lines(c, measured, g->arena, &summary, e);
    if (rc == 0) {
        add_params(g, &params, formal, run->used);
        add_metrics(g, &summary, metrics);
        add_tools(g, &tools);
        add_other_tools(g);
        crate_add_nodes(g, run);
        add_workflow(g, run, formal);
        add_run(g, run);
        add_other_files(g);
        add_root(g, run, metrics);
    }
    strs_release(&tools);
    strs_release(&params);
    strs_release(&summary);
    return rc;
}

int crate_describe(const struct crate *c, struct arena *arena, struct buf *out, struct err *e)
{
    struct crate_graph g = {.crate = c, .arena = arena, .entities = json_array()};
    struct crate_run run = {json_array(), json_array(),  json_array(),
                            json_array(), json_object(), json_object()};
    json_t *metrics = json_array(), *formal = json_array();
    g.parts = json_array();
    int rc = describe(&g, &run, metrics, formal, e);
    json_t *crate =
        json_pack("{s:[s,s], s:o}", "@context", "https://w3id.org/ro/crate/1.1/context",
                  "https://w3id.org/ro/terms/workflow-run/context", "@graph", g.entities);
    if (rc == 0)
        json_pretty(crate, out);
    json_t *const all[] = {crate,    run.steps, run.tools, run.actions, run.controls,
                           run.used, run.made,  metrics,   formal,      g.parts};
    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        json_decref(all[i]);
    strmap_release(&g.seen);
    return rc;
}
