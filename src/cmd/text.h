/* cmd/text: what several verbs need to write for people: paragraphs that fit, options as they are
 * typed. */
#ifndef SPAK_CMD_TEXT_H
#define SPAK_CMD_TEXT_H

#include "cmd.h"

/* Appends `text` in lines of at most `width`, each after `indent`. A blank line ends a paragraph; a
 * line that starts with a blank stays as it is. */
void text_wrap(const char *text, const char *indent, size_t width, struct buf *out);
/* "-j, --jobs N", "    --json". */
void text_option(const struct cmd_option *option, struct buf *out);
/* True when the verb's usage names an operand: "TARGET", "VERB". */
bool text_takes(const struct cmd *cmd, const char *operand);

#endif
