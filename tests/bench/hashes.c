/* hashes LIST THREADS: reads the files that LIST names and takes the SHA-256 of each, on so many
 * threads, as fast as the digest library alone can. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { FILES_AT_MOST = 1 << 16, THREADS_AT_MOST = 64, PIECE_BYTES = 128 << 10 };

struct work {
    char *paths[FILES_AT_MOST];
    size_t count;
    atomic_size_t next;
    atomic_size_t failed;
};

static int hash_one(EVP_MD_CTX *ctx, const char *path, unsigned char *piece)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    ssize_t n = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || !EVP_DigestInit_ex(ctx, EVP_sha256(), NULL))
        return -1;
    while ((n = read(fd, piece, PIECE_BYTES)) > 0)
        EVP_DigestUpdate(ctx, piece, (size_t)n);
    close(fd);
    return n < 0 || !EVP_DigestFinal_ex(ctx, digest, NULL) ? -1 : 0;
}

static void *hash_files(void *arg)
{
    struct work *w = arg;
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    unsigned char *piece = malloc(PIECE_BYTES);
    for (size_t i; (i = atomic_fetch_add(&w->next, 1)) < w->count;)
        if (!ctx || !piece || hash_one(ctx, w->paths[i], piece) < 0)
            atomic_fetch_add(&w->failed, 1);
    EVP_MD_CTX_free(ctx);
    free(piece);
    return NULL;
}

int main(int argc, char **argv)
{
    static struct work w;
    pthread_t threads[THREADS_AT_MOST];
    int count = argc == 3 ? atoi(argv[2]) : 0;
    FILE *list = argc == 3 ? fopen(argv[1], "re") : NULL;
    char line[4096];
    if (!list || count < 1 || count > THREADS_AT_MOST)
        return 2;
    while (w.count < FILES_AT_MOST && fgets(line, sizeof line, list)) {
        line[strcspn(line, "\n")] = '\0';
        w.paths[w.count++] = strdup(line);
    }
    fclose(list);
    for (int i = 0; i < count; i++)
        pthread_create(&threads[i], NULL, hash_files, &w);
    for (int i = 0; i < count; i++)
        pthread_join(threads[i], NULL);
    return atomic_load(&w.failed) > 0;
}
