#include "diff.h"

#include <stdlib.h>
#include <string.h>

/* What of ELF64 is needed here; the numbers are those of the format. */
enum {
    HEADER_BYTES = 64,
    SECTION_BYTES = 64,
    SYMBOL_BYTES = 24,
    LITTLE_ENDIAN_DATA = 1,
    CLASS_64 = 2,
    TYPE_RELOCATABLE = 1,
    SECTION_SYMTAB = 2,
    SECTION_NOBITS = 8,
    SECTION_DYNSYM = 11,
    SYMBOL_FUNCTION = 2,
    SECTION_RESERVED = 0xff00,
    NAME_MAX_BYTES = 256, /* names may overlap, so that a small file could ask for much memory */
};

struct section {
    uint32_t type, link;
    uint64_t offset, size;
};

struct function {
    const char *name;
    uint64_t size;
    const char *code; /* NULL: not to be compared */
};
struct functions {
    struct function *at;
    size_t len;
    uint64_t bytes;
};

static uint64_t number(const char *bytes, size_t len)
{
    uint64_t value = 0;
    for (size_t i = len; i-- > 0;)
        value = value << 8 | (unsigned char)bytes[i];
    return value;
}

static bool lies_within(uint64_t offset, uint64_t size, uint64_t whole)
{
    return offset <= whole && size <= whole - offset;
}

static bool is_elf64(struct str file)
{
    return file.len >= HEADER_BYTES && memcmp(file.ptr, "\177ELF", 4) == 0 &&
           file.ptr[4] == CLASS_64 && file.ptr[5] == LITTLE_ENDIAN_DATA;
}

static bool read_section(struct str file, uint64_t index, struct section *out)
{
    uint64_t table = number(file.ptr + 40, 8), count = number(file.ptr + 60, 2);
    if (number(file.ptr + 58, 2) != SECTION_BYTES || !lies_within(table, SECTION_BYTES, file.len))
        return false;
    if (count == 0) /* too many for the header: the first section's size says how many */
        count = number(file.ptr + table + 32, 8);
    if (index >= count || index >= file.len / SECTION_BYTES ||
        !lies_within(table, (index + 1) * SECTION_BYTES, file.len))
        return false;
    const char *at = file.ptr + table + index * SECTION_BYTES;
    *out = (struct section){.type = (uint32_t)number(at + 4, 4),
                            .link = (uint32_t)number(at + 40, 4),
                            .offset = number(at + 24, 8),
                            .size = number(at + 32, 8)};
    return out->type == SECTION_NOBITS || lies_within(out->offset, out->size, file.len);
}

/* The full table of symbols; a stripped library still has the one for the loader. */
static bool find_symbols(struct str file, struct section *symbols)
{
    struct section s;
    bool found = false;
    for (uint64_t i = 0; i < file.len / SECTION_BYTES; i++) {
        if (!read_section(file, i, &s))
            break;
        if (s.type == SECTION_SYMTAB || (s.type == SECTION_DYNSYM && !found)) {
            *symbols = s;
            found = true;
            if (s.type == SECTION_SYMTAB)
                break;
        }
    }
    return found;
}

/* Code in an object file is its own; in a linked one it changes wherever something else moves. */
static const char *code_of(struct str file, const char *symbol, uint64_t size)
{
    uint64_t index = number(symbol + 6, 2), value = number(symbol + 8, 8);
    struct section s;
    if (number(file.ptr + 16, 2) != TYPE_RELOCATABLE || index >= SECTION_RESERVED ||
        !read_section(file, index, &s) || s.type == SECTION_NOBITS ||
        !lies_within(value, size, s.size))
        return NULL;
    return file.ptr + s.offset + value;
}

/* Names go to terminals, and the file may come from a stranger. */
static const char *symbol_name(struct str names, uint64_t at, struct arena *arena)
{
    if (at >= names.len || !memchr(names.ptr + at, 0, names.len - at))
        return NULL;
    char *name = arena_strndup(arena, names.ptr + at, strnlen(names.ptr + at, NAME_MAX_BYTES));
    for (char *p = name; *p; p++)
        if ((unsigned char)*p < 0x20 || (unsigned char)*p >= 0x7f)
            *p = '?';
    return name;
}

static int by_name(const void *a, const void *b)
{
    const struct function *x = a, *y = b;
    int order = strcmp(x->name, y->name);
    return order ? order : (x->size > y->size) - (x->size < y->size);
}

static bool read_functions(struct str file, struct arena *arena, struct functions *out)
{
    struct section symbols, strings;
    *out = (struct functions){0};
    if (!is_elf64(file) || !find_symbols(file, &symbols) ||
        !read_section(file, symbols.link, &strings) || strings.type == SECTION_NOBITS)
        return false;
    struct str names = {file.ptr + strings.offset, (size_t)strings.size};
    size_t count = (size_t)(symbols.size / SYMBOL_BYTES);
    out->at = arena_alloc(arena, (count + 1) * sizeof(*out->at));
    for (size_t i = 0; i < count; i++) {
        const char *at = file.ptr + symbols.offset + i * SYMBOL_BYTES;
        uint64_t size = number(at + 16, 8);
        if ((at[4] & 15) != SYMBOL_FUNCTION || size == 0 || number(at + 6, 2) == 0)
            continue;
        const char *name = symbol_name(names, number(at, 4), arena);
        if (!name)
            continue;
        out->at[out->len++] = (struct function){name, size, code_of(file, at, size)};
        out->bytes += size;
    }
    if (out->len)
        qsort(out->at, out->len, sizeof(*out->at), by_name);
    return true;
}

static void add_function(struct diff_code *code, const char *name, uint64_t before, uint64_t after)
{
    code->at[code->len++] = (struct diff_function){name, before, after};
}

static void compare_pair(struct diff_code *code, const struct function *x, const struct function *y)
{
    if (x->size != y->size) {
        code->resized++;
        add_function(code, x->name, x->size, y->size);
    } else if (x->code && y->code && memcmp(x->code, y->code, (size_t)x->size) != 0) {
        code->rewritten++;
        add_function(code, x->name, x->size, y->size);
    } else {
        code->same++;
    }
}

struct diff_code *diff_elf(struct str before, struct str after, struct arena *arena)
{
    struct functions a, b;
    if (!read_functions(before, arena, &a) || !read_functions(after, arena, &b))
        return NULL;
    struct diff_code *code = arena_alloc(arena, sizeof(*code));
    code->at = arena_alloc(arena, (a.len + b.len + 1) * sizeof(*code->at));
    code->bytes_before = a.bytes;
    code->bytes_after = b.bytes;
    for (size_t i = 0, k = 0; i < a.len || k < b.len;) {
        int order = i == a.len ? 1 : k == b.len ? -1 : strcmp(a.at[i].name, b.at[k].name);
        if (order < 0) {
            code->removed++;
            add_function(code, a.at[i].name, a.at[i].size, 0);
            i++;
        } else if (order > 0) {
            code->added++;
            add_function(code, b.at[k].name, 0, b.at[k].size);
            k++;
        } else {
            compare_pair(code, &a.at[i++], &b.at[k++]);
        }
    }
    return code;
}
