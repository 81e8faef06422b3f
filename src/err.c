#include "err.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The parameter cannot be called `class` here: the initialiser names the field of that name. */
static const struct err_info infos[] = {
#define CODE(code, word, exit_class, headline, paragraph)                                          \
    {.id = #code, .name = #word, .class = (exit_class), .title = (headline), .text = (paragraph)},
#include "codes.def"
#undef CODE
};

const struct err_info *err_info(enum err_code code)
{
    if ((size_t)code >= ARRAY_LEN(infos))
        BUG("error code %d is out of range", (int)code);
    return &infos[code];
}

/* Names are written with - by people and with _ in codes.def, and ids in either case. */
static bool same_word(const char *a, const char *b)
{
    for (; *a && *b; a++, b++) {
        char x = *a == '-' ? '_' : *a;
        char y = *b == '-' ? '_' : *b;

        if (x >= 'A' && x <= 'Z')
            x = (char)(x - 'A' + 'a');
        if (y >= 'A' && y <= 'Z')
            y = (char)(y - 'A' + 'a');
        if (x != y)
            return false;
    }
    return *a == *b;
}

const struct err_info *err_find(const char *id_or_name)
{
    for (size_t i = 0; i < ARRAY_LEN(infos); i++) {
        if (same_word(infos[i].id, id_or_name) || same_word(infos[i].name, id_or_name))
            return &infos[i];
    }
    return NULL;
}

static void must_be_set(const struct err *e, const char *what)
{
    if (!e->set)
        BUG("%s on an error that is not set", what);
}

static char *format(const char *fmt, va_list args)
{
    struct buf text = {0};

    buf_addv(&text, fmt, args);
    return text.ptr;
}

static void set_message(struct err *e, enum err_code code, char *message)
{
    if (e->set)
        BUG("a second error on top of the first: \"%s\" after \"%s\"", message, e->message);
    err_info(code);
    e->set = true;
    e->code = code;
    e->message = message;
}

int err_set(struct err *e, enum err_code code, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    set_message(e, code, format(fmt, args));
    va_end(args);
    return -1;
}

int err_errno(struct err *e, enum err_code code, const char *fmt, ...)
{
    int number = errno;
    struct buf text = {0};
    va_list args;

    va_start(args, fmt);
    buf_addv(&text, fmt, args);
    va_end(args);
    buf_addf(&text, ": %s", strerror(number));
    set_message(e, code, text.ptr);
    errno = number;
    return -1;
}

int err_at(struct err *e, struct place place)
{
    must_be_set(e, "err_at");
    if (!e->place.file && place.file) {
        e->place = place;
        e->place.file = xstrdup(place.file);
    }
    return -1;
}

int err_hint(struct err *e, const char *fmt, ...)
{
    va_list args;
    char *hint;

    must_be_set(e, "err_hint");
    va_start(args, fmt);
    hint = format(fmt, args); /* first: the arguments may point into the old hint */
    va_end(args);
    free(e->hint);
    e->hint = hint;
    return -1;
}

int err_note(struct err *e, struct place place, const char *fmt, ...)
{
    struct err_note *note = xcalloc(1, sizeof(*note));
    struct err_note **end = &e->notes;
    va_list args;

    must_be_set(e, "err_note");
    note->place = place;
    note->place.file = place.file ? xstrdup(place.file) : NULL;
    va_start(args, fmt);
    note->text = format(fmt, args);
    va_end(args);
    while (*end)
        end = &(*end)->next;
    *end = note;
    return -1;
}

int err_wrap(struct err *e, const char *fmt, ...)
{
    struct buf text = {0};
    va_list args;

    must_be_set(e, "err_wrap");
    va_start(args, fmt);
    buf_addv(&text, fmt, args);
    va_end(args);
    buf_addf(&text, ": %s", e->message);
    free(e->message);
    e->message = text.ptr;
    return -1;
}

int err_move(struct err *to, struct err *from)
{
    must_be_set(from, "err_move");
    if (to->set)
        BUG("err_move onto \"%s\"", to->message);
    *to = *from;
    *from = (struct err){0};
    return -1;
}

enum err_class err_class(const struct err *e)
{
    return e->set ? err_info(e->code)->class : ERR_NONE;
}

/* A place keeps its file const for those who only read; the copy is the error's own. */
static void free_file(const char *file)
{
    free((void *)(uintptr_t)file);
}

void err_release(struct err *e)
{
    while (e->notes) {
        struct err_note *next = e->notes->next;

        free_file(e->notes->place.file);
        free(e->notes->text);
        free(e->notes);
        e->notes = next;
    }
    free_file(e->place.file);
    free(e->message);
    free(e->hint);
    free(e->output);
    *e = (struct err){0};
}
