/* libFuzzer's target: bytes are opened as a file whose weights are read through a window, planned for several
   budgets, and run twice by two workers within one of them. */
#define _GNU_SOURCE
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../host/pool.h"
#include "../host/stream.h"
#include "fuzz.h"

#define WORKERS 2

/* The checksums of the blocks are set right as well; otherwise no run would get beyond its first. */
static void mend_blocks(uint8_t *bytes, size_t size) {
  pm_program program;
  pm_place place;
  pm_header *header = (pm_header *)(void *)bytes;
  if (pm_program_open(&program, bytes, size, &place) != PM_OK) return;
  pm_block *blocks = (pm_block *)(void *)(bytes + header->blocks.offset);
  for (size_t i = 0; i < program.n_blocks; i++)
    blocks[i].crc = pm_crc32(0, program.weights + blocks[i].offset, (size_t)blocks[i].nbytes);
  header->head_crc = 0;
  header->head_crc = pm_crc32(0, bytes, (size_t)header->weights_offset);
}

static void run(const pm_source *source, const pm_program *program, uint64_t budget) {
  fuzz_run r;
  pm_stream *stream = NULL;
  pm_pool *pool = pm_pool_new(WORKERS);
  if (fuzz_begin(&r, program, WORKERS) && pm_stream_new(&stream, source, program, budget) == PM_OK) {
    r.args.blocks = pm_stream_blocks(stream);
    pm_stream_attach(stream, &r.args);
    for (int i = 0; i < 2; i++)
      if (pm_stream_begin(stream) == PM_OK) pm_pool_run(pool, &r.args);
  }
  pm_pool_free(pool);
  pm_stream_free(stream);
  fuzz_end(&r);
}

/* A budget between the least and what holds everything; the last byte says where. */
static void plan_and_run(const pm_source *source, const pm_program *program, uint8_t where) {
  pm_stream_need need = {0};
  pm_stream_need_of(program, 0, &need);
  if (need.most > FUZZ_BYTES || need.least > need.most) return;
  const uint64_t budget = need.least + (need.most - need.least) / 255 * where;
  if (pm_stream_need_of(program, budget, &need) != PM_OK) abort();
  if (need.memory > budget) abort();
  run(source, program, budget);
}

static bool write_file(int fd, const uint8_t *bytes, size_t size) {
  return !ftruncate(fd, 0) && pwrite(fd, bytes, size, 0) == (ssize_t)size;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static int fd = -1;
  static char path[32];
  if (fd < 0) {
    fd = memfd_create("program", MFD_CLOEXEC);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
  }
  if (size < sizeof(pm_header)) return 0;
  uint8_t *bytes = fuzz_mended(data, size);
  mend_blocks(bytes, size);
  pm_source source;
  pm_program program;
  pm_place place;
  if (write_file(fd, bytes, size) && pm_source_open(&source, path, false) == PM_OK) {
    if (pm_source_program(&source, &program, &place) == PM_OK)
      plan_and_run(&source, &program, data[size - 1]);
    pm_source_close(&source);
  }
  free(bytes);
  return 0;
}
