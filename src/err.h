/* err: an error as a value.
 *
 * A function that can fail takes a `struct err *e` last and returns -1 if and only if it set it.
 * The first error wins: setting one that is already set is a bug. Who finds the error says what is
 * wrong; callers on the way up add where (err_at), what to do (err_hint) and around what
 * (err_wrap). Nothing here prints; diag draws.
 *
 * Life cycle: a struct err that is all zero is "no error"; err_release makes it so again. */
#ifndef SPAK_ERR_H
#define SPAK_ERR_H

#include "base.h"

/* Where something was declared: a file as the user named it, line and column (in bytes) from 1, 0
 * unknown. */
struct place {
    const char *file;
    int line;
    int column;
};

/* What kind of failure it is; the value is the exit status of the process. */
enum err_class {
    ERR_NONE = 0,
    ERR_NODE = 1,     /* a node failed */
    ERR_USAGE = 2,    /* the command line, the spakfile, the machine */
    ERR_PROTOCOL = 3, /* an invariant or the protocol refused */
    ERR_INTERRUPT = 130,
};

/* Every error has a code of its own, listed with title and explanation in codes.def. */
enum err_code {
#define CODE(id, name, class, title, text) ERR_##name,
#include "codes.def"
#undef CODE
    ERR_CODE_COUNT
};
struct err_info {
    const char *id;   /* "S101" */
    const char *name; /* "unknown_name" */
    enum err_class class;
    const char *title;
    const char *text; /* the paragraph that `spak explain` prints */
};
const struct err_info *err_info(enum err_code code);
/* Finds a code by its id or name, in either case, - as good as _; NULL when there is none. */
const struct err_info *err_find(const char *id_or_name);

struct err_note {
    struct place place; /* file NULL: a note without a place */
    char *text;
    struct err_note *next;
};

struct err {
    bool set;
    enum err_code code;
    struct place place; /* `file` is owned by the error */
    char *message;
    char *hint;
    struct err_note *notes;
    char *output; /* captured output of a command that failed, NULL if none */
};

/* Sets the error and returns -1. */
int err_set(struct err *e, enum err_code code, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* Like err_set; appends ": " and the text of errno. */
int err_errno(struct err *e, enum err_code code, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* Says where, unless a deeper caller has said so already; returns -1. */
int err_at(struct err *e, struct place place);
/* Says what to do about it; the last one wins; returns -1. */
int err_hint(struct err *e, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* Adds a note, drawn below with its own source line when `place` has a file; returns -1. */
int err_note(struct err *e, struct place place, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* Puts text in front of the message: "reading x: ..."; returns -1. */
int err_wrap(struct err *e, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* Moves `from` into the empty `to`, leaving `from` empty; returns -1. */
int err_move(struct err *to, struct err *from);
enum err_class err_class(const struct err *e);
void err_release(struct err *e);

#endif
