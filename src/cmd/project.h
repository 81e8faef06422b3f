/* cmd/project: what verbs that work on a project share: the session and the build as the command
 * line asks for them. */
#ifndef SPAK_CMD_PROJECT_H
#define SPAK_CMD_PROJECT_H

#include "../build.h"
#include "../console.h"
#include "cmd.h"

/* Options of verbs that build. */
#define CMD_BUILD_OPTIONS                                                                          \
    {'j', "jobs", CMD_VALUE, "N", "run at most N commands at once (default: one a core)"},         \
        {'k', "keep-going", CMD_FLAG, NULL,                                                        \
         "after a failure go on with what does not depend on it"},                                 \
        {'B', "force", CMD_FLAG, NULL, "run every node, whatever its key says"},                   \
        {0, "no-trace", CMD_FLAG, NULL, "commit no trace of this run"},                            \
        {0, "no-sandbox", CMD_FLAG, NULL, "run commands without the sandbox"},                     \
        {0, "stats", CMD_FLAG, NULL, "say at the end how the time was spent"},                     \
        {'v', "verbose", CMD_FLAG, NULL, "show each command and why it runs"},                     \
    {                                                                                              \
        'q', "quiet", CMD_FLAG, NULL, "say only what went wrong"                                   \
    }

/* The two halves of project_open. */
int project_enter(struct cmd_context *c, const char *verb, bool lock, struct session *s,
                  struct err *e);
int project_load(struct cmd_context *c, bool lock, struct session *s, struct err *e);
/* Opens and loads the session; `verb` names it to whoever waits. `lock`: the verb writes below
 * out/. */
int project_open(struct cmd_context *c, const char *verb, bool lock, struct session *s,
                 struct err *e);
/* Reads the options of CMD_BUILD_OPTIONS. */
int project_build_options(struct cmd_context *c, struct build_options *o, struct err *e);
/* Draws the run's events as the options ask; NULL-safe to close. */
struct console *project_console(struct cmd_context *c, struct build_options *o);
/* Says that so many nodes were found clean without a look at any of them. */
void project_tell_still(struct cmd_context *c, uint32_t nodes, int64_t elapsed_ns);
/* Tells what happened after the run: warnings, traces, --stats. */
void project_tell(struct cmd_context *c, const struct session *s,
                  const struct build_report *report);
/* The JSON form of one event, with a newline, to stdout; takes the object over. */
void project_print_json(json_t *event);

#endif
