/* Records what a process asks of its disk, so that a test can cut the power after any of it.
 *
 * Preloaded into a process. Every successful change below one of RECORD_DIRS (a list with colons) is appended to
 * RECORD_LOG: one byte kind, then little endian: length of the path u32, offset or new length u64, length of the data
 * u32; then path and data. The kinds: w write, t truncate, c create a file, m make a directory, g a directory is gone,
 * r rename of a file or a directory (the data is the new path), u unlink, s and d sync, x a call that changes files in a way that nobody models (the data is its name).
 * Another process may append records of its own, each with one write: the log is in the order of what happened.
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
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

static pthread_mutex_t one_at_a_time = PTHREAD_MUTEX_INITIALIZER;
static const char *watched;
static int log_fd = -1;

#define REAL(name) __typeof__(&name) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

__attribute__((constructor)) static void begin(void)
{
    const char *log = getenv("RECORD_LOG");
    watched = getenv("RECORD_DIRS");
    if (log && watched)
        log_fd = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

static void put(char kind, const char *path, uint64_t offset, const void *data, uint32_t size)
{
    REAL(write);
    uint32_t length = strlen(path);
    size_t whole = 17 + length + size;
    char *record = malloc(whole);
    if (!record)
        abort();
    record[0] = kind;
    memcpy(record + 1, &length, 4);
    memcpy(record + 5, &offset, 8);
    memcpy(record + 13, &size, 4);
    memcpy(record + 17, path, length);
    if (size)
        memcpy(record + 17 + length, data, size);
    if (real(log_fd, record, whole) != (ssize_t)whole)
        abort(); /* in two parts it could be torn apart by another process */
    free(record);
}

static int named(const char *path)
{
    if (log_fd < 0 || !path)
        return 0;
    for (const char *one = watched; *one;) {
        size_t length = strcspn(one, ":");
        if (length && strncmp(path, one, length) == 0 && (path[length] == '/' || !path[length]))
            return 1;
        one += length + (one[length] == ':');
    }
    return 0;
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
    return named(path);
}

/* The lock covers the operation and its record: the order in the log is the order on the disk. */
#define LOCKED(type, call, keep)                     \
    pthread_mutex_lock(&one_at_a_time);              \
    type result = call;                              \
    int error = errno;                               \
    keep;                                            \
    pthread_mutex_unlock(&one_at_a_time);            \
    errno = error;                                   \
    return result

#define RECORDED(type, call, keep)                   \
    char path[PATH_MAX];                             \
    if (!ours(fd, path))                             \
        return call;                                 \
    LOCKED(type, call, keep)

/* Writing */

static void put_vector(const char *path, uint64_t at, const struct iovec *parts, int count, size_t size)
{
    char *data = malloc(size), *end = data;
    if (!data)
        abort();
    for (int n = 0; n < count && end < data + size; n++) {
        size_t take = parts[n].iov_len;
        if (take > (size_t)(data + size - end))
            take = data + size - end;
        memcpy(end, parts[n].iov_base, take);
        end += take;
    }
    put('w', path, at, data, size);
    free(data);
}

/* Where a plain write went; the end of a file that is appended to is only known afterwards. */
#define WENT (lseek(fd, 0, SEEK_CUR) - result)

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
    RECORDED(ssize_t, real(fd, data, size), if (result > 0) put('w', path, WENT, data, result));
}

ssize_t writev(int fd, const struct iovec *parts, int count)
{
    REAL(writev);
    RECORDED(ssize_t, real(fd, parts, count), if (result > 0) put_vector(path, WENT, parts, count, result));
}

ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t at)
{
    REAL(pwritev);
    RECORDED(ssize_t, real(fd, parts, count, at), if (result > 0) put_vector(path, at, parts, count, result));
}

