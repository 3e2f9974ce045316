/* The arrays that go in and come out: which file each has, and where in memory it lies. */
#ifndef PM_RUN_ENDS_H
#define PM_RUN_ENDS_H

#include "../vm/pelemay.h"
#include "npy.h"
#include "say.h"

typedef struct {
  const char *what; /* "input" or "output" */
  const char *name; /* NULL where the program keeps none */
  const char *file; /* NULL where none is named */
  npy_array type;
  size_t nbytes;
  uint8_t *data;
  int fd;        /* of an output that was begun; -1 otherwise */
  bool replaces; /* whether it has a temporary name */
} run_end;

/* Fill in all but the files and the places. */
void run_ends_of(const pm_program *program, const uint32_t *list, size_t count, const char *what,
                 run_end *ends);

/* Give each of the "[NAME=]FILE" to an end. The exit code. */
int run_ends_match(run_end *ends, size_t count, const char *const *given, size_t n_given);

/* "input 'x' (float32[1, 3])". */
void run_add_end(run_text *text, const run_end *end);

/* Only what the head of its file says. The exit code. */
int run_read_type(const run_end *input, npy_array *found);

/* Read the file of an input into its place. The exit code. `frugal`: nothing of it stays in the page cache. */
int run_read(const run_end *input, bool frugal);

/* Begin an output under a temporary name, next to where it will be; something other than a plain file,
   such as a pipe, is written as it is. The exit code. */
int run_create(run_end *output);
int run_write(const run_end *output, bool frugal);

/* Give it its name. */
int run_keep(run_end *output);

/* Remove what was begun and not kept. */
void run_discard(run_end *output);

#endif
