#include "trace_parts.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

extern char **environ;

/* A signature is made by the program that git itself would run, called in the way git calls it: so
 * wrappers, agents, cards and passphrases work as they do for `git commit -S`. */
struct signing {
    git_config *config;
    struct arena arena;
    const char *format;
    const char *folder; /* of its own: payload, signature, words */
    const char *payload, *signature, *words;
    const char *key;
    bool literal; /* the key is a file that holds a public key; an agent has the other half */
};

static const char *setting(const struct signing *s, const char *key)
{
    const char *value = NULL;
    return git_config_get_string(&value, s->config, key) == 0 && *value ? value : NULL;
}

/* A path as git reads one: ~ is the user's home. */
static const char *path_setting(struct signing *s, const char *key)
{
    git_buf path = {0};
    const char *text = NULL;
    if (git_config_get_path(&path, s->config, key) == 0)
        text = arena_strdup(&s->arena, path.ptr);
    git_buf_dispose(&path);
    return text;
}

static int no_signature(struct err *e, const char *why)
{
    err_set(e, ERR_trace_unsigned, "the trace is not signed: %s", why);
    return err_hint(e, "git itself would have refused the commit; a run cannot be had again, so "
                       "its trace is kept. Sign it later with a tag: git tag -s NAME COMMIT");
}

static const char *find_program(struct signing *s)
{
    static const struct {
        const char *format, *program;
    } defaults[] = {{"openpgp", "gpg"}, {"x509", "gpgsm"}, {"ssh", "ssh-keygen"}};
    const char *program = path_setting(s, arena_printf(&s->arena, "gpg.%s.program", s->format));
    if (!program && strcmp(s->format, "openpgp") == 0)
        program = path_setting(s, "gpg.program");
    for (size_t i = 0; i < ARRAY_LEN(defaults) && !program; i++)
        if (strcmp(s->format, defaults[i].format) == 0)
            program = defaults[i].program;
    return program;
}

static bool is_literal(const char *key)
{
    return text_starts_with(key, "key::") || text_starts_with(key, "ssh-");
}

/* The first line of what gpg.ssh.defaultKeyCommand prints. */
static const char *default_key(struct signing *s, struct err *e)
{
    const char *command = setting(s, "gpg.ssh.defaultKeyCommand");
    const char *const argv[] = {"/bin/sh", "-c", command, NULL};
    struct buf text = {0};
    struct os_exit status;
    struct str rest, line = {"", 0};
    const char *key = NULL;
    if (!command)
        no_signature(e, "git's user.signingKey names no key");
    else if (os_capture(argv, false, &text, &status, e) == 0) {
        rest = (struct str){buf_text(&text), text.len};
        str_split(&rest, '\n', &line);
        key = arena_strndup(&s->arena, line.ptr, line.len);
        if (status.code != 0 || !is_literal(key))
            key = NULL, no_signature(e, "gpg.ssh.defaultKeyCommand gives no key");
    }
    buf_release(&text);
    return key;
}

/* ssh-keygen wants a file, also of a key that the configuration spells out. */
static int find_ssh_key(struct signing *s, struct err *e)
{
    const char *key = setting(s, "user.signingKey");
    if (!key && !(key = default_key(s, e)))
        return -1;
    s->literal = is_literal(key);
    if (!s->literal) {
        s->key = path_setting(s, "user.signingKey");
        return 0;
    }
    key += text_starts_with(key, "key::") ? strlen("key::") : 0;
    s->key = arena_printf(&s->arena, "%s/key.pub", s->folder);
    return os_write(s->key, key, strlen(key), 0600, e);
}

static int find_key(struct signing *s, const git_signature *who, struct err *e)
{
    if (strcmp(s->format, "ssh") == 0)
        return find_ssh_key(s, e);
    s->key = setting(s, "user.signingKey");
    if (!s->key)
        s->key = arena_printf(&s->arena, "%s <%s>", who->name, who->email);
    return 0;
}

