#include "prove_domain.h"

#include <stdlib.h>
#include <string.h>

#define WHOLE_MAX (1LL << 53) /* JSON readers of other languages keep integers up to here */
#define LENGTH_MAX 4096
#define PRODUCT_MAX 65536

struct parser {
    struct arena *arena;
    const struct fields *before; /* fields a length may name */
    const char *field;           /* the field that is being read, for messages */
};

static int domain_parse(struct parser *p, const json_t *json, struct domain *out, struct err *e);

static int bad(struct parser *p, struct err *e, const char *what)
{
    return err_set(e, ERR_law_spec, "the domain of case field `%s` %s", p->field, what);
}

static int unknown_kind(struct parser *p, struct err *e)
{
    bad(p, e, "is of no kind I know");
    return err_hint(e, "kinds are int, choice, grid, real, list, mod, perm, bits, record and any");
}

static int whole(struct parser *p, const json_t *json, long long *out, struct err *e)
{
    if (!json_is_integer(json))
        return bad(p, e, "needs a whole number");
    *out = json_integer_value(json);
    if (*out > WHOLE_MAX || *out < -WHOLE_MAX)
        return bad(p, e, "has a number beyond 2^53");
    return 0;
}

static int range(struct parser *p, const json_t *json, long long *lo, long long *hi, struct err *e)
{
    if (!json_is_array(json) || json_array_size(json) != 2)
        return bad(p, e, "needs a range [lo, hi]");
    if (whole(p, json_array_get(json, 0), lo, e) || whole(p, json_array_get(json, 1), hi, e))
        return -1;
    return *lo <= *hi ? 0 : bad(p, e, "has an empty range: lo is above hi");
}

static uint32_t field_index(const struct fields *fields, const char *name)
{
    for (size_t i = 0; i < fields->len; i++)
        if (strcmp(fields->at[i].name, name) == 0)
            return (uint32_t)i;
    return UINT32_MAX;
}

/* One factor of "rows*cols*2". */
static int length_factor(struct parser *p, struct str text, struct length *out, struct err *e)
{
    char *name = arena_strndup(p->arena, text.ptr, text.len), *end;
    long long number = strtoll(name, &end, 10);
    if (*name && !*end) {
        if (number < 0 || number > LENGTH_MAX)
            return bad(p, e, "has a length outside 0 to 4096");
        out->factor *= number;
        return 0;
    }
    uint32_t index = field_index(p->before, name);
    if (index == UINT32_MAX)
        return bad(p, e,
                   arena_printf(p->arena,
                                "takes its length from `%s`, which is not a field before it",
                                name));
    const struct domain *d = &p->before->at[index].domain;
    if (d->kind != DOMAIN_INT || d->lo < 0 || d->hi > LENGTH_MAX)
        return bad(p, e,
                   arena_printf(p->arena,
                                "takes its length from `%s`, which is not an int from 0 to 4096",
                                name));
    if (out->field_count == LENGTH_FACTORS)
        return bad(p, e, "has a length with more than four factors");
    out->fields[out->field_count++] = index;
    return 0;
}

static int length_parse(struct parser *p, const json_t *json, struct length *out, struct err *e)
{
    *out = (struct length){.factor = 1};
    if (json_is_integer(json)) {
        out->factor = json_integer_value(json);
        if (out->factor < 0 || out->factor > LENGTH_MAX)
            return bad(p, e, "has a length outside 0 to 4096");
        return 0;
    }
    if (json_is_array(json)) {
        out->drawn = true;
        if (range(p, json, &out->lo, &out->hi, e))
            return -1;
        return out->lo >= 0 && out->hi <= LENGTH_MAX ? 0
                                                     : bad(p, e, "has a length outside 0 to 4096");
    }
    if (!json_is_string(json))
        return bad(p, e, "needs a length: a number, [lo, hi] or the name of an earlier int field");
    struct str rest = str_of(json_string_value(json)), part;
    while (str_split(&rest, '*', &part))
        if (length_factor(p, str_trim(part), out, e))
            return -1;
    long long longest = out->factor;
    for (size_t i = 0; i < out->field_count && longest <= PRODUCT_MAX; i++)
        longest *= p->before->at[out->fields[i]].domain.hi;
    return longest <= PRODUCT_MAX ? 0 : bad(p, e, "can be longer than 65536 elements");
}

static int texts_parse(struct parser *p, const json_t *json, struct domain *out, struct err *e)
{
    size_t count = json_is_array(json) ? json_array_size(json) : 0;
    if (count == 0)
        return bad(p, e, "needs a list of values that is not empty");
    out->texts = arena_alloc(p->arena, count * sizeof(*out->texts));
    out->text_count = count;
    for (size_t i = 0; i < count; i++) {
        const json_t *value = json_array_get(json, i);
        const char *text = json_is_string(value) ? json_string_value(value) : NULL;
        if (out->kind == DOMAIN_GRID && !json_is_number(value) &&
            !(text &&
              (strcmp(text, "inf") == 0 || strcmp(text, "-inf") == 0 || strcmp(text, "nan") == 0)))
            return bad(p, e,
                       "is a grid with something else than numbers, \"inf\", \"-inf\" and \"nan\"");
        struct buf buf = {0};
        json_compact(value, &buf);
        out->texts[i] = arena_strdup(p->arena, buf_text(&buf));
        buf_release(&buf);
    }
    return 0;
}

