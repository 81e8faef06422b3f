/* cmd/diff_text: a comparison of two runs as a person reads it: one screen, or all of it. */
#ifndef SPAK_CMD_DIFF_TEXT_H
#define SPAK_CMD_DIFF_TEXT_H

#include "../diff.h"

struct diff_text_options {
    bool all; /* every line; else the first of each list, and how many more there are */
    bool colour;
};
/* Control characters in what the traces hold are drawn as '?'. */
void diff_text_draw(const struct diff *d, const struct diff_text_options *o, struct buf *out);

#endif
