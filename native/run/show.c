/* How far a run is, for `pelemay top`: the files that src/pelemay/progress.py describes. What goes wrong with
   them stops nothing; without the variable nothing of this is done. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../vm/opcodes.h"
#include "job.h"

#define VARIABLE "PELEMAY_TOP"
#define MOST ((size_t)1 << 16) /* instructions of a program that are shown */

static bool name_file(char path[PATH_MAX], const char *ending) {
  const int length = snprintf(path, PATH_MAX, "%s/%ld-0.%s", getenv(VARIABLE), (long)getpid(), ending);
  return length > 0 && length < PATH_MAX;
}

static const char *opcode_name(unsigned opcode) {
  static const char *const names[] = {
      "host",
#define PM_OP(name) #name,
#include "../vm/opcodes.def"
#undef PM_OP
  };
  return opcode < PM_OPCODE_COUNT ? names[opcode] : "?";
}

/* A file that is written by pieces. */
typedef struct {
  int fd;
  bool failed;
  size_t count;
  char bytes[1024];
} writer;

static void flush(writer *w) {
  for (size_t done = 0; done < w->count && !w->failed;) {
    const ssize_t written = write(w->fd, w->bytes + done, w->count - done);
    w->failed = written < 0 && errno != EINTR;
    if (written > 0) done += (size_t)written;
  }
  w->count = 0;
}

static void put(writer *w, const char *text) {
  for (; *text; text++) {
    if (w->count == sizeof w->bytes) flush(w);
    w->bytes[w->count++] = *text;
  }
}

/* Inside of a string of JSON. Names are of any bytes; those that are not ASCII stay as they are. */
static void put_escaped(writer *w, const char *text) {
  for (; *text; text++) {
    const char piece[] = {*text, 0};
    if (*text == '"' || *text == '\\') put(w, "\\");
    put(w, (unsigned char)*text < ' ' ? "?" : piece);
  }
}

static bool write_names(const char *path, const pm_program *p) {
  writer w = {.fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600)};
  if (w.fd < 0) return false;
  put(&w, "{\"instructions\": [");
  for (size_t i = 0; i < p->n_instrs; i++) {
    const pm_instr *instr = &p->instrs[i];
    put(&w, i ? ", \"" : "\"");
    put(&w, opcode_name(instr->opcode));
    if (instr->name != PM_NONE && p->strings[instr->name]) {
      put(&w, "  ");
      put_escaped(&w, p->strings + instr->name);
    }
    put(&w, "\"");
  }
  put(&w, "]}");
  flush(&w);
  return !close(w.fd) && !w.failed;
}

/* Only as large as it is used. */
static uint64_t *map_times(const char *path, size_t nbytes) {
  const int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (fd < 0) return NULL;
  void *times = ftruncate(fd, (off_t)nbytes) ? MAP_FAILED
                                             : mmap(NULL, nbytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  close(fd);
  return times == MAP_FAILED ? NULL : times;
}

void run_show(run_job *job) {
  const char *folder = getenv(VARIABLE);
  const pm_program *p = &job->program;
  char names[PATH_MAX], path[PATH_MAX];
  if (!folder || !*folder || p->n_instrs > MOST) return;
  if (mkdir(folder, 0700) && errno != EEXIST) return;
  if (!name_file(path, "times")) return;
  job->times_bytes = ((p->n_instrs + 1) * sizeof *job->times + PM_PAGE - 1) / PM_PAGE * PM_PAGE;
  job->times = map_times(path, job->times_bytes);
  if (job->times && name_file(path, "new") && name_file(names, "json") && write_names(path, p) && !rename(path, names))
    return;
  run_hide(job);
}

void run_hide(run_job *job) {
  static const char *const endings[] = {"json", "times", "new"};
  char path[PATH_MAX];
  if (!job->times_bytes) return;
  for (size_t i = 0; i < sizeof endings / sizeof endings[0]; i++)
    if (name_file(path, endings[i])) unlink(path);
  if (job->times) munmap(job->times, job->times_bytes);
  job->times = NULL;
  job->times_bytes = 0;
}
