#include "repro_parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* One node of out/ as both sides recorded it. */
struct pair {
    const char *path;   /* below out/ */
    const char *before; /* its text in the record */
    const char *after;  /* "" when it is not there now */
    bool there;
    bool differs;
    bool apart; /* what it needs is not on this machine: nothing can be said */
};
struct pairs {
    struct pair *at;
    size_t len;
    struct strmap producer; /* path of an output -> index */
};

const char *repro_verdict_text(enum repro_verdict verdict)
{
    static const char *const texts[] = {"IDENTICAL", "EQUIVALENT", "DIFFERENT", "NOT COMPARABLE"};
    return texts[verdict];
}

void repro_worsen(struct repro_finding *f, enum repro_verdict verdict)
{
    static const int weight[] = {[REPRO_IDENTICAL] = 0,
                                 [REPRO_EQUIVALENT] = 1,
                                 [REPRO_NOT_COMPARABLE] = 2,
                                 [REPRO_DIFFERENT] = 3};
    if (weight[verdict] > weight[f->verdict])
        f->verdict = verdict;
}

void repro_say(struct strs *list, struct arena *arena, const char *fmt, ...)
{
    struct buf text = {0};
    va_list args;
    va_start(args, fmt);
    buf_addv(&text, fmt, args);
    va_end(args);
    strs_push(list, arena_strdup(arena, buf_text(&text)));
    buf_release(&text);
}

struct str repro_line(const char *text, const char *key, size_t nth)
{
    struct str rest = str_of(text), line;
    size_t len = strlen(key);
    while (str_split(&rest, '\n', &line))
        if (line.len > len && !memcmp(line.ptr, key, len) && line.ptr[len] == ' ' && nth-- == 0)
            return (struct str){line.ptr + len + 1, line.len - len - 1};
    return (struct str){NULL, 0};
}

struct str repro_last_word(struct str *line)
{
    size_t at = line->len;
    while (at && line->ptr[at - 1] != ' ')
        at--;
    struct str word = {line->ptr + at, line->len - at};
    line->len = at ? at - 1 : 0;
    return word;
}

int repro_text(const struct repro_side *side, struct arena *arena, const char *path,
               const char **out, bool *found, struct err *e)
{
    struct buf text = {0};
    int rc = trace_read(side->trace, side->entry->commit, path, &text, found, e);
    *out = arena_strdup(arena, buf_text(&text));
    buf_release(&text);
    return rc;
}

/* An output line is "path digest size", and " folder" or " executable" behind it. */
static struct str output_path(struct str line)
{
    struct str word = repro_last_word(&line);
    if (word.len && (word.ptr[0] < '0' || word.ptr[0] > '9'))
        repro_last_word(&line);
    repro_last_word(&line);
    return line;
}

static int load_pairs(const struct repro_side *recorded, const struct repro_side *again,
                      struct arena *arena, struct pairs *out, struct err *e)
{
    struct strs paths = {0};
    int rc = trace_list(recorded->trace, recorded->entry->commit, "out", arena, &paths, e);
    out->at = arena_alloc(arena, (paths.len + 1) * sizeof(*out->at));
    for (size_t i = 0; rc == 0 && i < paths.len; i++) {
        bool found;
        if (text_starts_with(paths.at[i], "out/files/"))
            continue;
        struct pair *p = &out->at[out->len];
        p->path = paths.at[i] + strlen("out/");
        rc = repro_text(recorded, arena, paths.at[i], &p->before, &found, e);
        if (rc == 0)
            rc = repro_text(again, arena, paths.at[i], &p->after, &p->there, e);
        struct str line;
        for (size_t k = 0; rc == 0 && (line = repro_line(p->before, "out", k)).ptr; k++) {
            line = output_path(line);
            strmap_set(&out->producer, arena_strndup(arena, line.ptr, line.len),
                       (uint32_t)out->len);
        }
        out->len++;
    }
    strs_release(&paths);
    return rc;
}

/* What counts of a node's outcome; the log of a failure may hold anything. */
static bool same_but_for_log(const char *a, const char *b)
{
    struct str ra = str_of(a), rb = str_of(b), la, lb;
    for (;;) {
        bool ga, gb;
        while ((ga = str_split(&ra, '\n', &la)) && la.len > 4 && !memcmp(la.ptr, "log ", 4))
            continue;
        while ((gb = str_split(&rb, '\n', &lb)) && lb.len > 4 && !memcmp(lb.ptr, "log ", 4))
            continue;
        if (!ga || !gb)
            return ga == gb;
        if (!str_equal(la, lb))
            return false;
    }
}

