#include "trace_world.h"

static void a_dirty_tree_is_a_snapshot(void **state)
{
    struct world *w = *state;
    repository(w);
    sh(w, "cd p && mkdir -p deep/er && echo gone >gone.c && echo keep >deep/er/keep && echo go "
          ">deep/er/go && "
          "git add -A && git commit -qm more");
    put("p/hello.c", "int main(void) { return 1; }\n");
    put("p/new/file.c", "nobody used it\n");
    put("p/id_ed25519", "a secret\n");
    put("p/staged.c", "staged\n");
    put("p/out/made", "an output\n");
    put("p/out/.spak/x", "state\n");
    sh(w, "cd p && ln -s hello.c link && echo run >run.sh && chmod +x run.sh && "
          "git add staged.c link run.sh && rm gone.c deep/er/go");
    const char *index = sh(w, "sha256sum p/.git/index");
    const char *status = sh(w, "git -C p status --porcelain");
    full_run(w);
    assert_text(sh(w, "sha256sum p/.git/index"), index);
    assert_text(sh(w, "git -C p status --porcelain"), status);
    assert_text(
        sh(w, "git -C p ls-tree -r spak/hello src | awk '{print $1, $4}'"),
        "100644 src/.gitignore\n100644 src/deep/er/keep\n100644 src/hello.c\n100644 src/hello.h\n"
        "120000 src/link\n100755 src/run.sh\n100644 src/spakfile\n100644 src/staged.c");
    assert_text(sh(w, "git -C p show spak/hello:src/hello.c"), "int main(void) { return 1; }");
    assert_text(sh(w, "git -C p show spak/hello:src/link"), "hello.c");
    assert_text(
        sh(w, "git -C p log -1 --format='%%(trailers:key=Spak-Source-Dirty,valueonly,separator=)' "
              "spak/hello"),
        "yes");
    assert_sound(w, "p");
}

static void a_file_that_no_node_uses_does_not_make_it_dirty(void **state)
{
    struct world *w = *state;
    repository(w);
    put("p/scratch.txt", "mine\n");
    full_run(w);
    assert_text(sh(w, "git -C p rev-parse spak/hello:src"),
                sh(w, "git -C p rev-parse HEAD^{tree}"));
    assert_text(
        sh(w, "git -C p log -1 --format='%%(trailers:key=Spak-Source-Dirty,valueonly,separator=)' "
              "spak/hello"),
        "no");
}

static void touching_a_file_does_not_make_it_dirty(void **state)
{
    struct world *w = *state;
    repository(w);
    full_run(w);
    sh(w, "touch -d '2030-01-01' p/hello.c");
    full_run(w);
    assert_false(w->result.committed);
}

static void an_ignored_source_is_kept_when_used(void **state)
{
    struct world *w = *state;
    repository(w);
    sh(w, "cd p && echo hello.h >>.gitignore && git rm -q --cached hello.h && git add -A && git "
          "commit -qm ignore");
    full_run(w);
    assert_text(sh(w, "git -C p show spak/hello:src/hello.h"), "#define HELLO 1");
}

static void an_untracked_source_is_kept_when_used(void **state)
{
    struct world *w = *state;
    repository(w);
    sh(w, "cd p && git rm -q --cached hello.h && git commit -qm forgotten");
    put("p/hello.key", "a secret\n");
    full_run(w);
    assert_text(sh(w, "git -C p show spak/hello:src/hello.h"), "#define HELLO 1");
    assert_lacks(sh(w, "git -C p ls-tree -r --name-only spak/hello"), "key");
}

/* A pattern of the spakfile reads names; it makes no file a source that no node used. */
static void a_pattern_makes_no_stray_file_a_source(void **state)
{
    struct world *w = *state;
    repository(w);
    w->with_glob = true;
    put("p/hello.c", "changed\n");
    put("p/.env", "TOKEN=secret\n");
    full_run(w);
    assert_text(sh(w, "git -C p show spak/hello:src/hello.c"), "changed");
    assert_lacks(sh(w, "git -C p ls-tree -r --name-only spak/hello"), ".env");
}

static void line_endings_are_as_git_would_store_them(void **state)
{
    struct world *w = *state;
    repository(w);
    sh(w, "cd p && echo '*.c text' >.gitattributes && git add -A && git commit -qm attributes");
    put("p/hello.c", "one\r\ntwo\r\n");
    full_run(w);
    assert_text(sh(w, "git -C p show spak/hello:src/hello.c | od -c | head -1"),
                sh(w, "printf 'one\\ntwo\\n' | od -c | head -1"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_dirty_tree_is_a_snapshot),
        T(a_file_that_no_node_uses_does_not_make_it_dirty),
        T(touching_a_file_does_not_make_it_dirty),
        T(an_ignored_source_is_kept_when_used),
        T(an_untracked_source_is_kept_when_used),
        T(a_pattern_makes_no_stray_file_a_source),
        T(line_endings_are_as_git_would_store_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