static int open_to(const char *path, struct err *e)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    return fd < 0 ? err_errno(e, ERR_os, "cannot write %s", path) : fd;
}

static void close_all(const int *fds, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (fds[i] >= 0)
            close(fds[i]);
}

/* Runs it on the user's terminal, where it may ask for a passphrase. */
static int run_program(struct signing *s, const char *const *argv, struct os_exit *status,
                       struct err *e)
{
    bool ssh = strcmp(s->format, "ssh") == 0;
    struct os_spawn how = {.argv = argv, .env = (const char *const *)environ, .same_group = true};
    struct err why = {0};
    int pidfd = -1, rc = -1;
    pid_t pid;
    how.stdin_fd = how.stdout_fd = how.stderr_fd = -1;
    if ((how.stderr_fd = open_to(s->words, e)) < 0 ||
        (!ssh && (os_open_read(s->payload, &how.stdin_fd, e) ||
                  (how.stdout_fd = open_to(s->signature, e)) < 0)))
        goto out;
    rc = os_spawn(&how, &pid, &pidfd, &why);
    if (rc)
        rc = no_signature(e, why.message);
    else {
        close(pidfd);
        rc = os_wait(pid, status, e);
    }
    err_release(&why);
out:
    close_all((int[]){how.stdin_fd, how.stdout_fd, how.stderr_fd}, 3);
    return rc;
}

/* gpg's own lines for programs are left out of what is said to people. */
static int failed(struct signing *s, const char *program, struct err *e)
{
    struct buf words = {0};
    struct str rest, line, last = {"it says nothing", strlen("it says nothing")};
    struct err ignored = {0};
    if (os_read(s->words, &words, &ignored))
        err_release(&ignored);
    rest = (struct str){buf_text(&words), words.len};
    while (str_split(&rest, '\n', &line))
        if (str_trim(line).len && !text_starts_with(line.ptr, "[GNUPG:]"))
            last = str_trim(line);
    no_signature(e, arena_printf(&s->arena, "%s: %.*s", program,
                                 (int)(last.len > 400 ? 400 : last.len), last.ptr));
    buf_release(&words);
    return -1;
}

/* Without carriage returns, and without the last line's end: the commit's header adds its own. */
static void add_signature(const struct buf *text, struct buf *out)
{
    struct str all = str_trim((struct str){buf_text(text), text->len});
    for (size_t i = 0; i < all.len; i++)
        if (all.ptr[i] != '\r')
            buf_addch(out, all.ptr[i]);
}

static int make_signature(struct signing *s, struct buf *out, struct err *e)
{
    const char *name = find_program(s);
    if (!name)
        return no_signature(e, arena_printf(&s->arena, "git's gpg.format is \"%s\"", s->format));
    const char *program = strchr(name, '/') ? name : os_which(&s->arena, name);
    if (!program)
        return no_signature(e, arena_printf(&s->arena, "there is no program %s", name));
    const char *const gpg[] = {program, "--status-fd=2", "-bsau", s->key, NULL};
    const char *const ssh[] = {program,
                               "-Y",
                               "sign",
                               "-n",
                               "git",
                               "-f",
                               s->key,
                               s->literal ? "-U" : s->payload,
                               s->literal ? s->payload : NULL,
                               NULL};
    struct buf text = {0};
    struct os_exit status = {0};
    struct err why = {0};
    int rc = run_program(s, strcmp(s->format, "ssh") ? gpg : ssh, &status, e);
    if (rc == 0 && (status.code != 0 || os_read(s->signature, &text, &why) || text.len == 0))
        rc = failed(s, name, e);
    if (rc == 0)
        add_signature(&text, out);
    err_release(&why);
    buf_release(&text);
    return rc;
}

