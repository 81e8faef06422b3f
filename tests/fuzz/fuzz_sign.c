#include "fuzz.h"

#include "sign.h"
#include <string.h>

static const char *const seeds[] = {
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBtMZ+Zk2ukCTlz8UbB0B4tE9m8pZ1G4b3rC2N7N0xYd "
    "somebody@example.org\n",
    "-----BEGIN OPENSSH PRIVATE KEY-----\n"
    "b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAMwAAAAtzc2gtZW\n"
    "QyNTUxOQAAACCzPq7zfqLffKoBDe/eo04kH2XxtSmk9D7RQyf1xUqrYgAAAJgAIAxdACAM\n"
    "XQAAAAtzc2gtZWQyNTUxOQAAACCzPq7zfqLffKoBDe/eo04kH2XxtSmk9D7RQyf1xUqrYg\n"
    "AAAEC2BsIi0QwW2uFscKTUUXNHLsYX4FxlaSDSblbAj7WR7bM+rvN+ot98qgEN796jTiQf\n"
    "ZfG1KaT0PtFDJ/XFSqtiAAAAEHVzZXJAZXhhbXBsZS5jb20BAgMEBQ==\n"
    "-----END OPENSSH PRIVATE KEY-----\n",
    "-----BEGIN PUBLIC KEY-----\n"
    "MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PUBLIC KEY-----\n",
    "-----BEGIN PRIVATE KEY-----\n"
    "MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n-----END PRIVATE KEY-----\n",
    "cert-authority,namespaces=\"git\" ssh-ed25519 AAAA== x\n",
    NULL,
};

static void unbase64(const char *bytes, size_t len)
{
    struct buf raw = {0}, text = {0}, again = {0};

    if (sign_unbase64((struct str){bytes, len}, &raw)) {
        sign_base64(raw.ptr, raw.len, &text);
        fuzz_expect(sign_unbase64((struct str){buf_text(&text), text.len}, &again) &&
                        again.len == raw.len &&
                        memcmp(buf_text(&again), buf_text(&raw), raw.len) == 0,
                    "base64 does not read back");
    }
    buf_release(&raw);
    buf_release(&text);
    buf_release(&again);
}

static void one(const char *bytes, size_t len)
{
    const char *path = fuzz_file(bytes, len);
    struct sign_key key;
    struct sign_keys keys = {0};
    struct err e = {0};

    if (sign_load(path, &key, &e) < 0)
        fuzz_refused(&e);
    else
        sign_forget(&key);
    if (sign_load_public(path, &keys, &e) < 0)
        fuzz_refused(&e);
    sign_parse_public((struct str){bytes, len}, &keys);
    sign_keys_release(&keys);
    unbase64(bytes, len);
}

const struct fuzz_target fuzz_target = {"sign", seeds, one, 3000};
