/* The command line of pelemay-run. */
#ifndef PM_RUN_OPTIONS_H
#define PM_RUN_OPTIONS_H

#include "../vm/pelemay.h"

typedef struct {
  const char *model, *isa;
  const char **inputs, **outputs; /* "[NAME=]FILE", in the order given */
  size_t n_inputs, n_outputs;
  int threads;     /* 0 where none are named */
  uint64_t repeat; /* at least 1 */
  uint64_t limit;  /* bytes; 0 where there is none */
  bool automatic;  /* as much as the system leaves */
  bool time, info, verify;
} run_options;

/* A number with B, KB, MB, GB, KiB, MiB or GiB; false if it is none. */
bool run_parse_size(const char *text, uint64_t *nbytes);

/* -1 to go on; otherwise the exit code, and everything is said. */
int run_parse(run_options *options, int count, char **arguments);

#endif
