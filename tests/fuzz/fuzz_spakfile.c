#include "fuzz.h"

#include "graph_build.h"
#include "os.h"
#include "script.h"
#include <stdio.h>
#include <stdlib.h>

static const char *const seeds[] = {
    "node { \"out/x\", inputs = { \"a.c\" }, run = { \"cp\", \"a.c\", \"out/x\" } }\ntarget \"x\" "
    "{ \"out/x\", default = true }\n",
    "# Page\n\nProse.\n\n```lua\nuse \"cc\"\ncc { \"out/a\", sources = glob \"*.c\", flags = { "
    "\"-O2\" } }\n```\n",
    "local n = param(\"n\", 3)\nfor i = 1, n do node { \"out/\" .. i, write = tostring(i) } "
    "end\npool \"p\" { depth = 2 }\n",
    "use \"invariant\" \"hypothesis\" \"guide\"\ninvariant \"a/b\" { asserts = \"x\", sim = "
    "\"a.c\", cases = { { \"x\", int(0, 3) } }, scope = { exhaustive = 4 } }\n",
    "driver { \"d\", run = function(ask) ask { \"out/y\", run = { \"true\" } } end }\nlocal ok = "
    "pcall(node, {})\n",
    "setmetatable(_G, { __index = function() return 1 end }) string.rep(\"x\", 1 << 20) rule { "
    "name = \"r\", make = function() end }\n",
    NULL,
};

/* Any text is a graph or an error with a code. */
static void one(const char *bytes, size_t len)
{
    static const char *const rules[] = {"rules", NULL}, *const no_params[] = {NULL};
    static struct hash_cache *cache;
    static char root[4096], path[4200];
    struct graph *graph = NULL;
    struct err e = {0};

    if (!*root) {
        const char *folder = getenv("TMPDIR");
        snprintf(root, sizeof root, "%s/fuzz_spakfile.root", folder && *folder ? folder : "/tmp");
        snprintf(path, sizeof path, "%s/spakfile", root);
        fuzz_expect(os_mkdirs(root, &e) == 0, "no folder for the project");
        cache = hash_cache_open("");
    }
    fuzz_expect(os_write_in_place(path, bytes, len, &e) == 0, "no room for the spakfile");
    struct script_options o = {.root = root,
                               .spakfile = "spakfile",
                               .rule_dirs = rules,
                               .lua_dir = "lua",
                               .params = no_params,
                               .cache = cache};
    struct script *s = script_evaluate(&o, &graph, &e);
    if (s)
        fuzz_expect(graph != NULL && graph_is_sound(graph), "a graph that is not sound");
    else
        fuzz_refused(&e);
    graph_free(graph);
    script_close(s);
}

const struct fuzz_target fuzz_target = {"spakfile", seeds, one, 1500};
