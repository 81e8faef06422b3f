#include "json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* jansson stops after the last byte it read and counts characters; a caret belongs under the first
 * byte of what it quotes. */
static int first_column(const json_error_t *error, const char *text)
{
    const char *token = strstr(error->text, " near '");
    size_t start = (size_t)error->position;
    size_t column = 1;

    if (token)
        start -= strlen(token + strlen(" near '")) - 1;
    else if (start > 0)
        start--;
    while (start > 0 && text[start - 1] != '\n') {
        start--;
        column++;
    }
    return (int)column;
}

json_t *json_parse(const char *text, size_t len, const char *name, struct err *e)
{
    json_error_t error;
    json_t *value = json_loadb(text, len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);

    if (value)
        return value;
    err_set(e, ERR_json_syntax, "%s", error.text);
    err_at(e, (struct place){name, error.line > 0 ? error.line : 1, first_column(&error, text)});
    if (json_error_code(&error) == json_error_premature_end_of_input)
        err_hint(e, "the text ends too early: was its writer interrupted?");
    return NULL;
}

/* The length of the well-formed UTF-8 sequence at `s`, 0 when there is none. */
static size_t utf8_len(const unsigned char *s, size_t left)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t len = s[0] < 0x80 ? 1 : s[0] < 0xc0 ? 0 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;
    uint32_t point;

    if (len <= 1)
        return len;
    if (len > left || s[0] > 0xf4)
        return 0;
    point = s[0] & (0x7fu >> len);
    for (size_t i = 1; i < len; i++) {
        if ((s[i] & 0xc0) != 0x80)
            return 0;
        point = point << 6 | (s[i] & 0x3fu);
    }
    if (point < least[len] || point > 0x10ffff || (point >= 0xd800 && point < 0xe000))
        return 0;
    return len;
}

static void quote_char(unsigned char c, struct buf *out)
{
    static const char letters[] = "btn\0fr"; /* from 8 on */

    if (c == '"' || c == '\\')
        buf_addf(out, "\\%c", c);
    else if (c >= 8 && c <= 13 && letters[c - 8])
        buf_addf(out, "\\%c", letters[c - 8]);
    else if (c < 0x20)
        buf_addf(out, "\\u%04x", c);
    else
        buf_addch(out, (char)c);
}

static void quote(const char *text, size_t len, struct buf *out)
{
    const unsigned char *s = (const unsigned char *)text;

    buf_addch(out, '"');
    for (size_t i = 0; i < len;) {
        size_t step = utf8_len(s + i, len - i);

        if (step == 1)
            quote_char(s[i], out);
        else if (step == 0)
            buf_addstr(out, "\xef\xbf\xbd");
        else
            buf_add(out, s + i, step);
        i += step ? step : 1;
    }
    buf_addch(out, '"');
}

void json_quote(const char *text, struct buf *out)
{
    quote(text, strlen(text), out);
}

/* The shortest of the decimal forms that reads back as the same bits, so that 0.1 stays 0.1. */
static void add_real(double number, struct buf *out)
{
    char text[40];

    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, sizeof(text), "%.*g", digits, number);
        if (strtod(text, NULL) == number)
            break;
    }
    buf_addstr(out, text);
    if (!strpbrk(text, ".e"))
        buf_addstr(out, ".0");
}

/* Ends a line, or not, before the next thing at this depth; depth -1 is the compact form. */
static void add_break(int depth, struct buf *out)
{
    if (depth < 0)
        return;
    buf_addch(out, '\n');
    for (int i = 0; i < depth; i++)
        buf_addstr(out, "  ");
}

static void add_value(const json_t *value, int depth, struct buf *out);

static void add_array(const json_t *array, int depth, struct buf *out)
{
    int inner = depth < 0 ? -1 : depth + 1;
    size_t count = json_array_size(array);

    buf_addch(out, '[');
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            buf_addch(out, ',');
        add_break(inner, out);
        add_value(json_array_get(array, i), inner, out);
    }
    if (count > 0)
        add_break(depth, out);
    buf_addch(out, ']');
}

static void sorted_keys(const json_t *object, struct strs *keys)
{
    json_t *mutable = (json_t *)(uintptr_t)object; /* jansson's iterators take it as not const */

    for (void *at = json_object_iter(mutable); at; at = json_object_iter_next(mutable, at))
        strs_push(keys, json_object_iter_key(at));
    strs_sort(keys);
}

static void add_object(const json_t *object, int depth, struct buf *out)
{
    int inner = depth < 0 ? -1 : depth + 1;
    struct strs keys = {0};

    sorted_keys(object, &keys);
    buf_addch(out, '{');
    for (size_t i = 0; i < keys.len; i++) {
        if (i > 0)
            buf_addch(out, ',');
        add_break(inner, out);
        json_quote(keys.at[i], out);
        buf_addstr(out, depth < 0 ? ":" : ": ");
        add_value(json_object_get(object, keys.at[i]), inner, out);
    }
    if (keys.len > 0)
        add_break(depth, out);
    buf_addch(out, '}');
    strs_release(&keys);
}

/* Recurses as deep as the value: jansson reads at most 2048 levels. */
static void add_value(const json_t *value, int depth, struct buf *out)
{
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        add_object(value, depth, out);
        return;
    case JSON_ARRAY:
        add_array(value, depth, out);
        return;
    case JSON_STRING:
        quote(json_string_value(value), json_string_length(value), out);
        return;
    case JSON_INTEGER:
        buf_addf(out, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
        return;
    case JSON_REAL:
        add_real(json_real_value(value), out);
        return;
    case JSON_TRUE:
        buf_addstr(out, "true");
        return;
    case JSON_FALSE:
        buf_addstr(out, "false");
        return;
    case JSON_NULL:
        buf_addstr(out, "null");
        return;
    }
    BUG("a JSON value of unknown type %d", (int)json_typeof(value));
}

void json_compact(const json_t *value, struct buf *out)
{
    add_value(value, -1, out);
}

void json_pretty(const json_t *value, struct buf *out)
{
    add_value(value, 0, out);
    buf_addch(out, '\n');
}

const char *json_text(const json_t *object, const char *key, const char *fallback)
{
    const char *text = json_string_value(json_object_get(object, key));

    return text ? text : fallback;
}

double json_num(const json_t *object, const char *key, double fallback)
{
    const json_t *value = json_object_get(object, key);

    return json_is_number(value) ? json_number_value(value) : fallback;
}

long long json_int(const json_t *object, const char *key, long long fallback)
{
    const json_t *value = json_object_get(object, key);

    return json_is_integer(value) ? json_integer_value(value) : fallback;
}