ssize_t pwritev64(int fd, const struct iovec *parts, int count, off64_t at)
{
    REAL(pwritev64);
    RECORDED(ssize_t, real(fd, parts, count, at), if (result > 0) put_vector(path, at, parts, count, result));
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

/* Syncing */

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

/* Names */

static int opened(int at, const char *path, int flags, mode_t mode)
{
    REAL(openat64);
    if (log_fd < 0 || !(flags & (O_CREAT | O_TRUNC)))
        return real(at, path, flags, mode);
    char found[PATH_MAX];
    pthread_mutex_lock(&one_at_a_time);
    int there = faccessat(at, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
    int fd = real(at, path, flags, mode);
    int error = errno;
    if (fd >= 0 && ours(fd, found)) {
        if ((flags & O_TMPFILE) == O_TMPFILE)
            put('x', found, 0, "O_TMPFILE", 9);
        else if (!there)
            put('c', found, 0, "", 0);
        else if (flags & O_TRUNC)
            put('t', found, 0, "", 0);
    }
    pthread_mutex_unlock(&one_at_a_time);
    errno = error;
    return fd;
}

#define MODE                                         \
    va_list more;                                    \
    va_start(more, flags);                           \
    mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(more, mode_t) : 0; \
    va_end(more)

int open(const char *path, int flags, ...)
{
    MODE;
    return opened(AT_FDCWD, path, flags, mode);
}

int open64(const char *path, int flags, ...)
{
    MODE;
    return opened(AT_FDCWD, path, flags, mode);
}

int openat(int at, const char *path, int flags, ...)
{
    MODE;
    return opened(at, path, flags, mode);
}

int openat64(int at, const char *path, int flags, ...)
{
    MODE;
    return opened(at, path, flags, mode);
}

int creat(const char *path, mode_t mode)
{
    return opened(AT_FDCWD, path, O_WRONLY | O_CREAT | O_TRUNC, mode);
}

int creat64(const char *path, mode_t mode)
{
    return opened(AT_FDCWD, path, O_WRONLY | O_CREAT | O_TRUNC, mode);
}

int mkdir(const char *path, mode_t mode)
{
    REAL(mkdir);
    if (!named(path))
        return real(path, mode);
    LOCKED(int, real(path, mode), if (result == 0) put('m', path, 0, "", 0));
}

int unlink(const char *path)
{
    REAL(unlink);
    if (!named(path))
        return real(path);
    LOCKED(int, real(path), if (result == 0) put('u', path, 0, "", 0));
}

int rmdir(const char *path)
{
    REAL(rmdir);
    if (!named(path))
        return real(path);
    LOCKED(int, real(path), if (result == 0) put('g', path, 0, "", 0));
}

/* Who removes a whole tree names things by the open directory that they are in. */
int unlinkat(int fd, const char *name, int flags)
{
    REAL(unlinkat);
    char path[PATH_MAX];
    if (*name == '/') {
        if (!named(name))
            return real(fd, name, flags);
        snprintf(path, sizeof path, "%s", name);
    } else {
        if (!ours(fd, path) || strlen(path) + strlen(name) + 2 > sizeof path)
            return real(fd, name, flags);
        strcat(strcat(path, "/"), name);
    }
    LOCKED(int, real(fd, name, flags), if (result == 0) put(flags & AT_REMOVEDIR ? 'g' : 'u', path, 0, "", 0));
}

int rename(const char *from, const char *to)
{
    REAL(rename);
    if (!named(from) && !named(to))
        return real(from, to);
    LOCKED(int, real(from, to), if (result == 0) put('r', from, 0, to, strlen(to)));
}

/* What nobody models: the test fails when it occurs. */

#define STRANGE(type, call, where)                   \
    LOCKED(type, call, put('x', where, 0, __func__, strlen(__func__)))

#define STRANGE_AT(type, call)                       \
    char path[PATH_MAX];                             \
    if (!ours(fd, path))                             \
        return call;                                 \
    STRANGE(type, call, path)

#define STRANGE_NAME(type, call, name)               \
    if (!named(name))                                \
        return call;                                 \
    STRANGE(type, call, name)

int fallocate(int fd, int mode, off_t at, off_t size)
{
    REAL(fallocate);
    STRANGE_AT(int, real(fd, mode, at, size));
}

int posix_fallocate(int fd, off_t at, off_t size)
{
    REAL(posix_fallocate);
    STRANGE_AT(int, real(fd, at, size));
}

int posix_fallocate64(int fd, off64_t at, off64_t size)
{
    REAL(posix_fallocate64);
    STRANGE_AT(int, real(fd, at, size));
}

ssize_t sendfile(int fd, int from, off_t *at, size_t size)
{
    REAL(sendfile);
    STRANGE_AT(ssize_t, real(fd, from, at, size));
}

ssize_t copy_file_range(int from, off64_t *at, int fd, off64_t *to, size_t size, unsigned flags)
{
    REAL(copy_file_range);
    STRANGE_AT(ssize_t, real(from, at, fd, to, size, flags));
}

/* The index of the WAL (-shm) is a shared mapping, and is made anew after a cut. */
static int mapped(int protection, int flags, int fd, char *path)
{
    if (!(flags & MAP_SHARED) || !(protection & PROT_WRITE) || fd < 0 || !ours(fd, path))
        return 0;
    size_t length = strlen(path);
    return length < 4 || strcmp(path + length - 4, "-shm") != 0;
}

void *mmap(void *at, size_t size, int protection, int flags, int fd, off_t from)
{
    REAL(mmap);
    char path[PATH_MAX];
    if (log_fd < 0 || !mapped(protection, flags, fd, path))
        return real(at, size, protection, flags, fd, from);
    STRANGE(void *, real(at, size, protection, flags, fd, from), path);
}

void *mmap64(void *at, size_t size, int protection, int flags, int fd, off64_t from)
{
    REAL(mmap64);
    char path[PATH_MAX];
    if (log_fd < 0 || !mapped(protection, flags, fd, path))
        return real(at, size, protection, flags, fd, from);
    STRANGE(void *, real(at, size, protection, flags, fd, from), path);
}

int truncate(const char *path, off_t size)
{
    REAL(truncate);
    STRANGE_NAME(int, real(path, size), path);
}

int truncate64(const char *path, off64_t size)
{
    REAL(truncate64);
    STRANGE_NAME(int, real(path, size), path);
}

int link(const char *from, const char *to)
{
    REAL(link);
    STRANGE_NAME(int, real(from, to), to);
}

int symlink(const char *from, const char *to)
{
    REAL(symlink);
    STRANGE_NAME(int, real(from, to), to);
}

int linkat(int a, const char *from, int b, const char *to, int flags)
{
    REAL(linkat);
    STRANGE_NAME(int, real(a, from, b, to, flags), to);
}

int renameat(int a, const char *from, int b, const char *to)
{
    REAL(renameat);
    STRANGE_NAME(int, real(a, from, b, to), to);
}

int renameat2(int a, const char *from, int b, const char *to, unsigned flags)
{
    REAL(renameat2);
    STRANGE_NAME(int, real(a, from, b, to, flags), to);
}
