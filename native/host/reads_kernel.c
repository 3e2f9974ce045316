#define _GNU_SOURCE
#include "reads.h"

#if defined(__linux__) && UINTPTR_MAX == UINT64_MAX /* with 32 bits there are two lengths of times */

#include <linux/aio_abi.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

typedef struct {
  pm_reads reads;
  const pm_source *source;
  aio_context_t context;
  _Atomic uint32_t refused; /* bit i: the kernel did not take the read of slot i */
  pm_read wanted[PM_READ_SLOTS]; /* whole pages from the first on */
} kernel_reads;

static void begin(pm_reads *reads, uint32_t slot, pm_read read) {
  kernel_reads *r = (kernel_reads *)(void *)reads;
  const size_t before = read.offset % PM_PAGE;
  const pm_read *w = &r->wanted[slot];
  r->wanted[slot] = (pm_read){read.offset - before, before + read.nbytes, read.to - before};
  struct iocb block = {.aio_data = slot,
                       .aio_lio_opcode = IOCB_CMD_PREAD,
                       .aio_fildes = (uint32_t)r->source->fd,
                       .aio_buf = (uint64_t)(uintptr_t)w->to,
                       .aio_nbytes = (w->nbytes + PM_PAGE - 1) / PM_PAGE * PM_PAGE,
                       .aio_offset = (int64_t)w->offset};
  struct iocb *blocks[] = {&block};
  if (syscall(SYS_io_submit, r->context, 1, blocks) != 1) r->refused |= (uint32_t)1 << slot;
}

/* What the kernel did not read; if that is for a reason, the reason comes out. */
static pm_status read_rest(const kernel_reads *r, uint32_t slot, int64_t result) {
  const pm_read *w = &r->wanted[slot];
  const size_t done = result < 0 ? 0 : (size_t)result / PM_PAGE * PM_PAGE;
  if (result >= (int64_t)w->nbytes) return PM_OK;
  return pm_source_read(r->source, w->offset + done, w->nbytes - done, w->to + done);
}

static size_t ended(pm_reads *reads, pm_read_end ends[PM_READ_SLOTS], uint64_t wait_ns) {
  kernel_reads *r = (kernel_reads *)(void *)reads;
  size_t count = 0;
  const uint32_t refused = atomic_exchange(&r->refused, 0);
  for (uint32_t slot = 0; refused && slot < PM_READ_SLOTS; slot++)
    if (refused >> slot & 1) ends[count++] = (pm_read_end){slot, read_rest(r, slot, 0)};
  if (count) return count;
  struct io_event events[PM_READ_SLOTS];
  struct timespec wait = {(time_t)(wait_ns / 1000000000u), (long)(wait_ns % 1000000000u)};
  const long n = syscall(SYS_io_getevents, r->context, 1, PM_READ_SLOTS, events, &wait);
  for (; n > 0 && count < (size_t)n; count++) {
    const uint32_t slot = (uint32_t)events[count].data;
    ends[count] = (pm_read_end){slot, read_rest(r, slot, events[count].res)};
  }
  return count;
}

/* The kernel waits for what is under way. */
static void end(pm_reads *reads) {
  kernel_reads *r = (kernel_reads *)(void *)reads;
  syscall(SYS_io_destroy, r->context);
  free(r);
}

pm_reads *pm_kernel_reads_new(const pm_source *source) {
  if (!source->direct) return NULL;
  kernel_reads *r = calloc(1, sizeof *r);
  if (r && !syscall(SYS_io_setup, PM_READ_SLOTS, &r->context)) {
    r->reads = (pm_reads){begin, ended, end};
    r->source = source;
    return &r->reads;
  }
  free(r);
  return NULL;
}

#else

pm_reads *pm_kernel_reads_new(const pm_source *source) {
  (void)source;
  return NULL;
}

#endif
