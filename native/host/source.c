#define _GNU_SOURCE
#include "source.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#ifndef O_DIRECT
#define O_DIRECT 0
#endif

static size_t whole_pages(uint64_t nbytes) { return (size_t)((nbytes + PM_PAGE - 1) / PM_PAGE * PM_PAGE); }

#if defined(__APPLE__)
#define MODIFIED st_mtimespec
#else
#define MODIFIED st_mtim
#endif

static bool get_state(int fd, uint64_t *nbytes, int64_t modified[2]) {
  struct stat status;
  if (fstat(fd, &status)) return false;
  if (!S_ISREG(status.st_mode)) {
    errno = EINVAL;
    return false;
  }
  *nbytes = (uint64_t)status.st_size;
  modified[0] = status.MODIFIED.tv_sec;
  modified[1] = status.MODIFIED.tv_nsec;
  return true;
}

pm_status pm_source_unchanged(const pm_source *source) {
  uint64_t nbytes;
  int64_t modified[2];
  if (!get_state(source->fd, &nbytes, modified)) return PM_E_IO;
  const bool same = nbytes == source->file_bytes && !memcmp(modified, source->modified, sizeof modified);
  return same ? PM_OK : PM_E_CHANGED;
}

/* What is read once should not stay in the page cache. The whole file is named, since the cache holds
   it in pieces that begin and end elsewhere, and lets go only of whole ones. */
static void forget(const pm_source *source) {
#if defined(POSIX_FADV_DONTNEED)
  if (!source->direct && !source->cached) posix_fadvise(source->fd, 0, 0, POSIX_FADV_DONTNEED);
#else
  (void)source;
#endif
}

pm_status pm_source_read(const pm_source *source, uint64_t offset, size_t nbytes, uint8_t *to) {
  const size_t before = offset % PM_PAGE, wanted = before + nbytes, whole = whole_pages(wanted);
  const uint64_t begin = offset - before;
  for (size_t done = 0; done < wanted;) {
    const ssize_t got = pread(source->fd, to - before + done, whole - done, (off_t)(begin + done));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return PM_E_IO;
    if (!got) return PM_E_CHANGED;
    done += (size_t)got;
    /* The end of the file is the only place where less than a page may come. */
    if (done < wanted && source->direct && done % PM_PAGE) return PM_E_CHANGED;
  }
  forget(source);
  return PM_OK;
}

/* The whole head, where the first page says where it ends; pm_source_program() judges what it says. */
static pm_status read_head(pm_source *source, const uint8_t *page, size_t nbytes) {
  pm_header header;
  source->head_bytes = nbytes;
  if (nbytes >= sizeof header) {
    memcpy(&header, page, sizeof header);
    if (header.weights_offset >= sizeof header && header.weights_offset <= source->file_bytes)
      source->head_bytes = (size_t)header.weights_offset;
  }
  source->head = pm_pages_new(whole_pages(source->head_bytes));
  if (!source->head) return PM_E_MEMORY;
  return pm_source_read(source, 0, source->head_bytes, source->head);
}

/* Without direct reads where the file system has none. */
static pm_status open_at_page(pm_source *source, const char *path, uint8_t *page) {
  for (int direct = O_DIRECT && !source->cached ? 1 : 0; direct >= 0; direct--) {
    source->direct = direct;
    source->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | (direct ? O_DIRECT : 0));
    if (source->fd < 0 && direct && errno == EINVAL) continue;
    if (source->fd < 0 || !get_state(source->fd, &source->file_bytes, source->modified)) return PM_E_IO;
    const size_t nbytes = source->file_bytes < PM_PAGE ? (size_t)source->file_bytes : PM_PAGE;
    const pm_status status = nbytes ? pm_source_read(source, 0, nbytes, page) : PM_E_TRUNCATED;
    if (status == PM_OK || !direct || status != PM_E_IO || errno != EINVAL) return status;
    close(source->fd);
  }
  return PM_E_IO;
}

pm_status pm_source_open(pm_source *source, const char *path, bool cached) {
  *source = (pm_source){.fd = -1, .cached = cached};
  uint8_t *page = pm_pages_new(PM_PAGE);
  if (!page) return PM_E_MEMORY;
  pm_status status = open_at_page(source, path, page);
#if defined(POSIX_FADV_RANDOM)
  if (status == PM_OK && !source->direct && !cached) posix_fadvise(source->fd, 0, 0, POSIX_FADV_RANDOM);
#endif
  if (status == PM_OK)
    status = read_head(source, page, source->file_bytes < PM_PAGE ? (size_t)source->file_bytes : PM_PAGE);
  const int error = errno;
  pm_pages_free(page, PM_PAGE);
  if (status != PM_OK) pm_source_close(source);
  errno = error;
  return status;
}

void pm_source_close(pm_source *source) {
  if (source->head) pm_pages_free(source->head, whole_pages(source->head_bytes));
  source->head = NULL;
  if (source->fd >= 0) close(source->fd);
  source->fd = -1;
}

pm_status pm_source_program(const pm_source *source, pm_program *program, pm_place *place) {
  return pm_program_open_head(program, source->head, source->head_bytes, source->file_bytes, place);
}

pm_status pm_source_map(const pm_source *source, pm_file *file, pm_program *program) {
  pm_status status = pm_file_map_open(file, source->fd);
  if (status == PM_OK) status = file->nbytes == source->file_bytes ? pm_source_unchanged(source) : PM_E_CHANGED;
  file->fd = source->fd;
  if (status == PM_OK) program->weights = file->bytes + program->header->weights_offset;
  return status;
}
