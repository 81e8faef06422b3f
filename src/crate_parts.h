/* crate_parts: what the files of crate share among themselves. Nobody else includes it. */
#ifndef SPAK_CRATE_PARTS_H
#define SPAK_CRATE_PARTS_H

#include "crate.h"
#include "json.h"

/* A node as the trace tells of it. */
struct crate_node {
    const char *path; /* below plan/ */
    const char *name;
    const char *state;   /* "ok", "failed", ... */
    const char *command; /* for people */
    const char *tool;    /* whose name is in env/toolchain; NULL: the engine itself */
    const char *exit;
    struct strs inputs;    /* "PATH DIGEST", as recorded */
    struct strs settings;  /* "NAME VALUE": parameters */
    struct strs variables; /* "NAME VALUE": environment */
    uint32_t *outputs;     /* into crate's, sorted */
    size_t output_count;
    bool command_or_text; /* false: a target or a group, which does nothing */
};

/* The crate's graph in the making: each entity once. */
struct crate_graph {
    const struct crate *crate;
    struct arena *arena;
    json_t *entities;
    json_t *parts; /* hasPart of the root */
    struct strmap seen;
};
json_t *crate_ref(const char *id);
/* Adds an entity, which is taken over; one whose @id is there already is dropped. */
void crate_add(struct crate_graph *g, json_t *entity);
/* "#kind/name" with what no URI may hold encoded. */
char *crate_id(struct arena *arena, const char *kind, const char *name);
/* A path as a relative URI. */
char *crate_uri(struct arena *arena, const char *path);
/* The name of what RFC 6920 calls a digest: found wherever its bytes are. */
char *crate_digest_uri(struct arena *arena, const struct digest *d);
/* Adds the file of an output or an input, and gives its @id. */
const char *crate_output_id(struct crate_graph *g, const struct crate_output *o);
const char *crate_file_id(struct crate_graph *g, const char *path, const char *hex);
/* The output of this path, NULL when no node made it. */
const struct crate_output *crate_find_output(const struct crate *c, const char *path);
/* The text as JSON may hold it: bytes that are no UTF-8 become question marks. */
const char *crate_text(struct arena *arena, const char *text);
/* Appends the lines of a file of the trace; none when it is absent. */
int crate_lines(const struct crate *c, const char *path, struct arena *arena, struct strs *out,
                struct err *e);

/* crate_node.c: steps, tools and actions of the nodes; `steps`, `tools` and `actions` get
 * references, `used` and `made` what the run as a whole took in and gave out. */
struct crate_run {
    json_t *steps, *tools, *actions, *controls, *used, *made;
};
void crate_add_nodes(struct crate_graph *g, struct crate_run *run);
const char *crate_tool_id(struct arena *arena, const char *tool);

#endif
