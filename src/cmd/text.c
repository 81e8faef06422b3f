#include "text.h"

#include <string.h>

/* Appends the words of one paragraph; `column` is where the line stands. */
static void wrap_words(struct str words, const char *indent, size_t width, size_t *column,
                       struct buf *out)
{
    struct str word;

    while (str_split(&words, ' ', &word)) {
        if (word.len == 0)
            continue;
        if (*column && *column + 1 + word.len > width) {
            buf_addch(out, '\n');
            *column = 0;
        }
        if (*column)
            buf_addch(out, ' ');
        else
            buf_addstr(out, indent);
        *column += (*column ? 1 : strlen(indent)) + word.len;
        buf_add(out, word.ptr, word.len);
    }
}

static void end_line(size_t *column, struct buf *out)
{
    if (*column)
        buf_addch(out, '\n');
    *column = 0;
}

void text_wrap(const char *text, const char *indent, size_t width, struct buf *out)
{
    struct str rest = str_of(text);
    struct str line;
    size_t column = 0;

    while (str_split(&rest, '\n', &line)) {
        bool kept = line.len && line.ptr[0] == ' ';

        if (line.len && !kept) {
            wrap_words(line, indent, width, &column, out);
            continue;
        }
        end_line(&column, out);
        if (kept) {
            buf_addstr(out, indent);
            buf_add(out, line.ptr, line.len);
        }
        if (kept || rest.len)
            buf_addch(out, '\n');
    }
    end_line(&column, out);
}

void text_option(const struct cmd_option *option, struct buf *out)
{
    if (option->letter)
        buf_addf(out, "-%c, --%s", option->letter, option->name);
    else
        buf_addf(out, "    --%s", option->name);
    if (option->form != CMD_FLAG)
        buf_addf(out, " %s", option->arg);
}

bool text_takes(const struct cmd *cmd, const char *operand)
{
    return cmd->usage && strstr(cmd->usage, operand);
}
