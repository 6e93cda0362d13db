/* SPDX-License-Identifier: MPL-2.0 */
/* strike.c - preloaded into chapterd by the tests: the nth call that changes a file is its
 * last, or fails; or the nth allocation of its own code is refused.
 *
 * Counted are write, pwrite, writev, fdatasync, fsync, ftruncate, rename and unlink, of regular
 * files and directories, whoever makes them (LMDB, too), but for standard output and error.
 * The page that the file STRIKE_PAGE holds is shared with the test.
 *
 * In a build with sanitizers what is not struck goes on to theirs: they see each allocation,
 * and look at the bytes that are written.  This library itself is built without. */
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum how { DIE_BEFORE, DIE_HALF_WAY, DIE_AFTER, FAIL };

/* As strike.py packs it. */
struct page {
    uint64_t calls; /* so far, of all processes with this page */
    uint64_t at;    /* the call that is struck; 0: none */
    uint64_t allocations;
    uint64_t starve_from; /* these allocations are refused; 0: none */
    uint64_t starve_to;
    uint32_t how;
    uint32_t error;
    uint32_t struck;
    uint32_t starved;
    char call[16];
    char path[256];
};

static struct page *page;

/* Where the program's own code is, its libraries' not. */
static uintptr_t own_begin = UINTPTR_MAX;
static uintptr_t own_end;

static int note_program(struct dl_phdr_info *info, size_t size, void *context)
{
    (void)size;
    (void)context;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const uintptr_t begin = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr;
        const uintptr_t end = begin + info->dlpi_phdr[i].p_memsz;

        if (info->dlpi_phdr[i].p_type != PT_LOAD || !(info->dlpi_phdr[i].p_flags & PF_X))
            continue;
        own_begin = begin < own_begin ? begin : own_begin;
        own_end = end > own_end ? end : own_end;
    }
    return 1; /* the program is the first */
}

__attribute__((constructor)) static void begin(void)
{
    const char *path = getenv("STRIKE_PAGE");
    const int fd = path != NULL ? open(path, O_RDWR | O_CLOEXEC) : -1;
    void *mapped = MAP_FAILED;

    if (fd >= 0)
        mapped = mmap(NULL, sizeof *page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (mapped == MAP_FAILED)
        abort(); /* a test that strikes nothing proves nothing */
    close(fd);
    (void)dl_iterate_phdr(note_program, NULL);
    page = mapped;
}

/* Functions of the sanitizers' library, where it is loaded, else what they stand before. */
#define WEAK __attribute__((weak))
extern WEAK ssize_t __interceptor_write(int fd, const void *bytes, size_t size);
extern WEAK ssize_t __interceptor_pwrite(int fd, const void *bytes, size_t size, off_t at);
extern WEAK ssize_t __interceptor_writev(int fd, const struct iovec *parts, int count);
extern WEAK void *__interceptor_malloc(size_t size);
extern WEAK void *__interceptor_calloc(size_t count, size_t size);
extern WEAK void *__interceptor_realloc(void *memory, size_t size);
extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *memory, size_t size);

/* --- files -------------------------------------------------------------------------------- */

static void die(void)
{
    (void)kill(getpid(), SIGKILL);
    for (;;)
        pause();
}

static bool counts(int fd)
{
    struct stat found;

    return page != NULL && fd > STDERR_FILENO && fstat(fd, &found) == 0 &&
           (S_ISREG(found.st_mode) || S_ISDIR(found.st_mode));
}

static void tell(const char *call, int fd, const char *path)
{
    static const char prefix[] = "/proc/self/fd/";
    char link[sizeof prefix + 12];
    char digits[12];
    size_t count = 0;
    ssize_t size = 0;

    strncpy(page->call, call, sizeof page->call - 1);
    if (path != NULL) {
        strncpy(page->path, path, sizeof page->path - 1);
    } else {
        do
            digits[count++] = (char)('0' + fd % 10);
        while ((fd /= 10) > 0);
        memcpy(link, prefix, sizeof prefix - 1);
        for (size_t i = 0; i < count; i++)
            link[sizeof prefix - 1 + i] = digits[count - 1 - i];
        link[sizeof prefix - 1 + count] = '\0';
        size = readlink(link, page->path, sizeof page->path - 1);
        page->path[size > 0 ? size : 0] = '\0';
    }
    __atomic_store_n(&page->struck, 1, __ATOMIC_SEQ_CST);
}

/* One call that is being made. */
struct strike {
    bool now;
    bool fails;
    bool half;
};

static struct strike begins(const char *call, int fd, const char *path)
{
    struct strike strike = { false, false, false };

    if (page == NULL || (path == NULL && !counts(fd)))
        return strike;
    if (__atomic_add_fetch(&page->calls, 1, __ATOMIC_SEQ_CST) !=
        __atomic_load_n(&page->at, __ATOMIC_SEQ_CST))
        return strike;
    tell(call, fd, path);
    if (page->how == DIE_BEFORE)
        die();
    strike.now = true;
    strike.half = page->how == DIE_HALF_WAY;
    strike.fails = page->how == FAIL;
    if (strike.fails)
        errno = (int)page->error;
    return strike;
}

