/* Records what a process asks of its disk, so that a test can cut the power after any of it.
 *
 * Preloaded into a child. Every successful write, truncation, rename, unlink and sync below RECORD_DIR is
 * appended to RECORD_LOG: one byte kind (w t r u s d), then little endian: length of the path u32, offset
 * or new length u64, length of the data u32; then path and data. The data of a rename is the new path.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

static pthread_mutex_t one_at_a_time = PTHREAD_MUTEX_INITIALIZER;
static const char *watched;
static int log_fd = -1;

#define REAL(name) __typeof__(&name) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

__attribute__((constructor)) static void begin(void)
{
    const char *log = getenv("RECORD_LOG");
    watched = getenv("RECORD_DIR");
    if (log && watched)
        log_fd = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

static void put(char kind, const char *path, uint64_t offset, const void *data, uint32_t size)
{
    REAL(write);
    uint32_t length = strlen(path);
    char *record = malloc(17 + length + size);
    if (!record)
        abort();
    record[0] = kind;
    memcpy(record + 1, &length, 4);
    memcpy(record + 5, &offset, 8);
    memcpy(record + 13, &size, 4);
    memcpy(record + 17, path, length);
    if (size)
        memcpy(record + 17 + length, data, size);
    size_t done = 0, whole = 17 + length + size;
    while (done < whole) {
        ssize_t wrote = real(log_fd, record + done, whole - done);
        if (wrote < 0)
            abort();
        done += wrote;
    }
    free(record);
}

static int ours(int fd, char *path)
{
    char link[64];
    if (log_fd < 0 || fd == log_fd)
        return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, PATH_MAX - 1);
    if (length <= 0)
        return 0;
    path[length] = 0;
    return strncmp(path, watched, strlen(watched)) == 0;
}

static int named(const char *path)
{
    return log_fd >= 0 && strncmp(path, watched, strlen(watched)) == 0;
}

/* The lock covers the operation and its record: the order in the log is the order on the disk. */
#define RECORDED(type, call, keep)                   \
    char path[PATH_MAX];                             \
    if (!ours(fd, path))                             \
        return call;                                 \
    pthread_mutex_lock(&one_at_a_time);              \
    type result = call;                              \
    keep;                                            \
    pthread_mutex_unlock(&one_at_a_time);            \
    return result

ssize_t pwrite(int fd, const void *data, size_t size, off_t at)
{
    REAL(pwrite);
    RECORDED(ssize_t, real(fd, data, size, at), if (result > 0) put('w', path, at, data, result));
}

ssize_t pwrite64(int fd, const void *data, size_t size, off64_t at)
{
    REAL(pwrite64);
    RECORDED(ssize_t, real(fd, data, size, at), if (result > 0) put('w', path, at, data, result));
}

ssize_t write(int fd, const void *data, size_t size)
{
    REAL(write);
    off_t at = lseek(fd, 0, SEEK_CUR);
    RECORDED(ssize_t, real(fd, data, size), if (result > 0) put('w', path, at, data, result));
}

int ftruncate(int fd, off_t size)
{
    REAL(ftruncate);
    RECORDED(int, real(fd, size), if (result == 0) put('t', path, size, "", 0));
}

int ftruncate64(int fd, off64_t size)
{
    REAL(ftruncate64);
    RECORDED(int, real(fd, size), if (result == 0) put('t', path, size, "", 0));
}

int fsync(int fd)
{
    REAL(fsync);
    RECORDED(int, real(fd), if (result == 0) put('s', path, 0, "", 0));
}

int fdatasync(int fd)
{
    REAL(fdatasync);
    RECORDED(int, real(fd), if (result == 0) put('d', path, 0, "", 0));
}

int unlink(const char *path)
{
    REAL(unlink);
    if (!named(path))
        return real(path);
    pthread_mutex_lock(&one_at_a_time);
    int result = real(path);
    if (result == 0)
        put('u', path, 0, "", 0);
    pthread_mutex_unlock(&one_at_a_time);
    return result;
}

int rename(const char *from, const char *to)
{
    REAL(rename);
    if (!named(from))
        return real(from, to);
    pthread_mutex_lock(&one_at_a_time);
    int result = real(from, to);
    if (result == 0)
        put('r', from, 0, to, strlen(to));
    pthread_mutex_unlock(&one_at_a_time);
    return result;
}
