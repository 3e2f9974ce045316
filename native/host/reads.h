/* Reads that are under way while their caller does something else.

   The kernel's own begin one after the other at the disk, whether or not a processor is free in between: threads
   that read and sleep get their turns late while all processors compute. Threads are for where the kernel has
   none, and for reads through the page cache, which it would do at once. */
#ifndef PM_READS_H
#define PM_READS_H

#include "source.h"

#define PM_READ_SLOTS 32           /* reads under way have different ones */
#define PM_READS_BYTES (32u << 10) /* what is held for them: of the kernel's, or stacks as far as they are touched */

/* As pm_source_read() takes it. */
typedef struct {
  uint64_t offset;
  size_t nbytes;
  uint8_t *to;
} pm_read;

typedef struct {
  uint32_t slot;
  pm_status status;
} pm_read_end;

typedef struct pm_reads pm_reads;
struct pm_reads {
  /* `slot` is below PM_READ_SLOTS, and of no other read that is under way. By one thread at a time. */
  void (*begin)(pm_reads *reads, uint32_t slot, pm_read read);

  /* Reads that came to their end, in any order; waits for one of them at most so long. By one thread at a time,
     which may be another than the one that begins reads meanwhile. */
  size_t (*ended)(pm_reads *reads, pm_read_end ends[PM_READ_SLOTS], uint64_t wait_ns);

  /* Waits for all that are under way. */
  void (*free)(pm_reads *reads);
};

/* The source must outlive them. NULL without memory, and where the kernel gives no reads that go on by
   themselves. */
pm_reads *pm_kernel_reads_new(const pm_source *source);
pm_reads *pm_thread_reads_new(const pm_source *source);

#endif
