#define _GNU_SOURCE
#include "file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define LARGE_PAGE ((size_t)2 << 20)

pm_status pm_file_map_open(pm_file *file, int fd) {
  struct stat status;
  if (fstat(fd, &status)) return PM_E_IO;
  errno = EINVAL;
  if (!S_ISREG(status.st_mode) || status.st_size <= 0) return PM_E_IO;
  void *bytes = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_SHARED, fd, 0);
  if (bytes == MAP_FAILED) return PM_E_IO;
  file->bytes = bytes;
  file->nbytes = (size_t)status.st_size;
  file->fd = -1;
  file->on_loss = NULL;
  atomic_init(&file->lost, false);
  return PM_OK;
}

pm_status pm_file_map(pm_file *file, const char *path) {
  const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a pipe would wait for its other end */
  if (fd < 0) return PM_E_IO;
  const pm_status status = pm_file_map_open(file, fd);
  const int error = errno;
  close(fd);
  errno = error;
  return status;
}

void pm_file_unmap(pm_file *file) {
  if (file->bytes) munmap((void *)(uintptr_t)file->bytes, file->nbytes);
  file->bytes = NULL;
}

uint8_t *pm_pages_new(size_t nbytes) {
  void *pages = mmap(NULL, nbytes ? nbytes : 1, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (pages == MAP_FAILED) return NULL;
#if defined(MADV_NOHUGEPAGE)
  madvise(pages, nbytes, MADV_NOHUGEPAGE); /* large pages would hold more than is touched */
#endif
  return pages;
}

uint8_t *pm_pages_new_large(size_t nbytes, size_t large) {
  if (large > nbytes || large < LARGE_PAGE) return pm_pages_new(nbytes);
  uint8_t *taken = pm_pages_new(nbytes + LARGE_PAGE);
  if (!taken) return NULL;
  const size_t before = (size_t)(-(uintptr_t)taken % LARGE_PAGE), page = (size_t)sysconf(_SC_PAGESIZE);
  const size_t end = (nbytes + page - 1) / page * page, taken_end = (nbytes + LARGE_PAGE + page - 1) / page * page;
  uint8_t *pages = taken + before;
  if (before) munmap(taken, before);
  if (before + end < taken_end) munmap(pages + end, taken_end - before - end);
#if defined(MADV_HUGEPAGE)
  madvise(pages, large / LARGE_PAGE * LARGE_PAGE, MADV_HUGEPAGE);
  /* Two threads that touch a large page for the first time are charged twice for a moment. */
  for (size_t i = 0; i + LARGE_PAGE <= large; i += LARGE_PAGE) ((volatile uint8_t *)pages)[i] = 0;
#endif
  return pages;
}

void pm_pages_free(uint8_t *pages, size_t nbytes) {
  if (pages) munmap(pages, nbytes ? nbytes : 1);
}

uint64_t pm_now_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}
