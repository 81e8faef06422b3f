#define _GNU_SOURCE
#include "os.h"

#include <signal.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif

struct os_alarm {
    void (*ring)(void *ctx);
    void *ctx;
    timer_t timer;
    struct sigaction before;
    sigset_t mask; /* before */
};

static void ring(int sig, siginfo_t *info, void *context)
{
    const struct os_alarm *alarm = info->si_value.sival_ptr;

    (void)sig;
    (void)context;
    alarm->ring(alarm->ctx);
}

static int start(struct os_alarm *alarm, int64_t after_ns)
{
    struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGALRM};
    struct itimerspec when = {
        .it_value = {.tv_sec = after_ns / 1000000000, .tv_nsec = after_ns % 1000000000}};

    event.sigev_value.sival_ptr = alarm;
    event.sigev_notify_thread_id = gettid();
    if (timer_create(CLOCK_MONOTONIC, &event, &alarm->timer) < 0)
        return -1;
    if (timer_settime(alarm->timer, 0, &when, NULL) == 0)
        return 0;
    timer_delete(alarm->timer);
    return -1;
}

static void restore(const struct os_alarm *alarm)
{
    pthread_sigmask(SIG_SETMASK, &alarm->mask, NULL);
    sigaction(SIGALRM, &alarm->before, NULL);
}

struct os_alarm *os_alarm_set(int64_t after_ns, void (*fn)(void *ctx), void *ctx)
{
    struct os_alarm *alarm = xcalloc(1, sizeof(*alarm));
    struct sigaction action = {.sa_sigaction = ring, .sa_flags = SA_SIGINFO | SA_RESTART};
    sigset_t ours;

    alarm->ring = fn;
    alarm->ctx = ctx;
    sigemptyset(&action.sa_mask);
    sigemptyset(&ours);
    sigaddset(&ours, SIGALRM);
    sigaction(SIGALRM, &action, &alarm->before);
    pthread_sigmask(SIG_UNBLOCK, &ours, &alarm->mask);
    if (start(alarm, after_ns) == 0)
        return alarm;
    restore(alarm);
    free(alarm);
    return NULL;
}

/* It is this thread's: one that rings meanwhile has rung when the timer is gone. */
void os_alarm_clear(struct os_alarm *alarm)
{
    if (!alarm)
        return;
    timer_delete(alarm->timer);
    restore(alarm);
    free(alarm);
}