static bool was_done(const char *text)
{
    struct str state = repro_line(text, "state", 0);
    return state.ptr && (str_equal(state, str_of("ok")) || str_equal(state, str_of("failed")) ||
                         str_equal(state, str_of("refused")));
}

static void compare_pair(struct pair *p, struct arena *arena, struct repro_finding *f)
{
    const char *shown = repro_printable(arena, p->path);
    if (!was_done(p->before)) {
        repro_say(&f->reasons, arena, "%s was not built in the recorded run", shown);
        repro_worsen(f, REPRO_EQUIVALENT);
        return;
    }
    f->nodes++;
    if (p->there && !strcmp(p->before, p->after)) {
        f->same++;
    } else if (p->there && same_but_for_log(p->before, p->after)) {
        repro_say(&f->reasons, arena, "%s failed in both runs, with another output", shown);
        repro_worsen(f, REPRO_EQUIVALENT);
    } else {
        p->differs = true;
    }
}

static bool has_state(const char *text, const char *state)
{
    struct str is = repro_line(text, "state", 0);
    return is.ptr && str_equal(is, str_of(state));
}

/* The tools of a plan that the other side's toolchain has no line of, "" for none: a rule that
 * finds a tool missing does without it, and without those that it would have used beside it. */
static const char *missing_tools(const char *plan, const char *toolchain, struct arena *arena)
{
    const char *out = "";
    struct str tool;
    for (size_t k = 0; (tool = repro_line(plan, "tool", k)).ptr; k++) {
        const char *name = arena_strndup(arena, tool.ptr, tool.len);
        if (!repro_line(toolchain, name, 0).ptr)
            out = arena_printf(arena, "%s%s%s", out, *out ? ", " : "", name);
    }
    return out;
}

/* Sets apart a node that this machine cannot build as recorded; why is said once for the same
 * tools. */
static int set_apart(const struct repro_side *recorded, struct pair *p, const char *toolchain,
                     struct strmap *said, struct arena *arena, struct repro_finding *f,
                     struct err *e)
{
    const char *plan, *shown = repro_printable(arena, p->path);
    bool found;
    p->apart = has_state(p->after, "unmeasured") || has_state(p->after, "skipped");
    if (has_state(p->after, "unmeasured"))
        repro_say(&f->reasons, arena, "%s needs a device that this machine does not have", shown);
    if (p->apart || !p->there)
        return 0;
    if (repro_text(recorded, arena, arena_printf(arena, "plan/%s", p->path), &plan, &found, e))
        return -1;
    const char *tools = missing_tools(plan, toolchain, arena);
    if (!*tools)
        return 0;
    if (strmap_get(said, tools) == STRMAP_NONE)
        repro_say(&f->reasons, arena, "%s was made with %s, which nothing here used", shown,
                  repro_printable(arena, tools));
    strmap_set(said, tools, 0);
    p->apart = true;
    return 0;
}

/* True when something that the node takes in came from a node that differs too, or is set apart:
 * then that one is to blame. */
static bool follows(const struct pairs *pairs, const struct pair *p, bool apart,
                    struct arena *arena)
{
    struct str line;
    for (size_t k = 0; (line = repro_line(p->before, "in", k)).ptr; k++) {
        repro_last_word(&line);
        uint32_t from = strmap_get(&pairs->producer, arena_strndup(arena, line.ptr, line.len));
        if (from != STRMAP_NONE &&
            (apart ? pairs->at[from].apart : pairs->at[from].differs && !pairs->at[from].apart))
            return true;
    }
    return false;
}

