/* What a stream reads while its caller waits, and the checksums of what was read. */
#ifndef PM_STREAM_READ_H
#define PM_STREAM_READ_H

#include <stdatomic.h>

#include "stream_plan.h"

typedef struct {
  const pm_source *source;
  const pm_program *program;
  const pm_stream_plan *plan;
  uint8_t *memory;
} pm_stream_files;

/* PM_E_CRC, or PM_E_CHANGED if the file is no longer what it was. */
pm_status pm_stream_check_load(const pm_stream_files *files, const pm_load *load);

/* The small blocks that stay; and the checksums of tables of which only rows will be read. `failed` and, where it is
   not NULL, `polling` are asked now and then. */
pm_status pm_stream_read_small(const pm_stream_files *files, const _Atomic int *failed, const pm_callbacks *polling);

/* The rows that a gather takes, where they would lie if the whole table did. An index that is out of range is the
   kernel's to report. `streamed`: where its second operand lies, if it is of the weights. */
pm_status pm_stream_read_rows(const pm_stream_files *files, const pm_table *table, const pm_run_args *args,
                              const uint8_t *streamed);

#endif
