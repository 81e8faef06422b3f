/* script_state: the insides of script that bind works with. Only files of script and bind include
 * it.
 *
 * A C function that Lua calls sets the script's error and leaves through script_raise; scratch
 * memory belongs to the script, because leaving skips everything in between. */
#ifndef SPAK_SCRIPT_STATE_H
#define SPAK_SCRIPT_STATE_H

#include "script.h"

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>

/* Who wrote a file decides whom an error is about. */
enum file_kind { FILE_ENGINE, FILE_RULE, FILE_USER };

struct script_file {
    const char
        *name; /* relative to the root where it lies below, else absolute; also the chunk's name */
    enum file_kind kind;
    struct str text; /* as it is on disk */
    uint32_t *lines; /* where each line starts */
    int line_count;
    struct literate_doc *docs; /* of a literate file */
    size_t doc_count;
};

/* A driver's function and, once started, its coroutine. */
struct script_driver {
    int function_ref;
    int thread_ref;
    lua_State *thread;
};

/* Lua's memory: counted, limited, and quick for the small blocks that a declaration is made of. */
#define SCRIPT_SMALL_BYTES 128
struct script_memory {
    void *free[SCRIPT_SMALL_BYTES / 16]; /* a list of each size */
    struct script_chunk *chunks;
    char *at; /* what is left of the newest chunk */
    size_t left;
    size_t used_bytes;
};
/* A lua_Alloc; the context is the script. */
void *script_allocate(void *ctx, void *block, size_t old, size_t bytes);
void script_memory_release(struct script_memory *m);

struct script {
    lua_State *L;
    struct script_options options; /* texts are the script's own */
    struct arena arena;
    struct err err;                /* why Lua is being left */
    struct graph_builder *builder; /* NULL between the steps of drivers */
    const struct graph *graph;     /* what a driver's step adds to */
    struct script_file *files;
    size_t file_count;
    uint32_t last_file; /* the one that the last place was in */
    struct strmap file_ids;
    struct strmap reads;    /* what was recorded: kind and name */
    struct strmap interned; /* text to its number in texts */
    struct strs texts;
    const char *rule;     /* the rule at work, "node" outside */
    struct place call;    /* the call of the outermost rule at work */
    struct place at;      /* where Lua is when no file of the user's is on the stack */
    uint32_t driver_node; /* the driver at work, or GRAPH_NONE */
    struct script_driver *drivers;
    uint32_t driver_count;
    struct strs lists[11]; /* scratch of bind's declarations */
    struct strs late;      /* inputs that a command names */
    struct ids flags;
    struct arena
        decl_scratch;     /* of the declaration being read, which may call Lua to find a tool */
    struct arena scratch; /* of any other call */
    int64_t steps_left;
    int64_t steps;
    struct script_memory memory;
    lua_State *running; /* the thread at work, for where memory gave out */
    struct place memory_at;
    int complain_ref; /* Lua: says what is wrong with a node's table */
    int prepare_ref;  /* Lua: finds the facts that a node's table names */
    int tool_ref;     /* Lua: name of a command to tool */
    int driver_ref;   /* Lua: runs a driver's function */
    int commands_ref; /* table: name of a command to path, of tools found */
};

struct script *script_of(lua_State *L);
/* Leaves Lua with the script's error, which is set. */
_Noreturn void script_raise(lua_State *L);
/* Calls the function below `args` arguments; an error of Lua becomes the script's. */
int script_call(struct script *s, lua_State *L, int args, int results);
/* Turns the text on top of the stack into the script's error, with place. */
int script_handler(lua_State *L);
/* After a thread ended with `status`: moves what happened into the script's error. */
void script_take_error(struct script *s, lua_State *L, int status);

/* The builder at work; thaws the graph when a driver is the first to need one. */
struct graph_builder *script_builder(struct script *s);

/* Loads a file and pushes its function; the read is recorded. `path` is absolute or relative to the
 * root. */
int script_load(struct script *s, lua_State *L, const char *path, enum file_kind kind,
                struct err *e);
/* The name of a path: relative to the root where it lies below. */
const char *script_name(struct script *s, const char *path);
/* The one copy of a text that lives as long as the script. */
const char *script_intern(struct script *s, const char *text);
const struct script_file *script_file(const struct script *s, const char *name);
/* Records a read once. */
void script_record(struct script *s, enum read_kind kind, const char *what,
                   const struct digest *digest);
int script_record_file(struct script *s, const char *path, struct err *e);

/* Where Lua is: the first line of a user's file on the stack; `rule` (file NULL if none) the line
 * of a rule's file that was met before. */
void script_where(lua_State *L, struct place *user, struct place *rule);
/* The same without columns, which take a look at the text. */
void script_where_line(lua_State *L, struct place *user, struct place *rule);
/* Moves a place to the first mention of `word` in the call that begins on its line; false where
 * there is none. */
bool script_locate(const struct script *s, struct place *place, const char *word);
/* A column for a declaration: where `word` or else the text of the line begins. */
int script_column(const struct script *s, struct place place, const char *word);
/* The comment of `---` lines above, or the prose before a literate block; NULL when there is
 * neither. */
const char *script_doc(const struct script *s, struct place place, struct arena *arena);
/* Moves the error's place to the name that its message quotes. */
void script_sharpen(const struct script *s, struct err *e);

/* Matches a path against a pattern: ? * ** [a-z] {a,b}; * and ? do not cross a slash nor match a
 * leading dot. */
bool script_match(const char *pattern, const char *path);
/* The files that match, sorted; out/ and what begins with a dot are not seen. `seen` gets the
 * folders and the links that were looked at: the result is the same while they are; NULL: nobody
 * asks. */
int script_glob(const char *root, const char *pattern, struct arena *arena, struct strs *out,
                struct strs *seen, struct err *e);
void script_list_digest(const struct strs *list, struct digest *out);

/* The text of a READ_TOOL: how a program was found and what it consists of; and its digest now,
 * zero when it is found elsewhere. */
char *script_tool_text(struct arena *arena, const char *name, const char *const *candidates,
                       const char *path, const struct strs *files);
int script_tool_digest(const char *text, struct hash_cache *cache, struct arena *arena,
                       struct digest *out, struct err *e);
void script_text_digest(const char *text, struct digest *out);

/* Pushes the table of everything that lua/ may call: defined by bind, which knows this module and
 * not the reverse. */
void bind_open(struct script *s, lua_State *L);

#endif
