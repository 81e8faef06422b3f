/* script: the Lua state, the loader, literate files, places.
 *
 * Evaluating a spakfile is a pure function of the files, facts, tools, parameters and environment
 * variables it reads, and every such read is recorded in the graph. The environment is closed: no
 * os, io, debug, load of bytes, clock or randomness. Functions that Lua sees are bind's; this
 * module starts the state, loads files, turns Lua errors into struct err with the place of the
 * culprit line, and keeps the functions that driver nodes call. Executes nothing but host_find_tool
 * and fact programs. */
#ifndef SPAK_SCRIPT_H
#define SPAK_SCRIPT_H

#include "graph.h"
#include "host.h"

struct script_options {
    const char *root;             /* absolute path of the project */
    const char *spakfile;         /* relative to the root */
    const char *const *rule_dirs; /* where `use "cc"` looks for cc.lua, in order: <root>/rules, then
                                     the engine's own rules */
    const char *lua_dir;          /* the engine's lua/ */
    const char *const *params;    /* "name=value", NULL-terminated */
    struct hash_cache *cache;
};

struct script;
/* Evaluates the spakfile and freezes the graph. The state stays alive for drivers until
 * script_close. NULL if and only if e is set. */
struct script *script_evaluate(const struct script_options *o, struct graph **graph, struct err *e);
/* True when nothing that the graph's reads name has changed: files, globs, facts, tools,
 * parameters, environment. */
int script_still_valid(const struct graph *g, const struct script_options *o, bool *valid,
                       struct arena *arena, const char **why, struct err *e);
/* The same, taken apart for who wants to know sooner: calls back with each file that was read (its
 * digest zero: there was none), each folder and link that a glob looked at, and everything that is
 * no file, for script_value_holds. Paths are relative to the root where they lie below. */
struct script_reads {
    void (*file)(void *ctx, const char *path, const struct digest *digest);
    void (*folder)(void *ctx, const char *path);
    void (*value)(void *ctx, enum read_kind kind, const char *what, const struct digest *digest);
    void *ctx;
};
int script_each_read(const struct graph *g, const struct script_options *o,
                     const struct script_reads *to, struct arena *arena, struct err *e);
int script_value_holds(const struct script_options *o, enum read_kind kind, const char *what,
                       const struct digest *digest, struct arena *arena, bool *holds,
                       struct err *e);
/* Starts or resumes a driver's function. First call: results NULL. It returns with done=true, or
 * with the nodes it asks for in `asked` (ids in *graph, which is replaced by a larger one: the old
 * one is freed). `results` are the outcomes of what it asked last: exit codes and the text of small
 * outputs, as the Lua value that ask{} returns. */
struct driver_result {
    uint32_t node;
    int exit_code;
    const char *status; /* "ran", "failed", ... */
};
int script_driver_step(struct script *s, struct graph **graph, uint32_t driver_node,
                       const struct driver_result *results, size_t count, struct ids *asked,
                       bool *done, struct err *e);
void script_close(struct script *s);

/* A literate file as Lua: prose lines become blank, so line numbers hold. `docs` gets (line, text)
 * of the prose before each block. A file is literate when its name ends in .md or its first
 * non-blank line starts a Markdown heading. */
struct literate_doc {
    int line; /* the first line of the block that the prose precedes */
    const char *text;
};
int literate_to_lua(const char *text, size_t len, const char *name, struct arena *arena,
                    struct buf *lua, struct literate_doc **docs, size_t *doc_count, struct err *e);
bool literate_is(const char *name, const char *text, size_t len);

#endif
