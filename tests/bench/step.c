/* step OUT IN...: reads every input and writes one line that depends on all of their bytes. Small
 * and linked statically, so that what is measured is the build tool. */
#include <fcntl.h>
#include <stdint.h>
#include <unistd.h>

static int add(const char *path, uint64_t *sum)
{
    unsigned char bytes[4096];
    ssize_t n;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    while ((n = read(fd, bytes, sizeof bytes)) > 0)
        for (ssize_t i = 0; i < n; i++)
            *sum = (*sum ^ bytes[i]) * 0x100000001b3u;
    close(fd);
    return n < 0 ? -1 : 0;
}

int main(int argc, char **argv)
{
    static const char digits[] = "0123456789abcdef";
    uint64_t sum = 0xcbf29ce484222325u;
    char line[17];
    int fd;
    if (argc < 2)
        return 2;
    for (int i = 2; i < argc; i++)
        if (add(argv[i], &sum) < 0)
            return 1;
    for (int i = 0; i < 16; i++)
        line[i] = digits[sum >> (60 - 4 * i) & 15];
    line[16] = '\n';
    fd = open(argv[1], O_WRONLY | O_CREAT | O_TRUNC, 0644);
    return fd < 0 || write(fd, line, sizeof line) != sizeof line;
}