/* Of what differs, what this machine cannot build, and what follows that. */
static int sort_out(const struct repro_side *recorded, const struct repro_side *again,
                    struct pairs *pairs, struct arena *arena, struct repro_finding *f,
                    struct err *e)
{
    struct strmap said = {0};
    const char *toolchain;
    bool found, more = true;
    int rc = repro_text(again, arena, "env/toolchain", &toolchain, &found, e);
    for (size_t i = 0; rc == 0 && i < pairs->len; i++)
        if (pairs->at[i].differs)
            rc = set_apart(recorded, &pairs->at[i], toolchain, &said, arena, f, e);
    while (rc == 0 && more) {
        more = false;
        for (size_t i = 0; i < pairs->len; i++)
            if (pairs->at[i].differs && !pairs->at[i].apart &&
                follows(pairs, &pairs->at[i], true, arena))
                more = pairs->at[i].apart = true;
    }
    for (size_t i = 0; rc == 0 && i < pairs->len; i++) {
        const struct pair *p = &pairs->at[i];
        if (p->differs && !p->apart)
            strs_push(&f->different, repro_printable(arena, p->path));
        f->apart += p->apart;
    }
    strmap_release(&said);
    if (f->apart)
        repro_worsen(f, REPRO_NOT_COMPARABLE);
    if (f->different.len)
        repro_worsen(f, REPRO_DIFFERENT);
    return rc;
}

static bool holds_line(const char *text, const char *key, struct str wanted)
{
    struct str line;
    for (size_t k = 0; (line = repro_line(text, key, k)).ptr; k++)
        if (str_equal(line, wanted))
            return true;
    return false;
}

/* The first line of the record under `key` that the other side lacks. */
static const char *first_missing(const char *before, const char *after, const char *key,
                                 struct arena *arena)
{
    struct str line;
    for (size_t k = 0; (line = repro_line(before, key, k)).ptr; k++)
        if (!holds_line(after, key, line)) {
            struct str path = line;
            if (!strcmp(key, "out"))
                path = output_path(line);
            else
                repro_last_word(&path);
            return repro_printable(arena, arena_strndup(arena, path.ptr, path.len));
        }
    return NULL;
}

static int explain(const struct repro_side *recorded, const struct repro_side *again,
                   const struct pair *p, struct arena *arena, struct repro_finding *f,
                   struct err *e)
{
    const char *cause = NULL, *input = first_missing(p->before, p->after, "in", arena);
    const char *output = first_missing(p->before, p->after, "out", arena),
               *shown = repro_printable(arena, p->path);
    struct str was = repro_line(p->before, "state", 0), is = repro_line(p->after, "state", 0);
    if (repro_cause(recorded, again, p->path, arena, &cause, e))
        return -1;
    if (!cause && input)
        cause = arena_printf(arena, "its input %s is not what was recorded", input);
    bool other_state = was.ptr && is.ptr && !str_equal(was, is);
    if (!cause)
        cause = other_state
                    ? "nothing that the trace records differs: what it printed here says why"
                    : "nothing that the trace records differs: the command is not deterministic";
    strs_push(&f->chain, cause);
    strs_push(&f->chain, shown);
    if (output && strcmp(output, shown) != 0)
        strs_push(&f->chain, output);
    if (!p->there)
        repro_say(&f->reasons, arena, "%s is not built here", shown);
    else if (other_state)
        repro_say(&f->reasons, arena, "%s: %.*s in the record, %s here", shown, (int)was.len,
                  was.ptr, repro_printable(arena, arena_strndup(arena, is.ptr, is.len)));
    else
        repro_say(&f->reasons, arena, "%s came out differently", output ? output : shown);
    return 0;
}

/* Of the nodes that differ, those that follow no other are where it began; the one whose cause is
 * known tells most. */
static int find_first(const struct repro_side *recorded, const struct repro_side *again,
                      const struct pairs *pairs, struct arena *arena, struct repro_finding *f,
                      struct err *e)
{
    const struct pair *first = NULL;
    bool known = false;
    for (size_t i = 0; i < pairs->len && !known; i++) {
        const struct pair *p = &pairs->at[i];
        const char *cause = NULL;
        if (!p->differs || p->apart || follows(pairs, p, false, arena))
            continue;
        if (repro_cause(recorded, again, p->path, arena, &cause, e))
            return -1;
        known = cause != NULL;
        if (!first || known)
            first = p;
    }
    for (size_t i = 0; !first && i < pairs->len; i++)
        if (pairs->at[i].differs && !pairs->at[i].apart)
            first = &pairs->at[i];
    return first ? explain(recorded, again, first, arena, f, e) : 0;
}

static int compare_out(const struct repro_side *recorded, const struct repro_side *again,
                       struct arena *arena, struct repro_finding *f, struct err *e)
{
    struct pairs pairs = {0};
    int rc = load_pairs(recorded, again, arena, &pairs, e);
    for (size_t i = 0; rc == 0 && i < pairs.len; i++)
        compare_pair(&pairs.at[i], arena, f);
    if (rc == 0)
        rc = sort_out(recorded, again, &pairs, arena, f, e);
    if (rc == 0)
        rc = find_first(recorded, again, &pairs, arena, f, e);
    strmap_release(&pairs.producer);
    return rc;
}

