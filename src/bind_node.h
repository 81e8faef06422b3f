/* bind_node: a declaration on its way from Lua to the graph. bind_value.c reads what the fields
 * hold, bind_node.c knows the fields and makes the node. Nobody else includes it. */
#ifndef SPAK_BIND_NODE_H
#define SPAK_BIND_NODE_H

#include "bind.h"

/* What a field of a node's table becomes. */
enum form {
    FORM_TEXT,     /* a text member of node_decl */
    FORM_ONE_PATH, /* a text member that names a file */
    FORM_LIST,     /* texts */
    FORM_PATHS,    /* files: texts, marks, nodes standing for their outputs */
    FORM_NODES,    /* names of nodes */
    FORM_OUTPUTS,
    FORM_MAP, /* name and value by turns, sorted */
    FORM_FLAG,
    FORM_UNFLAG, /* true takes the flag away, false sets it */
    FORM_RUN,
    FORM_TOOLS,
    FORM_SECONDS,
    FORM_PHASE,
    FORM_SHELL,
    FORM_DRIVER,
};
struct seen_list {
    const void *table;
    size_t at, from, len; /* which list of node_decl its texts went to, and where in that */
};

/* One declaration on its way from Lua; its lists borrow the script's scratch. */
struct reading {
    lua_State *L;
    struct script *s;
    struct node_decl d;
    bool public;
    bool has_run, has_write, shell;
    const char *bad;       /* the field that does not fit */
    struct seen_list last; /* of nothing but texts: a command mostly holds its inputs once more */
};

#define AT(member) offsetof(struct node_decl, member)
/* The list at an offset in node_decl. */
static inline struct strs *value_list(struct reading *r, size_t at)
{
    return (struct strs *)((char *)&r->d + at);
}

/* A text, a number or a truth value as text, which lives until the declaration is made; NULL when
 * it is none of these or holds a NUL byte. */
const char *value_scalar(struct reading *r, int index);
void value_output(struct reading *r, const char *path, uint32_t flags);
/* Each adds what is at `index` to the list at `at`; false when the form does not allow it. */
bool value_items(struct reading *r, int index, enum form form, size_t at);
bool value_map(struct reading *r, int index, size_t at);
/* One path, which may be a mark or a node with one output. */
bool value_path(struct reading *r, int index, const char **out);

#endif
