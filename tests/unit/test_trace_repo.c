#include "trace_world.h"

static void outside_a_repository_it_makes_its_own(void **state)
{
    struct world *w = *state;
    write_sources("p");
    put("p/unused.c", "unused\n");
    full_run(w);
    assert_text(w->result.where, arena_printf(&w->arena, "%s/p/out/.spak/trace.git", w->top));
    assert_text(sh(w, "git -C p/out/.spak/trace.git ls-tree -r --name-only spak/hello src"),
                "src/hello.c\nsrc/hello.h\nsrc/spakfile");
    assert_text(sh(w, "git -C p/out/.spak/trace.git log --format='%%an %%ae' spak/hello"),
                "spak spak@localhost");
    full_run(w);
    assert_false(w->result.committed);
    put("p/hello.h", "#define HELLO 2\n");
    full_run(w);
    assert_true(w->result.committed);
    assert_commits(w, "p/out/.spak/trace.git", "2");
    assert_sound(w, "p/out/.spak/trace.git");
}

static void an_ignored_folder_of_a_repository_is_outside(void **state)
{
    struct world *w = *state;
    repository(w);
    const char *root = arena_printf(&w->arena, "%s/p/out/scratch", w->top);
    write_sources("p/out/scratch");
    begin_run_at(w, root);
    commit_run(w);
    assert_text(w->result.where, arena_printf(&w->arena, "%s/out/.spak/trace.git", root));
    assert_text(sh(w, "git -C p for-each-ref --format='%%(refname)'"), "refs/heads/main");
}

static void a_project_in_a_folder_of_a_larger_repository(void **state)
{
    struct world *w = *state;
    repository(w);
    write_sources("p/sub/project");
    sh(w, "cd p && git add -A && git commit -qm sub");
    put("p/elsewhere.c", "not ours\n");
    sh(w, "cd p && echo changed >hello.c");
    const char *root = arena_printf(&w->arena, "%s/p/sub/project", w->top);
    begin_run_at(w, root);
    commit_run(w);
    assert_text(sh(w, "git -C p rev-parse spak/hello:src"),
                sh(w, "git -C p rev-parse HEAD:sub/project"));
    put("p/sub/project/hello.c", "changed\n");
    begin_run_at(w, root);
    commit_run(w);
    assert_text(sh(w, "git -C p diff --name-only spak/hello~ spak/hello -- src"), "src/hello.c");
    assert_lacks(sh(w, "git -C p ls-tree -r --name-only spak/hello src"), "elsewhere");
}

static void linked_worktree_and_detached_head(void **state)
{
    struct world *w = *state;
    repository(w);
    sh(w, "cd p && git worktree add -q --detach ../tree 2>&1");
    begin_run_at(w, arena_printf(&w->arena, "%s/tree", w->top));
    commit_run(w);
    assert_true(w->result.committed);
    assert_text(sh(w, "git -C p rev-parse spak/hello"), w->result.commit);
    assert_text(sh(w, "git -C p rev-parse spak/hello:src"),
                sh(w, "git -C p rev-parse HEAD^{tree}"));
    assert_text(sh(w, "git -C tree symbolic-ref -q HEAD || echo detached"), "detached");
    assert_text(sh(w, "git -C tree status --porcelain"), "");
}

static void shallow_clone(void **state)
{
    struct world *w = *state;
    repository(w);
    sh(w, "cd p && echo 2 >two && git add -A && git commit -qm two && cd .. && "
          "git clone -q --depth 1 file://$PWD/p shallow 2>&1");
    begin_run_at(w, arena_printf(&w->arena, "%s/shallow", w->top));
    commit_run(w);
    assert_true(w->result.committed);
    assert_text(sh(w, "git -C shallow log --format='%%an "
                      "%%(trailers:key=Spak-Source,valueonly,separator=)' spak/hello"),
                arena_printf(&w->arena, "spak %s", sh(w, "git -C p rev-parse HEAD")));
    assert_sound(w, "shallow");
}

