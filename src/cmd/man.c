#include "text.h"

#include <stdio.h>
#include <string.h>

/* In roff a backslash starts an escape, a leading dot or quote a request, and a plain - is a
 * hyphen. */
static void escape(const char *text, struct buf *out)
{
    for (const char *at = text; *at; at++) {
        bool starts_line = at == text || at[-1] == '\n';

        if (*at == '\\')
            buf_addstr(out, "\\e");
        else if (*at == '-')
            buf_addstr(out, "\\-");
        else if (starts_line && (*at == '.' || *at == '\''))
            buf_addf(out, "\\&%c", *at);
        else
            buf_addch(out, *at);
    }
}

/* Paragraphs as roff: a blank line ends one, an indented line stays as it is. */
static void paragraphs(const char *text, struct buf *out)
{
    struct str rest = str_of(text);
    struct str line;
    struct buf copy = {0};
    bool kept = false;

    while (str_split(&rest, '\n', &line)) {
        bool keep = line.len && line.ptr[0] == ' ';

        buf_reset(&copy);
        buf_add(&copy, line.ptr, line.len);
        if (keep != kept)
            buf_addstr(out, keep ? ".nf\n" : ".fi\n");
        kept = keep;
        if (line.len == 0)
            buf_addstr(out, ".PP");
        else
            escape(buf_text(&copy), out);
        buf_addch(out, '\n');
    }
    if (kept)
        buf_addstr(out, ".fi\n");
    buf_release(&copy);
}

static void add_option(const struct cmd_option *option, struct buf *out)
{
    buf_addstr(out, ".TP\n");
    if (option->letter)
        buf_addf(out, "\\fB\\-%c\\fR, ", option->letter);
    buf_addstr(out, "\\fB\\-\\-");
    escape(option->name, out);
    buf_addstr(out, "\\fR");
    if (option->form != CMD_FLAG)
        buf_addf(out, " \\fI%s\\fR", option->arg);
    buf_addch(out, '\n');
    escape(option->help, out);
    buf_addch(out, '\n');
}

static void add_examples(const struct cmd *cmd, struct buf *out)
{
    if (!cmd->examples)
        return;
    for (const char *const *e = cmd->examples; e[0] && e[1]; e += 2) {
        buf_addstr(out, ".TP\n.B ");
        escape(e[0], out);
        buf_addch(out, '\n');
        escape(e[1], out);
        buf_addch(out, '\n');
    }
}

static void add_verb(const struct cmd *cmd, struct buf *out)
{
    buf_addf(out, ".SS spak %s ", cmd->name);
    escape(cmd->usage ? cmd->usage : "", out);
    buf_addch(out, '\n');
    escape(cmd->summary, out);
    buf_addstr(out, ".\n");
    if (cmd->text && *cmd->text) {
        buf_addstr(out, ".PP\n");
        paragraphs(cmd->text, out);
    }
    for (const struct cmd_option *o = cmd->options; o && o->name; o++)
        add_option(o, out);
    add_examples(cmd, out);
}

static const char head[] =
    ".TH SPAK 1\n"
    ".SH NAME\n"
    "spak \\- build engineering results that can be believed\n"
    ".SH SYNOPSIS\n"
    ".B spak\n"
    ".I VERB\n"
    "[\\fIOPTION\\fR]... [\\fIARGUMENT\\fR]...\n"
    ".SH DESCRIPTION\n"
    "Runs what changed of the nodes that a \\fIspakfile\\fR declares: commands, simulations of\n"
    "invariants, checks, benchmarks and verdicts. What a node depends on is known by content, and\n"
    "each run leaves a trace in git.\n"
    ".SH VERBS\n";
static const char tail[] =
    ".SH EXIT STATUS\n"
    ".TP\n.B 0\ndone\n"
    ".TP\n.B 1\na node failed\n"
    ".TP\n.B 2\nwrong usage, spakfile or machine\n"
    ".TP\n.B 3\nan invariant or the protocol refused\n"
    ".TP\n.B 130\ninterrupted\n"
    ".SH ENVIRONMENT\n"
    ".TP\n.B NO_COLOR\nno colour, whatever the terminal can do\n"
    ".TP\n.B MAKEFLAGS\na jobserver that is named there is joined\n"
    ".SH FILES\n"
    ".TP\n.I spakfile\nwhat the project declares\n"
    ".TP\n.I out/\neverything built; \\fIout/.spak/\\fR is SPAK's own state\n";

static int run(struct cmd_context *c, struct err *e)
{
    struct buf out = {0};

    if (c->args.len) {
        err_set(e, ERR_usage, "man takes no arguments");
        return err_hint(e, "`spak help %s` describes one verb", c->args.at[0]);
    }
    buf_addstr(&out, head);
    for (const struct cmd *const *cmd = cmd_table(); *cmd; cmd++) {
        if (!(*cmd)->hidden)
            add_verb(*cmd, &out);
    }
    buf_addstr(&out, tail);
    fwrite(out.ptr, 1, out.len, stdout);
    buf_release(&out);
    return 0;
}

static const struct cmd_option options[] = {{0}};
static const char *const examples[] = {
    "spak man | man -l -", "read it", "spak man >/usr/local/share/man/man1/spak.1",
    "install it",          NULL,
};

const struct cmd cmd_man = {
    .name = "man",
    .summary = "print the manual page",
    .usage = "",
    .options = options,
    .examples = examples,
    .run = run,
};
