#include "run_internal.h"

#include <string.h>
#include <unistd.h>

/* Room for the largest compilation that is none of a bomb's. */
#define CONFINED_MEMORY_BYTES (UINT64_C(8) << 30)
#define CONFINED_FILE_BYTES (UINT64_C(512) << 20)
#define CONFINED_PROCESSES 8192

/* Where a command without a slash is looked for; also its own PATH. */
static const char command_path[] = "/usr/local/bin:/usr/bin:/bin";

static char *absolute(struct run *r, struct arena *arena, const char *path)
{
    return os_join(arena, r->options->root, path);
}

/* ${root}, ${tmp} and ${out} are filled in here and not before, so that no key holds a path of this
 * machine. */
static const char *fill(struct run *r, const struct node *n, struct job *job, const char *text)
{
    const char *const names[] = {"${root}", "${tmp}", "${out}"};
    const char *out = n->dir ? absolute(r, &job->arena, r->options->out_dir) : r->options->out_dir;
    const char *const values[] = {r->options->root, job->tmp, out};
    struct buf filled = {0};
    if (!strstr(text, "${"))
        return arena_strdup(&job->arena,
                            text); /* the graph may be replaced while the command runs */
    while (*text) {
        size_t i = 0;
        while (i < ARRAY_LEN(names) && !text_starts_with(text, names[i]))
            i++;
        if (i < ARRAY_LEN(names)) {
            buf_addstr(&filled, values[i]);
            text += strlen(names[i]);
        } else {
            buf_addch(&filled, *text++);
        }
    }
    char *kept = arena_strdup(&job->arena, buf_text(&filled));
    buf_release(&filled);
    return kept;
}

static const char *find_program(struct arena *arena, const char *name)
{
    struct str rest = str_of(command_path), dir;
    while (str_split(&rest, ':', &dir)) {
        char *path = arena_printf(arena, "%.*s/%s", (int)dir.len, dir.ptr, name);
        if (access(path, X_OK) == 0)
            return path;
    }
    return NULL;
}

static const char *program_path(struct run *r, uint32_t node, struct job *job, const char *name,
                                struct err *e)
{
    if (strchr(name, '/'))
        return run_node(r, node)->dir ? absolute(r, &job->arena, name) : name;
    const char *path = find_program(&job->arena, name);
    if (!path) {
        err_set(e, ERR_command_start, "cannot run %s: it is not in %s", name, command_path);
        err_hint(e, "name it by its path, or find it with tool(\"%s\")", name);
    }
    return path;
}

const char *const *run_argv(struct run *r, uint32_t node, struct job *job, struct err *e)
{
    const struct graph *g = run_graph(r);
    const struct node *n = &g->nodes[node];
    const char **argv = arena_alloc(&job->arena, (n->argv.len + 1) * sizeof *argv);
    for (uint32_t i = 0; i < n->argv.len; i++)
        argv[i] = fill(r, n, job, slice_text(g, n->argv, i));
    if (!argv[0]) {
        err_set(e, ERR_command_start, "%s has an empty command", node_name(g, node));
        return NULL;
    }
    argv[0] = program_path(r, node, job, argv[0], e);
    return argv[0] ? argv : NULL;
}

/* A command that brings its own workers gets the jobserver, so that all together stay below -j. */
static void add_jobserver(struct run *r, struct job *job, struct strs *env)
{
    struct jobserver *s = &r->jobserver;
    if (!(run_node(r, job->node)->flags & NODE_JOBSERVER) || s->child_read_fd < 0)
        return;
    int *fds = arena_alloc(&job->arena, 2 * sizeof *fds);
    fds[0] = s->child_read_fd;
    fds[1] = s->child_write_fd;
    job->how.keep_fds = fds;
    job->how.keep_count = fds[0] == fds[1] ? 1 : 2;
    strs_push(env, arena_printf(&job->arena, "MAKEFLAGS= -j%d --jobserver-auth=%d,%d",
                                r->options->jobs, fds[0], fds[1]));
}

static bool is_set(const struct strs *env, const char *name)
{
    size_t len = strlen(name);
    for (size_t i = 0; i < env->len; i++)
        if (!strncmp(env->at[i], name, len) && env->at[i][len] == '=')
            return true;
    return false;
}

static void add_default(struct job *job, struct strs *env, const char *name, const char *value)
{
    if (!is_set(env, name))
        strs_push(env, arena_printf(&job->arena, "%s=%s", name, value));
}

int run_has_kept(struct run *r, uint32_t node, bool *out, struct err *e)
{
    struct arena arena = {0};
    const char *kept = NULL;
    int rc =
        r->options->gate ? gate_kept(r->options->gate, run_graph(r), node, &arena, &kept, e) : 0;
    *out = kept != NULL;
    arena_release(&arena);
    return rc;
}

