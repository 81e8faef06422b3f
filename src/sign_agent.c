#include "sign.h"
#include "sign_parts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* The protocol of ssh-agent: a length, a kind, and what the kind has. */
enum { LIST_KEYS = 11, KEYS = 12, SIGN = 13, SIGNATURE = 14 };
#define ANSWER_MAX_BYTES (1u << 20)

static int no_agent(struct err *e, const char *why)
{
    err_set(e, ERR_signature, "the ssh-agent %s", why);
    return err_hint(e, "start one and give it a key: eval $(ssh-agent); ssh-add FILE");
}

static int dial(struct err *e)
{
    const char *path = getenv("SSH_AUTH_SOCK");
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (!path || !*path)
        return no_agent(e, "is not there: SSH_AUTH_SOCK is not set");
    if (strlen(path) >= sizeof(address.sun_path))
        return no_agent(e, "has a socket whose path is too long");
    strcpy(address.sun_path, path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
        return fd;
    int rc = err_errno(e, ERR_signature, "cannot reach the ssh-agent at %s", path);
    if (fd >= 0)
        close(fd);
    return rc;
}

static bool read_all(int fd, void *bytes, size_t len)
{
    for (size_t got = 0; got < len;) {
        ssize_t n = recv(fd, (char *)bytes + got, len - got, 0);
        if (n == 0 || (n < 0 && errno != EINTR))
            return false;
        got += n > 0 ? (size_t)n : 0;
    }
    return true;
}

static bool write_all(int fd, const struct buf *bytes)
{
    for (size_t done = 0; done < bytes->len;) {
        ssize_t n = send(fd, bytes->ptr + done, bytes->len - done, MSG_NOSIGNAL);
        if (n < 0 && errno != EINTR)
            return false;
        done += n > 0 ? (size_t)n : 0;
    }
    return true;
}

/* One question and its answer; `kind` is what the answer must be. */
static int ask(int fd, const struct buf *question, int kind, struct buf *answer, struct err *e)
{
    uint8_t head[4] = {0};
    struct buf framed = {0};
    sign_put_number(&framed, (uint32_t)question->len);
    buf_add(&framed, question->ptr, question->len);
    bool sent = write_all(fd, &framed) && read_all(fd, head, sizeof(head));
    buf_release(&framed);
    size_t len = (size_t)head[0] << 24 | (size_t)head[1] << 16 | (size_t)head[2] << 8 | head[3];
    if (!sent || len == 0 || len > ANSWER_MAX_BYTES)
        return no_agent(e, "gave no answer");
    if (!read_all(fd, buf_reserve(answer, len), len))
        return no_agent(e, "broke off");
    answer->len += len;
    answer->ptr[answer->len] = '\0';
    if (answer->ptr[0] != kind)
        return no_agent(e, kind == SIGNATURE ? "refuses to sign: it does not have this key, or its "
                                               "owner said no"
                                             : "refuses to say which keys it has");
    return 0;
}

static struct sign_fields fields_of(const struct buf *answer)
{
    return (struct sign_fields){(const uint8_t *)answer->ptr + 1, answer->len - 1, false};
}

/* The first Ed25519 key that it has. */
static int first_key(int fd, uint8_t out[SIGN_KEY_BYTES], struct err *e)
{
    struct buf question = {0}, answer = {0};
    bool found = false;
    buf_addch(&question, LIST_KEYS);
    int rc = ask(fd, &question, KEYS, &answer, e);
    if (rc == 0) {
        struct sign_fields f = fields_of(&answer);
        for (uint32_t left = sign_take_number(&f); left && !found && !f.bad; left--) {
            found = sign_take_key(sign_take_text(&f), out);
            sign_take_text(&f); /* its comment */
        }
        rc = found ? 0 : no_agent(e, "has no Ed25519 key");
    }
    buf_release(&question);
    buf_release(&answer);
    return rc;
}

int sign_use_agent(const uint8_t *public_key, struct sign_key *out, struct err *e)
{
    *out = (struct sign_key){.agent = true};
    if (public_key) {
        memcpy(out->public_key, public_key, SIGN_KEY_BYTES);
        return 0;
    }
    int fd = dial(e);
    if (fd < 0)
        return -1;
    int rc = first_key(fd, out->public_key, e);
    close(fd);
    return rc;
}

static bool take_signature(const struct buf *answer, uint8_t out[SIGN_BYTES])
{
    struct sign_fields f = fields_of(answer);
    struct str blob = sign_take_text(&f);
    struct sign_fields inner = {(const uint8_t *)blob.ptr, blob.len, f.bad};
    struct str algorithm = sign_take_text(&inner), raw = sign_take_text(&inner);
    if (inner.bad || !str_equal(algorithm, str_of("ssh-ed25519")) || raw.len != SIGN_BYTES)
        return false;
    memcpy(out, raw.ptr, SIGN_BYTES);
    return true;
}

int sign_by_agent(const uint8_t public_key[SIGN_KEY_BYTES], const void *bytes, size_t len,
                  uint8_t out[SIGN_BYTES], struct err *e)
{
    struct buf question = {0}, answer = {0}, key = {0};
    int fd = dial(e), rc = fd < 0 ? -1 : 0;
    sign_put_key(&key, public_key);
    buf_addch(&question, SIGN);
    sign_put_number(&question, (uint32_t)key.len);
    buf_add(&question, key.ptr, key.len);
    sign_put_number(&question, (uint32_t)len);
    buf_add(&question, bytes, len);
    sign_put_number(&question, 0); /* no flags */
    if (rc == 0)
        rc = ask(fd, &question, SIGNATURE, &answer, e);
    if (rc == 0 && !take_signature(&answer, out))
        rc = no_agent(e, "signs in another way than asked");
    if (fd >= 0)
        close(fd);
    buf_release(&question);
    buf_release(&answer);
    buf_release(&key);
    return rc;
}