static int real_parse(struct parser *p, const json_t *whole_json, const json_t *json,
                      struct domain *out, struct err *e)
{
    const char *name = json_is_string(json) ? json_string_value(json) : "";
    if (strcmp(name, "normal") != 0 && strcmp(name, "uniform") != 0 && strcmp(name, "extreme") != 0)
        return bad(p, e, "is a real that is none of \"normal\", \"uniform\", \"extreme\"");
    out->distribution = arena_strdup(p->arena, name);
    out->scale = json_num(whole_json, "scale", 1.0);
    return out->scale > 0 && out->scale < 1e30
               ? 0
               : bad(p, e, "has a scale that is not between 0 and 1e30");
}

static int any_parse(struct parser *p, const json_t *json, struct domain *out, struct err *e)
{
    out->element_count = json_is_array(json) ? json_array_size(json) : 0;
    if (out->element_count == 0)
        return bad(p, e, "needs a list of domains that is not empty");
    out->elements = arena_alloc(p->arena, out->element_count * sizeof(*out->elements));
    for (size_t i = 0; i < out->element_count; i++)
        if (domain_parse(p, json_array_get(json, i), &out->elements[i], e))
            return -1;
    return 0;
}

static int list_parse(struct parser *p, const json_t *whole_json, const json_t *json,
                      struct domain *out, struct err *e)
{
    if (length_parse(p, json_object_get(whole_json, "len"), &out->length, e))
        return -1;
    out->element_count = 1;
    out->elements = arena_alloc(p->arena, sizeof(*out->elements));
    return domain_parse(p, json, out->elements, e);
}

static int mod_parse(struct parser *p, const json_t *json, struct domain *out, struct err *e)
{
    if (whole(p, json, &out->hi, e))
        return -1;
    out->hi--;
    return out->hi >= 1 ? 0 : bad(p, e, "needs a modulus of at least 2");
}

static int named_parse(struct parser *p, const json_t *entries, bool top, struct fields *out,
                       struct err *e)
{
    size_t count = json_is_array(entries) ? json_array_size(entries) : 0;
    if (count == 0)
        return err_set(e, ERR_law_spec,
                       "`cases` must be a list of [name, domain] pairs that is not empty");
    out->at = arena_alloc(p->arena, count * sizeof(*out->at));
    for (size_t i = 0; i < count; i++) {
        const json_t *pair = json_array_get(entries, i);
        const json_t *name = json_array_get(pair, 0);
        if (json_array_size(pair) != 2 || !json_is_string(name))
            return err_set(e, ERR_law_spec, "entry %zu of `cases` is not a [name, domain] pair",
                           i + 1);
        struct field *f = &out->at[i];
        f->name = arena_strdup(p->arena, json_string_value(name));
        if (top)
            p->field = f->name;
        if (field_index(out, f->name) != UINT32_MAX)
            return bad(p, e, arena_printf(p->arena, "declares `%s` twice", f->name));
        if (domain_parse(p, json_array_get(pair, 1), &f->domain, e))
            return -1;
        out->len = i + 1;
    }
    return 0;
}

static const char *const domain_names[] = {"int", "choice", "grid", "real",   "list",
                                           "mod", "perm",   "bits", "record", "any"};

/* The kind is the one member whose name is a kind. */
static const json_t *domain_kind_of(const json_t *json, struct domain *out)
{
    for (size_t i = 0; i < ARRAY_LEN(domain_names); i++) {
        const json_t *body = json_object_get(json, domain_names[i]);
        if (body) {
            out->kind = (enum domain_kind)i;
            return body;
        }
    }
    return NULL;
}

static int domain_parse(struct parser *p, const json_t *json, struct domain *out, struct err *e)
{
    const json_t *body = domain_kind_of(json, out);
    if (!body)
        return unknown_kind(p, e);
    switch (out->kind) {
    case DOMAIN_INT:
        return range(p, body, &out->lo, &out->hi, e);
    case DOMAIN_MOD:
        return mod_parse(p, body, out, e);
    case DOMAIN_CHOICE:
    case DOMAIN_GRID:
        return texts_parse(p, body, out, e);
    case DOMAIN_REAL:
        return real_parse(p, json, body, out, e);
    case DOMAIN_LIST:
        return list_parse(p, json, body, out, e);
    case DOMAIN_PERM:
    case DOMAIN_BITS:
        return length_parse(p, body, &out->length, e);
    case DOMAIN_RECORD:
        return named_parse(p, body, false, &out->record, e);
    case DOMAIN_ANY:
        return any_parse(p, body, out, e);
    }
    return unknown_kind(p, e);
}

static bool has_reals(const struct domain *d)
{
    bool any = d->kind == DOMAIN_REAL || fields_have_reals(&d->record);
    for (size_t i = 0; i < d->element_count && !any; i++)
        any = has_reals(&d->elements[i]);
    return any;
}

bool fields_have_reals(const struct fields *fields)
{
    bool any = false;
    for (size_t i = 0; i < fields->len && !any; i++)
        any = has_reals(&fields->at[i].domain);
    return any;
}

int fields_parse(const json_t *cases, struct arena *arena, struct fields *out, struct err *e)
{
    *out = (struct fields){0};
    struct parser p = {.arena = arena, .before = out, .field = "?"};
    return named_parse(&p, cases, true, out, e);
}