/* The whole environment: nothing of the user's gets through. The date is the first that every
 * archive format can hold. */
const char *const *run_env(struct run *r, uint32_t node, struct job *job)
{
    const struct graph *g = run_graph(r);
    const struct node *n = &g->nodes[node];
    struct strs env = {0};
    if (r->plan->entries[node].token) /* first: no declaration stands in for it */
        strs_push(&env, arena_printf(&job->arena, "SPAK_LEASE=%s", r->plan->entries[node].token));
    if (job->kept)
        strs_push(&env, arena_printf(&job->arena, "SPAK_KEPT=%s", job->kept));
    for (uint32_t i = 0; i + 1 < n->env.len; i += 2)
        strs_push(&env, arena_printf(&job->arena, "%s=%s", slice_text(g, n->env, i),
                                     fill(r, n, job, slice_text(g, n->env, i + 1))));
    add_default(job, &env, "HOME", job->tmp);
    add_default(job, &env, "LC_ALL", "C.UTF-8");
    add_default(job, &env, "PATH", command_path);
    add_default(job, &env, "SOURCE_DATE_EPOCH", "315532800");
    add_default(job, &env, "TMPDIR", job->tmp);
    add_default(job, &env, "TZ", "UTC");
    add_jobserver(r, job, &env);
    const char *const *kept = arena_memdup(&job->arena, env.at, (env.len + 1) * sizeof *env.at);
    strs_release(&env);
    return kept;
}

static bool is_below(const char *path, const char *folder)
{
    size_t len = strlen(folder);
    return !strncmp(path, folder, len) && (path[len] == '/' || path[len] == '\0');
}

/* A tool outside the system's folders brings its libraries beside it: /opt/x/bin/tool may read
 * /opt/x. Never a folder that holds the project, as a tool in a home directory's bin would. */
static const char *tool_prefix(struct run *r, struct arena *arena, const char *path)
{
    char *bin = os_dirname(arena, path);
    char *prefix = os_dirname(arena, bin);
    const char *last = strrchr(bin, '/');
    bool is_bin = last && (!strcmp(last, "/bin") || !strcmp(last, "/libexec"));
    if (!is_bin || !strcmp(prefix, "/") || is_below(r->options->root, prefix))
        return path;
    return prefix;
}

static void read_tools(struct run *r, const struct node *n, struct job *job, struct strs *read)
{
    const struct graph *g = run_graph(r);
    for (uint32_t i = 0; i < n->tools.len; i++) {
        const struct tool *tool = &g->tools[slice_id(g, n->tools, i)];
        strs_push(read,
                  tool_prefix(r, &job->arena, absolute(r, &job->arena, graph_text(g, tool->path))));
        for (uint32_t k = 0; k < tool->files.len; k++) {
            const char *file = absolute(r, &job->arena, slice_text(g, tool->files, k));
            strs_push(read, file);
        }
    }
}

static void read_artifacts(struct run *r, struct slice s, struct job *job, struct strs *read)
{
    const struct graph *g = run_graph(r);
    for (uint32_t i = 0; i < s.len; i++)
        strs_push(read, absolute(r, &job->arena, artifact_path(g, slice_id(g, s, i))));
}

bool run_is_confined(const struct graph *g, const struct node *n)
{
    return (n->flags & NODE_INNER) && !strcmp(graph_text(g, n->kind), "candidate");
}

/* What a compiler needs of /etc is where libraries lie; the rest says who works here. */
static bool is_setting(const char *path)
{
    return text_starts_with(path, "/etc/") && !text_starts_with(path, "/etc/ld.so") &&
           strcmp(path, "/etc/alternatives") != 0;
}

static void add_reads(struct run *r, const struct node *n, struct job *job, struct strs *read)
{
    const struct graph *g = run_graph(r);
    bool confined = run_is_confined(g, n);
    for (const char *const *path = sandbox_system_paths(); *path; path++)
        if (!confined || !is_setting(*path))
            strs_push(read, *path);
    read_tools(r, n, job, read);
    read_artifacts(r, n->inputs, job, read);
    read_artifacts(r, n->order_only, job, read);
    read_artifacts(r, n->proofs, job, read);
    if (n->guide != GRAPH_NONE)
        strs_push(read, absolute(r, &job->arena, artifact_path(g, n->guide)));
    for (uint32_t i = 0; i < n->reads.len; i++)
        strs_push(read, absolute(r, &job->arena, slice_text(g, n->reads, i)));
}

/* More than one node's, or a source's. */
#define SHARED (STRMAP_NONE - 1)

