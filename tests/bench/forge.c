/* forge < COMMANDS > .ninja_log: the log that ninja 1.5 to 1.11 would have written had it run the
 * commands, one a line: "./step OUT IN...". For graphs that take it too long to build. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* MurmurHash64A, as ninja takes it of a command. */
static uint64_t hash(const char *bytes, size_t len)
{
    const uint64_t m = 0xc6a4a7935bd1e995u;
    uint64_t h = 0xDECAFBADDECAFBADu ^ (len * m), k = 0;
    for (; len >= 8; bytes += 8, len -= 8) {
        memcpy(&k, bytes, 8);
        k *= m;
        k ^= k >> 47;
        h = (h ^ k * m) * m;
    }
    for (size_t i = len; i > 0; i--)
        h ^= (uint64_t)(unsigned char)bytes[i - 1] << (8 * (i - 1));
    if (len)
        h *= m;
    h = (h ^ h >> 47) * m;
    return h ^ h >> 47;
}

int main(void)
{
    char *line = NULL, path[4096];
    size_t room = 0;
    ssize_t len;
    printf("# ninja log v5\n");
    while ((len = getline(&line, &room, stdin)) > 0) {
        struct stat st;
        line[--len] = '\0';
        if (sscanf(line, "%*s %4095s", path) != 1 || stat(path, &st) < 0)
            return 1;
        printf("0\t1\t%lld\t%s\t%llx\n", st.st_mtim.tv_sec * 1000000000LL + st.st_mtim.tv_nsec,
               path, (unsigned long long)hash(line, (size_t)len));
    }
    free(line);
    return 0;
}
