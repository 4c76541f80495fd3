/* Between a program and the system: lets the n-th operation that changes a file fail, or kills the
   process before it. Preloaded, so that it also stands below SQLite. Idle until it is armed. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

#define MOST 65536
static int armed, wanted, how, count, reached;
static char kinds[MOST];

/* how: an errno, or 0 to kill, or -1 only to count */
void faults_arm(int n, int h) { wanted = n; how = h; count = 0; reached = 0; armed = 1; }
void faults_rest(void) { armed = 0; }
int faults_reached(void) { return reached; }
int faults_count(void) { return count; }
const char *faults_kinds(void) { kinds[count < MOST ? count : MOST - 1] = 0; return kinds; }

static int fails(char kind) {
    if (!armed) return 0;
    if (count < MOST - 1) kinds[count] = kind;
    if (count++ != wanted || how < 0) return 0;
    reached = 1;
    if (how == 0) raise(SIGKILL);
    errno = how;
    return 1;
}
static int on_file(int fd) {
    struct stat s;
    int before = errno, regular = fd > 2 && fstat(fd, &s) == 0 && (S_ISREG(s.st_mode) || S_ISDIR(s.st_mode));
    errno = before;
    return regular;
}
#define NEXT(name) (__typeof__(&name))dlsym(RTLD_NEXT, #name)

ssize_t write(int fd, const void *b, size_t n) {
    return on_file(fd) && fails('w') ? -1 : (NEXT(write))(fd, b, n);
}
ssize_t pwrite(int fd, const void *b, size_t n, off_t o) {
    return on_file(fd) && fails('w') ? -1 : (NEXT(pwrite))(fd, b, n, o);
}
ssize_t pwrite64(int fd, const void *b, size_t n, off64_t o) {
    return on_file(fd) && fails('w') ? -1 : (NEXT(pwrite64))(fd, b, n, o);
}
ssize_t sendfile(int out, int in, off_t *o, size_t n) {
    return on_file(out) && fails('w') ? -1 : ((ssize_t (*)(int, int, off_t *, size_t))dlsym(RTLD_NEXT, "sendfile"))(out, in, o, n);
}
ssize_t sendfile64(int out, int in, off64_t *o, size_t n) {
    return on_file(out) && fails('w') ? -1 : ((ssize_t (*)(int, int, off64_t *, size_t))dlsym(RTLD_NEXT, "sendfile64"))(out, in, o, n);
}
int ftruncate(int fd, off_t n) { return fails('t') ? -1 : (NEXT(ftruncate))(fd, n); }
int ftruncate64(int fd, off64_t n) { return fails('t') ? -1 : (NEXT(ftruncate64))(fd, n); }
int fsync(int fd) { return fails('s') ? -1 : (NEXT(fsync))(fd); }
int fdatasync(int fd) { return fails('s') ? -1 : (NEXT(fdatasync))(fd); }
int rename(const char *a, const char *b) { return fails('r') ? -1 : (NEXT(rename))(a, b); }
int link(const char *a, const char *b) { return fails('l') ? -1 : (NEXT(link))(a, b); }
int mkdir(const char *a, mode_t m) { return fails('m') ? -1 : (NEXT(mkdir))(a, m); }

static int changes(int flags) { return flags & (O_WRONLY | O_RDWR | O_CREAT | O_TRUNC); }
#define MODE(flags) mode_t mode = 0; if (flags & (O_CREAT | O_TMPFILE)) { va_list l; va_start(l, flags); mode = va_arg(l, mode_t); va_end(l); }
int open(const char *p, int flags, ...) {
    MODE(flags) return changes(flags) && fails('o') ? -1 : (NEXT(open))(p, flags, mode);
}
int open64(const char *p, int flags, ...) {
    MODE(flags) return changes(flags) && fails('o') ? -1 : (NEXT(open64))(p, flags, mode);
}
int openat(int d, const char *p, int flags, ...) {
    MODE(flags) return changes(flags) && fails('o') ? -1 : (NEXT(openat))(d, p, flags, mode);
}
int openat64(int d, const char *p, int flags, ...) {
    MODE(flags) return changes(flags) && fails('o') ? -1 : (NEXT(openat64))(d, p, flags, mode);
}
