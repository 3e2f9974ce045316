/* What the tool tells people, and its exit codes: those of the command `pelemay`. */
#ifndef PM_RUN_SAY_H
#define PM_RUN_SAY_H

#include "../vm/pelemay.h"

#define RUN_OK 0
#define RUN_FAILED 1
#define RUN_USAGE 2

#if defined(__GNUC__)
#define RUN_FORMAT __attribute__((format(printf, 1, 2)))
#else
#define RUN_FORMAT
#endif

/* One line on stderr, after the tool's name. */
int run_fail(const char *format, ...) RUN_FORMAT;  /* gives RUN_FAILED; nothing is said once a signal came */
int run_usage(const char *format, ...) RUN_FORMAT; /* gives RUN_USAGE, and says where help is */
int run_interrupted(void);                         /* gives 130, or what goes with the signal that came */

/* Text that is put together in a place of fixed size; what does not fit is left out. */
typedef struct {
  char bytes[400];
  size_t count;
} run_text;

void run_add(run_text *text, const char *piece);
void run_add_number(run_text *text, uint64_t number);
void run_add_size(run_text *text, uint64_t nbytes); /* such as "9.50 MiB" */

/* Such as "float32[1, 3, 224, 224]". */
void run_add_type(run_text *text, unsigned dtype, unsigned rank, const uint64_t *dims);

const char *run_dtype_name(unsigned dtype);

#endif
