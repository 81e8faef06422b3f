#include "fuzz.h"

#include "graph_build.h"
#include "os.h"
#include <string.h>

/* The bytes say where a sound snapshot is damaged: two for the place, one for the value. */
static const char *const seeds[] = {"\x10\x01\x20\x02\x30\x03\x40\x04\x50", "abcabdabeabfabg",
                                    "zzzzzzzzzzzzzzzzzzzzz", NULL};

static const struct digest stamp = {{1, 2, 3}};

/* Eight copies in a row, and a target over them. */
static struct graph *chain(void)
{
    static char names[9][16];
    struct graph_builder *b = graph_build();
    struct err e = {0};

    for (int i = 0; i < 9; i++)
        snprintf(names[i], sizeof names[i], i ? "out/%d" : "src", i);
    for (int i = 1; i < 9; i++) {
        const char *argv[] = {"cp", names[i - 1], names[i]};
        struct node_decl d = {.kind = "node",
                              .place = {"spakfile", i, 1},
                              .action = NODE_COMMAND,
                              .driver = GRAPH_NONE};
        d.argv = (struct strs){argv, 3, 3};
        d.inputs = (struct strs){argv + 1, 1, 1};
        d.outputs = (struct strs){argv + 2, 1, 1};
        graph_add_node(b, &d, &e);
    }
    const char *last[] = {names[8]};
    struct node_decl all = {.name = "all",
                            .kind = "target",
                            .place = {"spakfile", 9, 1},
                            .action = NODE_GROUP,
                            .members = {last, 1, 1},
                            .flags = NODE_TARGET,
                            .driver = GRAPH_NONE};
    graph_add_node(b, &all, &e);
    graph_add_read(b, READ_FILE, "spakfile", &stamp);
    struct graph *g = graph_freeze(b, &e);
    fuzz_expect(g != NULL, "no graph to begin with");
    return g;
}

static void sound(struct buf *out)
{
    struct err e = {0};
    struct graph *g = chain();
    const char *path = fuzz_file("", 0);

    fuzz_expect(graph_save(g, path, &stamp, &e) == 0 && os_read(path, out, &e) == 0,
                "no snapshot to begin with");
    graph_free(g);
}

/* A damaged snapshot does not load, or is a graph that everything can walk. */
static void one(const char *bytes, size_t len)
{
    struct buf image = {0};

    sound(&image);
    for (size_t i = 0; i + 2 < len; i += 3) {
        size_t at =
            ((size_t)(unsigned char)bytes[i] << 8 | (unsigned char)bytes[i + 1]) % image.len;
        image.ptr[at] = bytes[i + 2];
    }
    if (len % 5 == 0)
        image.len -= len % image.len;
    struct graph *g = graph_load(fuzz_file(image.ptr, image.len), &stamp);
    if (g) {
        fuzz_expect(graph_is_sound(g), "an unsound graph was loaded");
        json_decref(graph_to_json(g));
    }
    graph_free(g);
    buf_release(&image);
}

const struct fuzz_target fuzz_target = {"snapshot", seeds, one, 600};
