/* Preloaded: the call of that number fails, of those that allocate or of those that read.

   fail_at(kind, number) counts from now on, and says how many were counted before; number -1 lets all go
   well. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <linux/aio_abi.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { MEMORY, READS, KINDS };

static atomic_long counted[KINDS];
static atomic_long failing[KINDS] = {-1, -1};

long fail_at(int kind, long number) {
  const long before = atomic_exchange(&counted[kind], 0);
  atomic_store(&failing[kind], number);
  return before;
}

static int fails(int kind, int error) {
  if (atomic_load(&failing[kind]) < 0) return 0;
  if (atomic_fetch_add(&counted[kind], 1) != atomic_load(&failing[kind])) return 0;
  errno = error;
  return 1;
}

extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);

void *malloc(size_t n) { return fails(MEMORY, ENOMEM) ? NULL : __libc_malloc(n); }
void *calloc(size_t n, size_t size) { return fails(MEMORY, ENOMEM) ? NULL : __libc_calloc(n, size); }
void *realloc(void *p, size_t n) { return fails(MEMORY, ENOMEM) ? NULL : __libc_realloc(p, n); }
void *aligned_alloc(size_t a, size_t n) { return fails(MEMORY, ENOMEM) ? NULL : __libc_memalign(a, n); }

void *mmap(void *at, size_t n, int rights, int flags, int fd, off_t offset) {
  static void *(*next)(void *, size_t, int, int, int, off_t);
  if (!next) next = (void *(*)(void *, size_t, int, int, int, off_t))dlsym(RTLD_NEXT, "mmap");
  return fails(MEMORY, ENOMEM) ? MAP_FAILED : next(at, n, rights, flags, fd, offset);
}

/* A read that the kernel made by itself has failed, and will when it is tried again. */
static _Thread_local int is_broken;

ssize_t pread(int fd, void *to, size_t n, off_t offset) {
  static ssize_t (*next)(int, void *, size_t, off_t);
  if (!next) next = (ssize_t(*)(int, void *, size_t, off_t))dlsym(RTLD_NEXT, "pread");
  const int was_broken = is_broken;
  is_broken = 0;
  if (was_broken) errno = EIO;
  return was_broken || fails(READS, EIO) ? -1 : next(fd, to, n, offset);
}

/* Reads that the kernel makes by itself: it takes one, or not, and says later how it ended. */
long syscall(long number, ...) {
  static long (*next)(long, ...);
  if (!next) next = (long (*)(long, ...))dlsym(RTLD_NEXT, "syscall");
  long a[6];
  va_list list;
  va_start(list, number);
  for (int i = 0; i < 6; i++) a[i] = va_arg(list, long);
  va_end(list);
  if (number == SYS_io_submit && fails(READS, EAGAIN)) return -1;
  const long result = next(number, a[0], a[1], a[2], a[3], a[4], a[5]);
  for (long i = 0; number == SYS_io_getevents && i < result; i++) {
    if (!fails(READS, EIO)) continue;
    ((struct io_event *)a[3])[i].res = -EIO;
    is_broken = 1;
  }
  return result;
}