static int sign_in(struct signing *s, const git_signature *who, struct str content, struct buf *out,
                   struct err *e)
{
    const char *tmp = getenv("TMPDIR");
    struct err ignored = {0};
    char *folder =
        arena_printf(&s->arena, "%s/spak-sign-XXXXXX", tmp && *tmp == '/' ? tmp : "/tmp");
    if (!mkdtemp(folder))
        return err_errno(e, ERR_os, "cannot make a folder in %s", os_dirname(&s->arena, folder));
    s->folder = folder;
    s->payload = arena_printf(&s->arena, "%s/commit", folder);
    s->signature = arena_printf(&s->arena, "%s/commit.sig", folder);
    s->words = arena_printf(&s->arena, "%s/words", folder);
    int rc = os_write(s->payload, content.ptr, content.len, 0600, e);
    if (rc == 0)
        rc = find_key(s, who, e);
    if (rc == 0)
        rc = make_signature(s, out, e);
    if (os_remove(folder, &ignored))
        err_release(&ignored);
    return rc;
}

int trace_sign(git_repository *repo, const git_signature *who, struct str content, struct buf *out,
               struct err *e)
{
    struct signing s = {0};
    int wanted = 0, rc = 0;
    if (git_repository_config_snapshot(&s.config, repo))
        return trace_git_error(e, ERR_trace_repository, "cannot read git's configuration");
    if (git_config_get_bool(&wanted, s.config, "commit.gpgSign") == 0 && wanted) {
        s.format = setting(&s, "gpg.format");
        s.format = s.format ? s.format : "openpgp";
        rc = sign_in(&s, who, content, out, e);
    }
    git_config_free(s.config);
    arena_release(&s.arena);
    return rc;
}

int trace_keys(struct trace *t, struct arena *arena, struct trace_keys *out, struct err *e)
{
    struct signing s = {0};
    *out = (struct trace_keys){0};
    if (git_repository_config_snapshot(&s.config, t->repo))
        return trace_git_error(e, ERR_trace_repository, "cannot read git's configuration");
    const char *format = setting(&s, "gpg.format");
    const char *own = setting(&s, "user.signingKey");
    if (own && format && strcmp(format, "ssh") == 0)
        out->own = arena_strdup(arena, is_literal(own) ? own : path_setting(&s, "user.signingKey"));
    const char *allowed = path_setting(&s, "gpg.ssh.allowedSignersFile");
    out->allowed = allowed ? arena_strdup(arena, allowed) : NULL;
    git_config_free(s.config);
    arena_release(&s.arena);
    return 0;
}

static bool has_signature(struct trace *t, const char *commit)
{
    git_buf signature = {0}, signed_data = {0};
    git_oid id;
    bool has = git_oid_fromstr(&id, commit) == 0 &&
               git_commit_extract_signature(&signature, &signed_data, t->repo, &id, NULL) == 0;
    git_buf_dispose(&signature);
    git_buf_dispose(&signed_data);
    return has;
}

int trace_signature(struct trace *t, const char *commit, struct arena *arena,
                    enum trace_signature *out, const char **words, struct err *e)
{
    struct buf said = {0};
    struct os_exit status = {0};
    const char *git = os_which(arena, "git");
    *out = TRACE_UNSIGNED;
    *words = "";
    if (!has_signature(t, commit))
        return 0;
    if (!git) {
        err_set(e, ERR_signature, "the commit is signed, and git is not here to check it");
        return err_hint(e, "install git");
    }
    const char *const argv[] = {git,    "--git-dir", git_repository_path(t->repo), "verify-commit",
                                commit, NULL};
    int rc = os_capture(argv, true, &said, &status, e);
    struct str text = str_trim((struct str){buf_text(&said), said.len}), line = {"", 0};
    str_split(&text, '\n', &line);
    *words = arena_strndup(arena, line.ptr, line.len);
    *out = status.code == 0 ? TRACE_SIGNED : TRACE_BAD_SIGNATURE;
    buf_release(&said);
    return rc;
}
