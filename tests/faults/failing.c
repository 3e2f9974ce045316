/* Preloaded: the call of that number fails, of those that allocate or of those that read.

   fail_at(kind, number) counts from now on, and says how many were counted before; number -1 lets all go
   well. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>
#include <sys/mman.h>
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

ssize_t pread(int fd, void *to, size_t n, off_t offset) {
  static ssize_t (*next)(int, void *, size_t, off_t);
  if (!next) next = (ssize_t(*)(int, void *, size_t, off_t))dlsym(RTLD_NEXT, "pread");
  return fails(READS, EIO) ? -1 : next(fd, to, n, offset);
}