static long ends(const struct strike *strike, long result)
{
    if (strike->now)
        die();
    return result;
}

ssize_t write(int fd, const void *bytes, size_t size)
{
    const struct strike strike = begins("write", fd, NULL);
    const size_t used = strike.half ? size / 2 : size;

    if (strike.fails)
        return -1;
    return ends(&strike, __interceptor_write != NULL ? __interceptor_write(fd, bytes, used)
                                                     : syscall(SYS_write, fd, bytes, used));
}

ssize_t pwrite(int fd, const void *bytes, size_t size, off_t offset)
{
    const struct strike strike = begins("pwrite", fd, NULL);
    const size_t used = strike.half ? size / 2 : size;

    if (strike.fails)
        return -1;
    return ends(&strike, __interceptor_pwrite != NULL
                             ? __interceptor_pwrite(fd, bytes, used, offset)
                             : syscall(SYS_pwrite64, fd, bytes, used, offset));
}

ssize_t pwrite64(int fd, const void *bytes, size_t size, off64_t offset)
{
    return pwrite(fd, bytes, size, offset);
}

static long write_vector(long number, int fd, const struct iovec *parts, int count,
                         off_t offset)
{
    const struct strike strike = begins("writev", fd, NULL);
    const int used = strike.half ? count / 2 : count;

    if (strike.fails)
        return -1;
    if (number == SYS_writev)
        return ends(&strike, __interceptor_writev != NULL
                                 ? __interceptor_writev(fd, parts, used)
                                 : syscall(SYS_writev, fd, parts, used));
    return ends(&strike, syscall(SYS_pwritev, fd, parts, used, offset, 0L));
}

ssize_t writev(int fd, const struct iovec *parts, int count)
{
    return write_vector(SYS_writev, fd, parts, count, 0);
}

ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t offset)
{
    return write_vector(SYS_pwritev, fd, parts, count, offset);
}

int fdatasync(int fd)
{
    const struct strike strike = begins("fdatasync", fd, NULL);

    return strike.fails ? -1 : (int)ends(&strike, syscall(SYS_fdatasync, fd));
}

int fsync(int fd)
{
    const struct strike strike = begins("fsync", fd, NULL);

    return strike.fails ? -1 : (int)ends(&strike, syscall(SYS_fsync, fd));
}

int ftruncate(int fd, off_t size)
{
    const struct strike strike = begins("ftruncate", fd, NULL);

    return strike.fails ? -1 : (int)ends(&strike, syscall(SYS_ftruncate, fd, size));
}

int ftruncate64(int fd, off64_t size)
{
    return ftruncate(fd, size);
}

int rename(const char *from, const char *to)
{
    const struct strike strike = begins("rename", -1, to);

    return strike.fails
               ? -1
               : (int)ends(&strike, syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0));
}

int renameat2(int from_fd, const char *from, int to_fd, const char *to, unsigned flags)
{
    const struct strike strike = begins("rename", -1, to);

    return strike.fails
               ? -1
               : (int)ends(&strike, syscall(SYS_renameat2, from_fd, from, to_fd, to, flags));
}

int unlink(const char *path)
{
    const struct strike strike = begins("unlink", -1, path);

    return strike.fails ? -1 : (int)ends(&strike, syscall(SYS_unlinkat, AT_FDCWD, path, 0));
}

int unlinkat(int fd, const char *path, int flags)
{
    const struct strike strike = begins("unlink", -1, path);

    return strike.fails ? -1 : (int)ends(&strike, syscall(SYS_unlinkat, fd, path, flags));
}

/* --- memory ------------------------------------------------------------------------------- */

static bool starves(const void *caller)
{
    const uintptr_t at = (uintptr_t)caller;
    uint64_t number;

    if (page == NULL || at < own_begin || at >= own_end)
        return false;
    number = __atomic_add_fetch(&page->allocations, 1, __ATOMIC_SEQ_CST);
    if (number < page->starve_from || number > page->starve_to)
        return false;
    __atomic_add_fetch(&page->starved, 1, __ATOMIC_SEQ_CST);
    errno = ENOMEM;
    return true;
}

static void *allocate(size_t size)
{
    return __interceptor_malloc != NULL ? __interceptor_malloc(size) : __libc_malloc(size);
}

void *malloc(size_t size)
{
    return starves(__builtin_return_address(0)) ? NULL : allocate(size);
}

void *calloc(size_t count, size_t size)
{
    if (starves(__builtin_return_address(0)))
        return NULL;
    return __interceptor_calloc != NULL ? __interceptor_calloc(count, size)
                                        : __libc_calloc(count, size);
}

void *realloc(void *memory, size_t size)
{
    if (starves(__builtin_return_address(0)))
        return NULL;
    return __interceptor_realloc != NULL ? __interceptor_realloc(memory, size)
                                         : __libc_realloc(memory, size);
}

char *strdup(const char *text)
{
    const size_t size = strlen(text) + 1;
    char *copy = starves(__builtin_return_address(0)) ? NULL : allocate(size);

    return copy != NULL ? memcpy(copy, text, size) : NULL;
}
