/* Lets every sync below HANGING_DIR wait for ever once the file HANGING_FILE is there: a disk that does not come back. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void hang(int fd)
{
    const char *file = getenv("HANGING_FILE"), *watched = getenv("HANGING_DIR");
    char link[64], path[PATH_MAX];
    if (!file || !watched || access(file, F_OK) != 0)
        return;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length <= 0)
        return;
    path[length] = 0;
    if (strncmp(path, watched, strlen(watched)) == 0)
        for (;;)
            pause();
}

#define SYNC(name)                                                              \
    int name(int fd)                                                            \
    {                                                                           \
        hang(fd);                                                               \
        return ((__typeof__(&name))dlsym(RTLD_NEXT, #name))(fd);                \
    }

SYNC(fsync)
SYNC(fdatasync)
