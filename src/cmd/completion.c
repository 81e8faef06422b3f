#include "text.h"

#include <stdio.h>
#include <string.h>

/* What a verb's operands are, told from its usage: the shell asks spak itself for the words. */
static const struct source {
    const char *operand; /* as the usage names it */
    const char *command; /* prints the words, one a line, perhaps with a tab and what they mean */
} sources[] = {
    {"TARGET", "spak targets --plain"},
    {"VERB", "spak help --plain"},
    {"CODE", "spak explain --plain"},
    {"SHELL", "printf '%s\\n' bash zsh fish"},
};

static const char *operands_of(const struct cmd *cmd)
{
    for (size_t i = 0; i < ARRAY_LEN(sources); i++) {
        if (text_takes(cmd, sources[i].operand))
            return sources[i].command;
    }
    return NULL;
}

static bool takes_a_path(const struct cmd_option *option)
{
    return option->form != CMD_FLAG &&
           (strcmp(option->arg, "FILE") == 0 || strcmp(option->arg, "DIR") == 0);
}

/* Between single quotes, in any of the three shells (fish escapes, the others close and open
 * again). */
static void quote(const char *text, bool fish, struct buf *out)
{
    for (; *text; text++) {
        if (*text == '\'')
            buf_addstr(out, fish ? "\\'" : "'\\''");
        else if (fish && *text == '\\')
            buf_addstr(out, "\\\\");
        else
            buf_addch(out, *text);
    }
}

static void bash_verb(const struct cmd *cmd, struct buf *out)
{
    const char *operands = operands_of(cmd);

    buf_addf(out, "    %s) options='", cmd->name);
    for (const struct cmd_option *o = cmd->options; o && o->name; o++)
        buf_addf(out, "%s--%s", o == cmd->options ? "" : " ", o->name);
    buf_addstr(out, "'");
    if (operands)
        buf_addf(out, " words=\"%s\"", operands);
    buf_addstr(out, " ;;\n");
}

static void bash(struct buf *out)
{
    buf_addstr(out, "# bash completion for spak: source <(spak completion bash)\n"
                    "_spak()\n"
                    "{\n"
                    "    local word=${COMP_WORDS[COMP_CWORD]} verb='' options='' words='' i\n"
                    "    for ((i = 1; i < COMP_CWORD; i++)); do\n"
                    "        [[ ${COMP_WORDS[i]} == -* ]] || { verb=${COMP_WORDS[i]}; break; }\n"
                    "    done\n"
                    "    case $verb in\n"
                    "    '') words='spak help --plain' ;;\n");
    for (const struct cmd *const *cmd = cmd_table(); *cmd; cmd++)
        bash_verb(*cmd, out);
    buf_addstr(out,
               "    esac\n"
               "    if [[ $word == -* ]]; then\n"
               "        mapfile -t COMPREPLY < <(compgen -W \"$options\" -- \"$word\")\n"
               "    elif [[ -n $words ]]; then\n"
               "        mapfile -t COMPREPLY < <(compgen -W \"$(eval \"$words\" 2>/dev/null |\n"
               "            cut -f1)\" -- \"$word\")\n"
               "    fi\n"
               "}\n"
               "complete -o default -F _spak spak\n");
}

/* A specification of _arguments: brackets and colons mean something there. */
static void zsh_help(const char *text, struct buf *out)
{
    struct buf plain = {0};

    for (; *text; text++) {
        if (strchr("[]:", *text))
            buf_addch(&plain, '\\');
        buf_addch(&plain, *text);
    }
    quote(buf_text(&plain), false, out);
    buf_release(&plain);
}

static void zsh_option(const struct cmd_option *o, struct buf *out)
{
    const char *many = o->form == CMD_LIST ? "*" : "";

    for (int form = 0; form < 2; form++) {
        if (form == 0 && !o->letter)
            continue;
        if (form == 0)
            buf_addf(out, " \\\n            '%s-%c%s[", many, o->letter,
                     o->form == CMD_FLAG ? "" : "+");
        else
            buf_addf(out, " \\\n            '%s--%s%s[", many, o->name,
                     o->form == CMD_FLAG ? "" : "=");
        zsh_help(o->help, out);
        buf_addstr(out, "]");
        if (o->form != CMD_FLAG)
            buf_addf(out, ":%s:%s", o->arg, takes_a_path(o) ? "_files" : "");
        buf_addstr(out, "'");
    }
}

