/* Makes every sync of the process that preloads it SLOW_US microseconds longer. The real sync is done first.
 * A constant delay: it answers how the design scales with the time of a sync, not how fast a card is. */
#include <dlfcn.h>
#include <stdlib.h>
#include <time.h>

static int slowly(const char *name, int fd) {
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);
    int result = real(fd);
    const char *text = getenv("SLOW_US");
    long us = text ? atol(text) : 0;
    struct timespec delay = {us / 1000000, us % 1000000 * 1000};
    nanosleep(&delay, NULL);
    return result;
}

int fsync(int fd) { return slowly("fsync", fd); }
int fdatasync(int fd) { return slowly("fdatasync", fd); }
