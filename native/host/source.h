/* A program's file that is read, not mapped: its head in memory, its weights whenever they are asked for.

   Nothing of the file is mapped, so that no other program's change of it can end the process, and
   what is read does not stay in the page cache, which a limit of a cgroup counts. */
#ifndef PM_SOURCE_H
#define PM_SOURCE_H

#include "file.h"

typedef struct {
  int fd;
  bool direct;   /* whether reads go past the page cache */
  bool cached;   /* whether what is read may stay in it */
  uint8_t *head; /* all that comes before the weights, in pages of their own */
  size_t head_bytes;
  uint64_t file_bytes;
  int64_t modified[2]; /* seconds and nanoseconds, as they were when it was opened */
} pm_source;

/* Read the head. errno says what went wrong after PM_E_IO. `cached`: the file will be mapped, and may stay in
   the page cache. */
pm_status pm_source_open(pm_source *source, const char *path, bool cached);
void pm_source_close(pm_source *source);

/* Check the head, as pm_program_open() checks a whole file; the program has no weights then. */
pm_status pm_source_program(const pm_source *source, pm_program *program, pm_place *place);

/* Map the file and let the program find its weights there; the tables stay where the head was read to, so that
   what was checked cannot change. The source stays open for as long as it is mapped. PM_E_CHANGED if the file is no
   longer what it was. */
pm_status pm_source_map(const pm_source *source, pm_file *file, pm_program *program);

/* Read [offset, offset + nbytes) of the file to `to`, which lies as far from a multiple of PM_PAGE as
   `offset`; whole pages around it may be written. */
#define PM_PAGE 4096u
pm_status pm_source_read(const pm_source *source, uint64_t offset, size_t nbytes, uint8_t *to);

/* PM_E_CHANGED if the file is no longer what it was when it was opened. */
pm_status pm_source_unchanged(const pm_source *source);

#endif