static void zsh(struct buf *out)
{
    buf_addstr(out,
               "#compdef spak\n"
               "# zsh completion for spak: spak completion zsh >\"${fpath[1]}/_spak\"\n"
               "_spak_words() {\n"
               "    local -a found\n"
               "    found=(${(f)\"$(eval $1 2>/dev/null | sed -e 's/:/\\\\:/g' -e 's/\\t/:/')\"})\n"
               "    _describe 'word' found\n"
               "}\n"
               "_spak() {\n"
               "    if ((CURRENT == 2)); then\n"
               "        _spak_words 'spak help --plain'\n"
               "        return\n"
               "    fi\n"
               "    local verb=$words[2]\n"
               "    shift words\n"
               "    ((CURRENT--))\n"
               "    case $verb in\n");
    for (const struct cmd *const *cmd = cmd_table(); *cmd; cmd++) {
        const char *operands = operands_of(*cmd);

        buf_addf(out, "    %s)\n        _arguments -s", (*cmd)->name);
        for (const struct cmd_option *o = (*cmd)->options; o && o->name; o++)
            zsh_option(o, out);
        buf_addstr(out, " \\\n            '*:word:");
        if (operands) {
            buf_addstr(out, "_spak_words \"");
            quote(operands, false, out);
            buf_addstr(out, "\"");
        } else {
            buf_addstr(out, "_files");
        }
        buf_addstr(out, "'\n        ;;\n");
    }
    buf_addstr(out,
               "    esac\n"
               "}\n"
               "if [[ $funcstack[1] == _spak ]]; then _spak \"$@\"; else compdef _spak spak; fi\n");
}

static void fish_verb(const struct cmd *cmd, struct buf *out)
{
    const char *operands = operands_of(cmd);

    if (operands) {
        buf_addf(out, "complete -c spak -n '__fish_seen_subcommand_from %s' -a '(", cmd->name);
        quote(operands, true, out);
        buf_addstr(out, ")'\n");
    }
    for (const struct cmd_option *o = cmd->options; o && o->name; o++) {
        buf_addf(out, "complete -c spak -n '__fish_seen_subcommand_from %s' -l %s", cmd->name,
                 o->name);
        if (o->letter)
            buf_addf(out, " -s %c", o->letter);
        if (o->form != CMD_FLAG)
            buf_addstr(out, takes_a_path(o) ? " -r -F" : " -x");
        buf_addstr(out, " -d '");
        quote(o->help, true, out);
        buf_addstr(out, "'\n");
    }
}

static void fish(struct buf *out)
{
    buf_addstr(
        out,
        "# fish completion for spak: spak completion fish >~/.config/fish/completions/spak.fish\n"
        "complete -c spak -n __fish_use_subcommand -f -a '(spak help --plain)'\n");
    for (const struct cmd *const *cmd = cmd_table(); *cmd; cmd++)
        fish_verb(*cmd, out);
}

static int run(struct cmd_context *c, struct err *e)
{
    static const struct {
        const char *name;
        void (*write)(struct buf *out);
    } shells[] = {{"bash", bash}, {"zsh", zsh}, {"fish", fish}};
    const char *asked = c->args.len == 1 ? c->args.at[0] : "";
    struct buf out = {0};

    for (size_t i = 0; i < ARRAY_LEN(shells); i++) {
        if (strcmp(shells[i].name, asked) != 0)
            continue;
        shells[i].write(&out);
        fwrite(out.ptr, 1, out.len, stdout);
        buf_release(&out);
        return 0;
    }
    if (*asked)
        err_set(e, ERR_usage, "no completion for the shell \"%s\"", asked);
    else
        err_set(e, ERR_usage, "completion takes the name of one shell");
    return err_hint(e, "write bash, zsh or fish");
}

static const struct cmd_option options[] = {{0}};
static const char *const examples[] = {
    "source <(spak completion bash)",
    "complete verbs, options and targets in this shell",
    "spak completion zsh >\"${fpath[1]}/_spak\"",
    "install it for zsh",
    "spak completion fish >~/.config/fish/completions/spak.fish",
    "install it for fish",
    NULL,
};

const struct cmd cmd_completion = {
    .name = "completion",
    .summary = "print completion for bash, zsh or fish",
    .usage = "SHELL",
    .options = options,
    .examples = examples,
    .run = run,
};