static void empty_repository(void **state)
{
    struct world *w = *state;
    write_sources("p");
    sh(w, "cd p && git init -q");
    full_run(w);
    assert_true(w->result.committed);
    assert_text(sh(w, "git -C p ls-tree -r --name-only spak/hello src"),
                "src/hello.c\nsrc/hello.h\nsrc/spakfile");
    assert_holds(sh(w, "git -C p log -1 --format=%%B spak/hello"),
                 "Spak-Source: none\nSpak-Source-Dirty: yes\n");
}

static void a_bare_repository_named_by_git_dir(void **state)
{
    struct world *w = *state;
    repository(w);
    sh(w, "git clone -q --bare p bare.git 2>&1 && rm -rf p/.git");
    setenv("GIT_DIR", arena_printf(&w->arena, "%s/bare.git", w->top), 1);
    full_run(w);
    unsetenv("GIT_DIR");
    assert_true(w->result.committed);
    assert_text(sh(w, "git -C bare.git rev-parse spak/hello:src"),
                sh(w, "git -C bare.git rev-parse HEAD^{tree}"));
    assert_text(sh(w, "test -e p/.git || echo none"), "none");
    assert_text(sh(w, "test -e bare.git/index || echo none"), "none");
    assert_text(sh(w, "git -C bare.git config core.bare"), "true");
}

static void a_submodule_is_a_repository_and_a_link(void **state)
{
    struct world *w = *state;
    repository(w);
    sh(w,
       "git -c init.defaultBranch=main init -q lib && cd lib && echo lib >lib.c && git add -A && "
       "git -c user.name=L -c user.email=l@l commit -qm lib && cd ../p && "
       "git -c protocol.file.allow=always submodule add -q ../lib lib 2>&1 && git commit -qm "
       "submodule");
    full_run(w);
    assert_text(sh(w, "git -C p rev-parse spak/hello:src"),
                sh(w, "git -C p rev-parse HEAD^{tree}"));
    sh(w, "cd p/lib && echo more >>lib.c && git -c user.name=L -c user.email=l@l commit -qam more");
    full_run(w);
    assert_true(w->result.committed);
    assert_text(sh(w, "git -C p ls-tree spak/hello:src lib | cut -c1-53"),
                arena_printf(&w->arena, "160000 commit %s",
                             sh(w, "git -C p/lib rev-parse HEAD | cut -c1-39")));
    write_sources("p/lib");
    begin_run_at(w, arena_printf(&w->arena, "%s/p/lib", w->top));
    commit_run(w);
    assert_text(sh(w, "git -C p/lib rev-parse spak/hello"), w->result.commit);
    assert_sound(w, "p");
}

static void trace_to_elsewhere_or_off(void **state)
{
    struct world *w = *state;
    repository(w);
    put("p/deep/file", "deep\n");
    sh(w, "cd p && git add -A && git commit -qm deep");
    w->trace_to = "../traces/here.git";
    full_run(w);
    assert_true(w->result.committed);
    assert_text(sh(w, "git -C p for-each-ref --format='%%(refname)'"), "refs/heads/main");
    assert_text(sh(w, "git -C traces/here.git rev-parse spak/hello:src"),
                sh(w, "git -C p rev-parse HEAD^{tree}"));
    assert_text(sh(w, "git -C traces/here.git show spak/hello:src/deep/file"), "deep");
    put("p/deep/file", "deeper\n");
    full_run(w);
    assert_text(sh(w, "git -C traces/here.git diff --name-only spak/hello~ spak/hello"),
                "src/deep/file");
    assert_sound(w, "traces/here.git");
    w->trace_to = "off";
    full_run(w);
    assert_false(w->result.committed);
    assert_commits(w, "traces/here.git", "2");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(outside_a_repository_it_makes_its_own),
        T(an_ignored_folder_of_a_repository_is_outside),
        T(a_project_in_a_folder_of_a_larger_repository),
        T(linked_worktree_and_detached_head),
        T(shallow_clone),
        T(empty_repository),
        T(a_bare_repository_named_by_git_dir),
        T(a_submodule_is_a_repository_and_a_link),
        T(trace_to_elsewhere_or_off),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
