/* Makes a disk fail for one process, when a test says so and for as long as it says so.
 *
 * Preloaded into the daemon. Below FAULTY_DIR a write, a sync or the opening of a file for writing fails with the
 * error that the control file FAULTY_CONTROL names. It is mapped and shared, so a test steers it at any moment and
 * reads how often it really struck. A sync that fails may also lose what was written since the last good one, as a
 * kernel does that marks pages clean which never reached the disk.
 *
 * The index of the WAL (-shm) is memory and never fails.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { WRITE = 1, SYNC = 2, OPEN = 4 };

struct control {
    volatile int32_t kinds;  /* which operations fail; 0: none */
    volatile int32_t error;  /* with which errno */
    volatile int32_t skip;   /* so many more of them are let through */
    volatile int32_t times;  /* then so many fail; below 0: all */
    volatile int32_t lose;   /* 1: a failed sync loses what it was for */
    volatile int32_t failed[3];  /* writes, syncs, opens that were failed */
    volatile int32_t lost;   /* writes that a failed sync took back */
    volatile int32_t syncs;  /* syncs in all, failed or not */
};

struct unsynced {
    struct unsynced *next;
    dev_t dev;
    ino_t ino;
    off_t at;
    off_t length; /* of the file before */
    size_t size;
    char old[];
};

static pthread_mutex_t one_at_a_time = PTHREAD_MUTEX_INITIALIZER;
static const char *watched;
static struct control *control;
static struct unsynced *newest;

#define REAL(name) __typeof__(&name) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

__attribute__((constructor)) static void begin(void)
{
    const char *path = getenv("FAULTY_CONTROL");
    watched = getenv("FAULTY_DIR");
    if (!path || !watched)
        return;
    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        abort();
    control = mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (control == MAP_FAILED)
        abort();
}

static int named(const char *path)
{
    size_t length = strlen(path);
    return control && strncmp(path, watched, strlen(watched)) == 0 &&
           !(length > 4 && strcmp(path + length - 4, "-shm") == 0);
}

static int ours(int fd)
{
    char link[64], path[PATH_MAX];
    if (!control)
        return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, PATH_MAX - 1);
    if (length <= 0)
        return 0;
    path[length] = 0;
    return named(path);
}

/* Says whether this operation fails now; called with the lock held. */
static int strikes(int kind, int place)
{
    if (!(control->kinds & kind))
        return 0;
    if (control->skip > 0) {
        control->skip--;
        return 0;
    }
    if (control->times == 0)
        return 0;
    if (control->times > 0)
        control->times--;
    control->failed[place]++;
    errno = control->error;
    return 1;
}

/* Remembers what a write is about to replace, so that a failed sync can take it back. */
static void remember(int fd, off_t at, size_t size)
{
    struct stat now;
    if (!control->lose || fstat(fd, &now) < 0)
        return;
    struct unsynced *kept = malloc(sizeof *kept + size);
    if (!kept)
        abort();
    ssize_t had = pread(fd, kept->old, size, at);
    kept->dev = now.st_dev, kept->ino = now.st_ino, kept->length = now.st_size;
    kept->at = at, kept->size = had > 0 ? had : 0, kept->next = newest;
    newest = kept;
}

/* Forgets what is safe after a good sync of a file, or puts the old content back after a failed one. */
static void resolve(int fd, int lose)
{
    struct stat now;
    REAL(pwrite);
    if (fstat(fd, &now) < 0)
        return;
    for (struct unsynced **place = &newest; *place;) {
        struct unsynced *one = *place;
        if (one->dev != now.st_dev || one->ino != now.st_ino) {
            place = &one->next;
            continue;
        }
        if (lose) {
            if (one->size && real(fd, one->old, one->size, one->at) < 0)
                abort();
            struct stat present;
            if (fstat(fd, &present) == 0 && present.st_size > one->length && ftruncate(fd, one->length) < 0)
                abort();
            control->lost++;
        }
        *place = one->next;
        free(one);
    }
}

#define WRITTEN(call, position)                   \
    if (!ours(fd))                                \
        return call;                              \
    pthread_mutex_lock(&one_at_a_time);           \
    ssize_t result = -1;                          \
    if (!strikes(WRITE, 0)) {                     \
        remember(fd, position, size);             \
        result = call;                            \
    }                                             \
    pthread_mutex_unlock(&one_at_a_time);         \
    return result

ssize_t pwrite(int fd, const void *data, size_t size, off_t at)
{
    REAL(pwrite);
    WRITTEN(real(fd, data, size, at), at);
}

ssize_t pwrite64(int fd, const void *data, size_t size, off64_t at)
{
    REAL(pwrite64);
    WRITTEN(real(fd, data, size, at), at);
}

ssize_t write(int fd, const void *data, size_t size)
{
    REAL(write);
    WRITTEN(real(fd, data, size), lseek(fd, 0, SEEK_CUR));
}

#define SYNCED                                    \
    if (!ours(fd))                                \
        return real(fd);                          \
    pthread_mutex_lock(&one_at_a_time);           \
    int result = -1, lose = control->lose;        \
    control->syncs++;                             \
    int hit = strikes(SYNC, 1), error = errno;    \
    if (!hit)                                     \
        result = real(fd);                        \
    resolve(fd, hit && lose);                     \
    pthread_mutex_unlock(&one_at_a_time);         \
    if (hit)                                      \
        errno = error;                            \
    return result

int fsync(int fd)
{
    REAL(fsync);
    SYNCED;
}

int fdatasync(int fd)
{
    REAL(fdatasync);
    SYNCED;
}

static int closed_to_writing(const char *path, int flags)
{
    if (!named(path) || (flags & O_ACCMODE) == O_RDONLY)
        return 0;
    pthread_mutex_lock(&one_at_a_time);
    int hit = strikes(OPEN, 2);
    pthread_mutex_unlock(&one_at_a_time);
    return hit;
}

#define OPENED(call)                              \
    int mode = 0;                                 \
    if (flags & (O_CREAT | O_TMPFILE)) {          \
        va_list more;                             \
        va_start(more, flags);                    \
        mode = va_arg(more, int);                 \
        va_end(more);                             \
    }                                             \
    return closed_to_writing(path, flags) ? -1 : call

int open(const char *path, int flags, ...)
{
    REAL(open);
    OPENED(real(path, flags, mode));
}

int open64(const char *path, int flags, ...)
{
    REAL(open64);
    OPENED(real(path, flags, mode));
}