static int same_tree(const struct repro_side *recorded, const struct repro_side *again,
                     const char *path, bool *same, struct err *e)
{
    char a[65], b[65];
    if (trace_path_id(recorded->trace, recorded->entry->commit, path, a, e) ||
        trace_path_id(again->trace, again->entry->commit, path, b, e))
        return -1;
    *same = !strcmp(a, b);
    return 0;
}

/* Proofs are outputs: what came out the same in both runs is verified again, for the prover ran
 * here. */
static int count_proofs(const struct repro_side *recorded, const struct repro_side *again,
                        struct arena *arena, struct repro_finding *f, struct err *e)
{
    struct strs paths = {0};
    int rc = trace_list(recorded->trace, recorded->entry->commit, "plan", arena, &paths, e);
    for (size_t i = 0; rc == 0 && i < paths.len; i++) {
        const char *text, *node = paths.at[i] + strlen("plan/");
        bool found;
        rc = repro_text(recorded, arena, paths.at[i], &text, &found, e);
        if (rc || !str_equal(repro_line(text, "kind", 0), str_of("invariant")))
            continue;
        f->proofs++;
        rc = repro_text(again, arena, arena_printf(arena, "out/%s", node), &text, &found, e);
        f->verified += rc == 0 && found && str_equal(repro_line(text, "state", 0), str_of("ok"));
    }
    strs_release(&paths);
    return rc;
}

static void judge_plan(struct arena *arena, struct repro_finding *f)
{
    if (f->same_plan || f->verdict == REPRO_DIFFERENT)
        return;
    repro_say(&f->reasons, arena,
              "the plan is another one here, with the same results: git diff of plan/ says where");
    repro_worsen(f, REPRO_EQUIVALENT);
}

int repro_compare(const struct repro_side *recorded, const struct repro_side *again, double margin,
                  struct arena *arena, struct repro_finding *out, struct err *e)
{
    *out = (struct repro_finding){.margin = margin > 0 ? margin : TRACE_MARGIN};
    out->margin_least = out->margin;
    if (same_tree(recorded, again, "out", &out->same_out, e) ||
        same_tree(recorded, again, "plan", &out->same_plan, e) ||
        compare_out(recorded, again, arena, out, e))
        return -1;
    judge_plan(arena, out);
    if (count_proofs(recorded, again, arena, out, e) ||
        repro_measured(recorded, again, margin, arena, out, e))
        return -1;
    return repro_environment(recorded, again, arena, out, e);
}

void repro_finding_release(struct repro_finding *f)
{
    strs_release(&f->reasons);
    strs_release(&f->chain);
    strs_release(&f->environment);
    strs_release(&f->different);
}

char *repro_margin_text(const struct repro_finding *f, struct arena *arena)
{
    if (f->margin_least < f->margin)
        return arena_printf(arena, "%.3g to %.3g", 100 * f->margin_least, 100 * f->margin);
    return arena_printf(arena, "%.3g", 100 * f->margin);
}

char *repro_note_line(const struct repro_finding *f, const char *machine, const char *version,
                      int64_t now, struct arena *arena)
{
    char when[32];
    time_t seconds = (time_t)now;
    struct tm parts;
    size_t within = 0;
    gmtime_r(&seconds, &parts);
    strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%SZ", &parts);
    for (size_t i = 0; i < f->metric_count; i++)
        within += f->metrics[i].state == REPRO_WITHIN;
    const char *margin = f->margin_least < f->margin
                             ? arena_printf(arena, "%.3g..%.3g", f->margin_least, f->margin)
                             : arena_printf(arena, "%.3g", f->margin);
    return arena_printf(
        arena,
        "%s %s out=%zu/%zu proofs=%zu/%zu metrics=%zu/%zu margin=%s environment=%s machine=%s "
        "spak=%s",
        when,
        f->verdict == REPRO_NOT_COMPARABLE ? "NOT-COMPARABLE" : repro_verdict_text(f->verdict),
        f->same, f->nodes, f->verified, f->proofs, within, f->metric_count, margin,
        f->environment.len ? arena_printf(arena, "differs:%zu", f->environment.len) : "same",
        machine, version);
}
