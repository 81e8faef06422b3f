#include "prove_judge.h"

#include <math.h>
#include <string.h>

/* A number, or one of the three words that stand for what JSON cannot write. */
static bool number_of(const json_t *v, double *out)
{
    const char *text = json_is_string(v) ? json_string_value(v) : "";
    if (json_is_number(v))
        *out = json_number_value(v);
    else if (strcmp(text, "inf") == 0)
        *out = INFINITY;
    else if (strcmp(text, "-inf") == 0)
        *out = -INFINITY;
    else if (strcmp(text, "nan") == 0)
        *out = NAN;
    else
        return false;
    return true;
}

/* Maps the bits so that neighbours differ by one and both zeros are 0. */
static double distance64(double a, double b)
{
    int64_t x, y;
    memcpy(&x, &a, sizeof(x));
    memcpy(&y, &b, sizeof(y));
    x = x < 0 ? INT64_MIN - x : x;
    y = y < 0 ? INT64_MIN - y : y;
    /* Unsigned: the distance may not fit, and a double would not hold the operands. */
    return (double)(x > y ? (uint64_t)x - (uint64_t)y : (uint64_t)y - (uint64_t)x);
}

static double distance32(double a, double b)
{
    float f = (float)a, g = (float)b;
    int32_t x, y;
    memcpy(&x, &f, sizeof(x));
    memcpy(&y, &g, sizeof(y));
    int64_t i = x < 0 ? INT32_MIN - (int64_t)x : x;
    int64_t k = y < 0 ? INT32_MIN - (int64_t)y : y;
    return fabs((double)i - (double)k);
}

static bool near_enough(const struct judge *judge, double a, double b)
{
    if (isnan(a) || isnan(b))
        return isnan(a) && isnan(b);
    if (a == b)
        return true;
    if (isinf(a) || isinf(b))
        return false;
    if (fabs(a - b) <= judge->abs + judge->rel * fmax(fabs(a), fabs(b)))
        return true;
    return distance64(a, b) <= judge->ulp || (judge->ulp32 > 0 && distance32(a, b) <= judge->ulp32);
}

static bool same_number(const json_t *a, const json_t *b, double x, double y)
{
    if (json_is_integer(a) && json_is_integer(b))
        return json_integer_value(a) == json_integer_value(b);
    if (isnan(x) || isnan(y))
        return isnan(x) && isnan(y);
    if (json_is_real(a) && json_is_real(b))
        return memcmp(&x, &y, sizeof(x)) == 0;
    const json_t *i = json_is_integer(a) ? a : json_is_integer(b) ? b : NULL;
    if (i && llabs(json_integer_value(i)) > 1LL << 53)
        return false;
    return x == y;
}

static bool scalars_agree(const struct judge *judge, const json_t *a, const json_t *b)
{
    double x, y;
    if (!number_of(a, &x) || !number_of(b, &y))
        return json_equal(a, b);
    if (judge->relation == RELATION_AT_MOST && x <= y)
        return true;
    if (judge->relation == RELATION_AT_MOST && !judge->bounded)
        return false;
    return judge->bounded ? near_enough(judge, x, y) : same_number(a, b, x, y);
}

static bool arrays_agree(const struct judge *judge, const json_t *a, const json_t *b,
                         struct buf *where)
{
    size_t len = json_array_size(a);
    if (json_array_size(b) != len) {
        buf_addf(where, " (%zu elements against %zu)", len, json_array_size(b));
        return false;
    }
    size_t mark = where->len;
    for (size_t i = 0; i < len; i++) {
        buf_addf(where, "[%zu]", i);
        if (!judge_agrees(judge, json_array_get(a, i), json_array_get(b, i), where))
            return false;
        where->len = mark;
        where->ptr[mark] = '\0';
    }
    return true;
}

static bool objects_agree(const struct judge *judge, const json_t *a, const json_t *b,
                          struct buf *where)
{
    const char *key;
    json_t *value;
    size_t mark = where->len;
    if (json_object_size(a) != json_object_size(b)) {
        buf_addstr(where, " (different members)");
        return false;
    }
    json_object_foreach((json_t *)a, key, value)
    {
        const json_t *other = json_object_get(b, key);
        buf_addf(where, ".%s", key);
        if (!other || !judge_agrees(judge, value, other, where))
            return false;
        where->len = mark;
        where->ptr[mark] = '\0';
    }
    return true;
}

bool judge_agrees(const struct judge *judge, const json_t *lhs, const json_t *rhs,
                  struct buf *where)
{
    if (json_is_array(lhs) && json_is_array(rhs))
        return arrays_agree(judge, lhs, rhs, where);
    if (json_is_object(lhs) && json_is_object(rhs))
        return objects_agree(judge, lhs, rhs, where);
    return scalars_agree(judge, lhs, rhs);
}
