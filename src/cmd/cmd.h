/* cmd: what a verb is. Each verb is one file that defines one `const struct cmd cmd_<name>`; verbs
 * do not include each other.
 *
 * The option tables are the only description of the command line: parsing, help, completion and the
 * man page are made from them. */
#ifndef SPAK_CMD_H
#define SPAK_CMD_H

#include "../err.h"

#define SPAK_VERSION "0.1.0"

/* Every verb, in the order that help lists them. */
#define CMD_VERBS(X)                                                                               \
    X(build)                                                                                       \
    X(plan)                                                                                        \
    X(test)                                                                                        \
    X(fsck)                                                                                        \
    X(status)                                                                                      \
    X(next)                                                                                        \
    X(watch)                                                                                       \
    X(knowledge)                                                                                   \
    X(targets)                                                                                     \
    X(log)                                                                                         \
    X(show)                                                                                        \
    X(diff)                                                                                        \
    X(bisect_check)                                                                                \
    X(reproduce)                                                                                   \
    X(gc)                                                                                          \
    X(bundle)                                                                                      \
    X(unbundle)                                                                                    \
    X(attest)                                                                                      \
    X(verify)                                                                                      \
    X(export)                                                                                      \
    X(init)                                                                                        \
    X(help)                                                                                        \
    X(explain)                                                                                     \
    X(version)                                                                                     \
    X(completion)                                                                                  \
    X(man)

enum cmd_option_form {
    CMD_FLAG,  /* -k, --keep-going */
    CMD_VALUE, /* -j N, -jN, --jobs N, --jobs=N */
    CMD_LIST,  /* a value that may be given more than once */
};
struct cmd_option {
    char letter;      /* 0: none */
    const char *name; /* without the dashes */
    enum cmd_option_form form;
    const char *arg;  /* what the value is called in help: "N" */
    const char *help; /* one line */
};
/* Options that many verbs share; put the macro into the verb's own table. */
#define CMD_COMMON_OPTIONS                                                                         \
    {'C', "directory", CMD_VALUE, "DIR", "work as if started in DIR"},                             \
        {'f', "file", CMD_VALUE, "FILE", "read FILE instead of ./spakfile"},                       \
        {'D', "define", CMD_LIST, "NAME=VALUE", "set a parameter of the spakfile"},                \
        {0, "json", CMD_FLAG, NULL, "print JSON, one value a line"},                               \
    {                                                                                              \
        0, "color", CMD_VALUE, "WHEN", "auto, always or never (also NO_COLOR)"                     \
    }

struct cmd_given; /* the options as they were given */

struct cmd_context {
    const char *program;     /* argv[0] */
    struct strs args;        /* operands, in order */
    struct cmd_given *given; /* options */
    size_t given_count;
    struct arena *arena; /* of the process */
    bool json;
    bool colour; /* on stderr */
    int status;  /* exit status when run returns 0 */
};

struct cmd {
    const char *name;
    const char *summary;              /* one line, lower case */
    const char *usage;                /* "[OPTION]... [TARGET|FILE|NODE]..." */
    const char *text;                 /* a few paragraphs for help and the man page */
    const struct cmd_option *options; /* ends with an option without a name */
    const char *const *examples;      /* command line and explanation by turns, NULL-terminated */
    bool hidden;
    int error_status; /* the exit status of every error; 0: that of the error's class */
    int (*run)(struct cmd_context *c, struct err *e);
};
#define CMD_DECLARE(verb) extern const struct cmd cmd_##verb;
CMD_VERBS(CMD_DECLARE)
#undef CMD_DECLARE

/* Every verb, NULL-terminated. */
const struct cmd *const *cmd_table(void);
const struct cmd *cmd_find(const char *name);
/* Sorts argv (after the verb) into options and operands; an unknown option names the nearest one.
 */
int cmd_parse(const struct cmd *cmd, int argc, char *const *argv, struct cmd_context *c,
              struct err *e);
bool cmd_flag(const struct cmd_context *c, const char *name);
/* The last value given, NULL when none was. */
const char *cmd_value(const struct cmd_context *c, const char *name);
/* All values given, in order. */
void cmd_values(const struct cmd_context *c, const char *name, struct strs *out);

#endif
