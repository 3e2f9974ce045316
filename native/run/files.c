/* Arrays from files and into files. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ends.h"
#include "signals.h"

#define CHUNK ((size_t)256 << 10)

static int fail_errno(const char *file, const char *what) {
  return run_fail("%s: %s: %s", file, what, strerror(errno));
}

/* Bytes read, fewer at the end of the file; -1 and errno. */
static ssize_t read_all(int fd, uint8_t *to, size_t nbytes) {
  size_t done = 0;
  while (done < nbytes) {
    const size_t chunk = nbytes - done < CHUNK ? nbytes - done : CHUNK;
    const ssize_t count = run_signal() ? -1 : read(fd, to + done, chunk);
    if (count == 0) break;
    if (count < 0 && (errno != EINTR || run_signal())) return -1;
    if (count > 0) done += (size_t)count;
  }
  return (ssize_t)done;
}

static bool is_same(const npy_array *a, const npy_array *b) {
  if (a->dtype != b->dtype || a->rank != b->rank) return false;
  for (int i = 0; i < a->rank; i++)
    if (a->dims[i] != b->dims[i]) return false;
  return true;
}

static int fail_type(const run_end *input, const npy_array *found) {
  run_text wanted = {.count = 0}, type = {.count = 0};
  run_add_end(&wanted, input);
  run_add_type(&type, found->dtype, found->rank, found->dims);
  return run_fail("%s: it has %s, which is not what %s takes", input->file, type.bytes, wanted.bytes);
}

/* What the head of an input's file says. */
static int read_type(int fd, const run_end *input, npy_array *found) {
  uint8_t head[NPY_MOST];
  ssize_t count = read_all(fd, head, 12);
  if (count < 0) return fail_errno(input->file, "it cannot be read");
  const size_t nbytes = count == 12 ? npy_head_bytes(head) : 0;
  if (!nbytes) return run_fail("%s: it is no .npy file", input->file);
  count = read_all(fd, head + 12, nbytes - 12);
  if (count < 0) return fail_errno(input->file, "it cannot be read");
  if ((size_t)count < nbytes - 12) return run_fail("%s: it ends within its head", input->file);
  const char *wrong = npy_read_head(found, head, nbytes);
  if (wrong) {
    run_text wanted = {.count = 0};
    run_add_end(&wanted, input);
    return run_fail("%s: %s, for %s", input->file, wrong, wanted.bytes);
  }
  return RUN_OK;
}

static int read_head(int fd, const run_end *input) {
  npy_array found = {0};
  const int code = read_type(fd, input, &found);
  if (code != RUN_OK) return code;
  return is_same(&found, &input->type) ? RUN_OK : fail_type(input, &found);
}

int run_read_type(const run_end *input, npy_array *found) {
  const int fd = open(input->file, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return fail_errno(input->file, "it cannot be read");
  *found = (npy_array){0};
  const int code = read_type(fd, input, found);
  close(fd);
  return code;
}

static int read_data(int fd, const run_end *input) {
  uint8_t more;
  const ssize_t count = read_all(fd, input->data, input->nbytes);
  if (count >= 0 && (size_t)count < input->nbytes)
    return run_fail("%s: it has %lld bytes of data, and its head says %llu", input->file, (long long)count,
                    (unsigned long long)input->nbytes);
  const ssize_t beyond = count < 0 ? -1 : read_all(fd, &more, 1);
  if (beyond < 0) return fail_errno(input->file, "it cannot be read");
  return beyond ? run_fail("%s: there is more behind its data", input->file) : RUN_OK;
}

int run_read(const run_end *input, bool frugal) {
  const int fd = open(input->file, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return fail_errno(input->file, "it cannot be read");
  int code = read_head(fd, input);
  if (code == RUN_OK) code = read_data(fd, input);
#if defined(POSIX_FADV_DONTNEED)
  if (frugal) posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
#else
  (void)frugal;
#endif
  close(fd);
  return code;
}

/* Where the output will be, behind links, and its temporary name; false if that is too long. */
static bool name_of(const run_end *output, char target[PATH_MAX], char temporary[PATH_MAX]) {
  struct stat status;
  const bool link = !lstat(output->file, &status) && S_ISLNK(status.st_mode);
  if (!link || !realpath(output->file, target)) {
    if (strlen(output->file) >= PATH_MAX) return false;
    strcpy(target, output->file);
  }
  const int length = snprintf(temporary, PATH_MAX, "%s.%ld.tmp", target, (long)getpid());
  return length > 0 && length < PATH_MAX;
}

int run_create(run_end *output) {
  char target[PATH_MAX], temporary[PATH_MAX];
  struct stat status;
  output->replaces = stat(output->file, &status) || S_ISREG(status.st_mode);
  errno = ENAMETOOLONG;
  if (!output->replaces)
    output->fd = open(output->file, O_WRONLY | O_CLOEXEC);
  else if (name_of(output, target, temporary))
    output->fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  if (output->fd >= 0) return RUN_OK;
  if (errno == EEXIST) return run_fail("%s: two outputs cannot go there", output->file);
  return fail_errno(output->file, "it cannot be written");
}

/* Pages that are on the disk need not stay in memory. */
static void let_go(int fd, size_t offset, size_t nbytes) {
#if defined(__linux__)
  const unsigned all = SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER;
  if (!sync_file_range(fd, (off_t)offset, (off_t)nbytes, all))
    posix_fadvise(fd, (off_t)offset, (off_t)nbytes, POSIX_FADV_DONTNEED);
#else
  (void)fd, (void)offset, (void)nbytes;
#endif
}

static bool write_all(int fd, const uint8_t *from, size_t nbytes, bool frugal) {
  for (size_t done = 0; done < nbytes;) {
    const size_t chunk = nbytes - done < CHUNK ? nbytes - done : CHUNK;
    const ssize_t count = run_signal() ? -1 : write(fd, from + done, chunk);
    if (count < 0 && (errno != EINTR || run_signal())) return false;
    if (count < 0) continue;
    if (frugal) let_go(fd, done, (size_t)count);
    done += (size_t)count;
  }
  return true;
}

int run_write(const run_end *output, bool frugal) {
  uint8_t head[NPY_MOST];
  const size_t nbytes = npy_write_head(&output->type, head);
  if (write_all(output->fd, head, nbytes, false) && write_all(output->fd, output->data, output->nbytes, frugal))
    return RUN_OK;
  return fail_errno(output->file, "it cannot be written");
}

int run_keep(run_end *output) {
  char target[PATH_MAX], temporary[PATH_MAX];
  const int fd = output->fd;
  output->fd = -1;
  bool done = !close(fd);
  if (output->replaces) {
    name_of(output, target, temporary);
    done = done && !rename(temporary, target);
    if (!done) unlink(temporary);
  }
  return done ? RUN_OK : fail_errno(output->file, "it cannot be written");
}

void run_discard(run_end *output) {
  char target[PATH_MAX], temporary[PATH_MAX];
  if (output->fd < 0) return;
  close(output->fd);
  output->fd = -1;
  if (output->replaces && name_of(output, target, temporary)) unlink(temporary);
}