/* Notes that `owner` has something below the folder, and so below all above it. */
static void note_owner(struct run *r, struct str folder, uint32_t owner)
{
    struct folder_owners *o = &r->owners;
    buf_reset(&o->name);
    buf_add(&o->name, folder.ptr, folder.len);
    for (char *name = o->name.ptr, *slash; is_below(name, r->options->out_dir); *slash = '\0') {
        uint32_t before = strmap_get(&o->by_folder, name);
        if (before == owner || before == SHARED)
            return;
        if (before == STRMAP_NONE)
            strmap_set(&o->by_folder, arena_strdup(&o->arena, name), owner);
        else
            strmap_set(&o->by_folder, name, SHARED);
        slash = strrchr(name, '/');
        if (!slash)
            return;
    }
}

static void note_file(struct run *r, const char *path, uint32_t owner)
{
    const char *slash = strrchr(path, '/');
    if (slash && is_below(path, r->options->out_dir))
        note_owner(r, (struct str){path, (size_t)(slash - path)}, owner);
}

/* One pass over the graph instead of one for each command. Only a grown one has other owners. */
static void find_owners(struct run *r, const struct graph *g)
{
    run_owners_release(r);
    for (uint32_t i = 0; i < g->artifact_count; i++) {
        const struct artifact *a = &g->artifacts[i];
        uint32_t owner = a->producer == GRAPH_NONE ? SHARED : a->producer;
        if (a->flags & ARTIFACT_DIRECTORY)
            note_owner(r, str_of(graph_text(g, a->path)), owner);
        else
            note_file(r, graph_text(g, a->path), owner);
    }
    for (uint32_t i = 0; i < g->node_count; i++)
        if (g->nodes[i].depfile)
            note_file(r, graph_text(g, g->nodes[i].depfile), i);
    r->owners.artifact_count = g->artifact_count;
    r->owners.node_count = g->node_count;
}

void run_owners_release(struct run *r)
{
    strmap_release(&r->owners.by_folder);
    arena_release(&r->owners.arena);
    buf_release(&r->owners.name);
    r->owners = (struct folder_owners){0};
}

/* Outside the folder of outputs there may be files that no declaration names, and the folder itself
 * holds the engine's state. */
static bool owns_folder(struct run *r, uint32_t node, const char *folder)
{
    const struct graph *g = run_graph(r);
    if (!is_below(folder, r->options->out_dir) || !strcmp(folder, r->options->out_dir))
        return false;
    if (r->owners.node_count != g->node_count || r->owners.artifact_count != g->artifact_count)
        find_owners(r, g);
    return strmap_get(&r->owners.by_folder, folder) == node;
}

/* A file is reserved, or its folder given where nobody else lives in it: sandbox.h says why there
 * are two ways. */
static int write_file(struct run *r, const struct node *n, struct job *job, const char *path,
                      struct strs *write, struct err *e)
{
    const struct graph *g = run_graph(r);
    const char *folder = os_dirname(&job->arena, path);
    if (owns_folder(r, job->node, folder)) {
        strs_push(write, absolute(r, &job->arena, folder));
        return 0;
    }
    if (n->stdout_to && !strcmp(graph_text(g, n->stdout_to), path))
        return 0;
    strs_push(write, absolute(r, &job->arena, path));
    return sandbox_reserve(path, e);
}

static int add_writes(struct run *r, const struct node *n, struct job *job, struct strs *write,
                      struct err *e)
{
    const struct graph *g = run_graph(r);
    strs_push(write, job->tmp);
    for (uint32_t i = 0; i < n->outputs.len; i++) {
        const struct artifact *a = &g->artifacts[slice_id(g, n->outputs, i)];
        const char *path = graph_text(g, a->path);
        if (a->flags & ARTIFACT_DIRECTORY)
            strs_push(write, absolute(r, &job->arena, path));
        else if (write_file(r, n, job, path, write, e) < 0)
            return -1;
    }
    return n->depfile ? write_file(r, n, job, graph_text(g, n->depfile), write, e) : 0;
}

int run_policy(struct run *r, uint32_t node, struct job *job, struct err *e)
{
    const struct node *n = run_node(r, node);
    struct strs read = {0}, write = {0};
    if (!r->options->sandbox || (n->flags & NODE_UNSANDBOXED))
        return 0;
    add_reads(r, n, job, &read);
    if (strchr(job->how.argv[0], '/'))
        strs_push(&read, absolute(r, &job->arena, job->how.argv[0]));
    int rc = add_writes(r, n, job, &write, e);
    if (rc == 0) {
        struct sandbox_policy policy = {
            .read = read.at,
            .write = write.at,
            .network = n->flags & NODE_NETWORK,
            .devices = (n->flags & NODE_DEVICE) && !(n->flags & NODE_OUTER),
        };
        if (run_is_confined(run_graph(r), n)) {
            policy.memory_bytes = CONFINED_MEMORY_BYTES;
            policy.file_bytes = CONFINED_FILE_BYTES;
            policy.processes = CONFINED_PROCESSES;
        }
        rc = sandbox_prepare(&policy, &job->sandbox, e);
    }
    strs_release(&read);
    strs_release(&write);
    return rc;
}
