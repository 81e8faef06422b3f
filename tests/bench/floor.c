/* floor LIST JOBS: only runs the commands that LIST names, one a line, so many at a time, and waits
 * for all of them where a line is empty. What no build tool that runs every command can beat. */
#define _GNU_SOURCE
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

enum { WORDS_AT_MOST = 4096 };

struct pool {
    int running, jobs;
    size_t ran, failed;
};

static void wait_until(struct pool *p, int running)
{
    int status;
    for (; p->running > running && waitpid(-1, &status, 0) > 0; p->running--)
        p->failed += status != 0;
}

static void start(struct pool *p, char *line)
{
    static char *const no_env[] = {NULL};
    char *words[WORDS_AT_MOST + 1];
    size_t count = 0;
    pid_t pid;
    for (char *word = strtok(line, " \n"); word && count < WORDS_AT_MOST;
         word = strtok(NULL, " \n"))
        words[count++] = word;
    words[count] = NULL;
    wait_until(p, count ? p->jobs - 1 : 0);
    if (count == 0)
        return;
    p->ran++;
    if (posix_spawn(&pid, words[0], NULL, NULL, words, no_env) == 0)
        p->running++;
    else
        p->failed++;
}

int main(int argc, char **argv)
{
    struct pool p = {.jobs = argc == 3 ? atoi(argv[2]) : 0};
    FILE *list = argc == 3 ? fopen(argv[1], "re") : NULL;
    char *line = NULL;
    size_t room = 0;
    if (!list || p.jobs < 1)
        return 2;
    while (getline(&line, &room, list) > 0)
        start(&p, line);
    wait_until(&p, 0);
    free(line);
    fclose(list);
    printf("%zu commands, %zu failed\n", p.ran, p.failed);
    return p.failed > 0;
}
