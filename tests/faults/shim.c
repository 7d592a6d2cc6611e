/* Lets calls of the program fail: loaded before libc by LD_PRELOAD, steered by the environment.
 *
 * FAULTS_CALLS  names of calls, separated by commas: open read write fsync fsync-folder rename mkdir symlink populate
 * FAULTS_FILES  part of the path that they are for; of `populate` (madvise of mapped pages) any
 * FAULTS_ERRNO  the error that they fail with
 * FAULTS_FIRST  the first of them to fail, counted from 1
 * FAULTS_EVERY  and every n-th after it; 0 for none
 * FAULTS_LOG    a file that every failure adds a line to, the call and the path; and the number of calls at the end
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

static const char *calls, *files, *log_path;
static int number;
static long first, every;
static atomic_long count;

/* By plain system calls, so that the log is not part of what it logs. */
static void note(const char *call, const char *path) {
    char line[4400];
    int length = snprintf(line, sizeof line, "%s %s\n", call, path);
    if (!log_path || length < 0) return;
    long file = syscall(SYS_openat, AT_FDCWD, log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (file < 0) return;
    syscall(SYS_write, file, line, (size_t)length);
    syscall(SYS_close, file);
}

__attribute__((constructor)) static void begin(void) {
    const char *value;
    calls = getenv("FAULTS_CALLS");
    files = getenv("FAULTS_FILES");
    log_path = getenv("FAULTS_LOG");
    number = (value = getenv("FAULTS_ERRNO")) ? atoi(value) : EIO;
    first = (value = getenv("FAULTS_FIRST")) ? atol(value) : 1;
    every = (value = getenv("FAULTS_EVERY")) ? atol(value) : 0;
}

__attribute__((destructor)) static void end(void) {
    char total[32];
    snprintf(total, sizeof total, "%ld", atomic_load(&count));
    note("total", total);
}

static int is_named(const char *call) {
    size_t length = strlen(call);
    for (const char *at = calls; at && (at = strstr(at, call)); at += length)
        if ((at == calls || at[-1] == ',') && (at[length] == 0 || at[length] == ',')) return 1;
    return 0;
}

static int fails(const char *call, const char *path) {
    if (!is_named(call) || (path && files && !strstr(path, files))) return 0;
    long turn = atomic_fetch_add(&count, 1) + 1;
    if (turn < first || (turn > first && (every == 0 || (turn - first) % every != 0))) return 0;
    note(call, path ? path : "-");
    errno = number;
    return 1;
}

static int fails_on(const char *call, int file) {
    char link[64], path[4096];
    if (!is_named(call)) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return fails(call, path);
}

#define NEXT(name) static __typeof__(name) *next; if (!next) next = (__typeof__(name) *)dlsym(RTLD_NEXT, #name)
#define MODE(flags) \
    mode_t mode = 0; \
    if ((flags) & (O_CREAT | O_TMPFILE)) { va_list rest; va_start(rest, flags); mode = va_arg(rest, mode_t); va_end(rest); }

int open(const char *path, int flags, ...) {
    NEXT(open);
    MODE(flags);
    return fails("open", path) ? -1 : next(path, flags, mode);
}
int open64(const char *path, int flags, ...) {
    NEXT(open64);
    MODE(flags);
    return fails("open", path) ? -1 : next(path, flags, mode);
}
ssize_t read(int file, void *to, size_t length) {
    NEXT(read);
    return fails_on("read", file) ? -1 : next(file, to, length);
}
ssize_t pread(int file, void *to, size_t length, off_t at) {
    NEXT(pread);
    return fails_on("read", file) ? -1 : next(file, to, length, at);
}
ssize_t pread64(int file, void *to, size_t length, off64_t at) {
    NEXT(pread64);
    return fails_on("read", file) ? -1 : next(file, to, length, at);
}
ssize_t write(int file, const void *from, size_t length) {
    NEXT(write);
    return fails_on("write", file) ? -1 : next(file, from, length);
}
int fsync(int file) {
    NEXT(fsync);
    struct stat found;
    if (!fstat(file, &found) && S_ISDIR(found.st_mode) && fails_on("fsync-folder", file)) return -1;
    return fails_on("fsync", file) ? -1 : next(file);
}
int symlink(const char *target, const char *path) {
    NEXT(symlink);
    return fails("symlink", path) ? -1 : next(target, path);
}
int rename(const char *from, const char *to) {
    NEXT(rename);
    return fails("rename", to) ? -1 : next(from, to);
}
int mkdir(const char *path, mode_t mode) {
    NEXT(mkdir);
    return fails("mkdir", path) ? -1 : next(path, mode);
}
int madvise(void *at, size_t length, int advice) {
    NEXT(madvise);
    const int populate_read = 22;
    return advice == populate_read && fails("populate", NULL) ? -1 : next(at, length, advice);
}
