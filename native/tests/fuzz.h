/* What the fuzzers of programs share. */
#ifndef PM_FUZZ_H
#define PM_FUZZ_H

#include <stdlib.h>
#include <string.h>

#include "../host/cpu.h"
#include "../vm/pelemay.h"

#define FUZZ_ENDS 16
#define FUZZ_PLANS 8
#define FUZZ_BYTES ((uint64_t)32 << 20)
#define FUZZ_COST ((uint64_t)1 << 24)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The memory of one run, each array a piece of its own so that a stray access is seen. */
typedef struct {
  uint8_t *inputs[FUZZ_ENDS], *outputs[FUZZ_ENDS], *arena, *scratch;
  pm_scratch *layout;
  pm_run_args args;
} fuzz_run;

/* What the headers of plans say of the file. */
static void fuzz_mend_plans(uint8_t *bytes, size_t size) {
  const pm_header *header = (const pm_header *)(const void *)bytes;
  const uint64_t begin = header->more.offset;
  if (begin > size || begin % 8) return;
  for (uint64_t i = 0; i < header->more.count && i < FUZZ_PLANS; i++) {
    if (size - begin < (i + 1) * sizeof(pm_header)) return;
    pm_header *plan = (pm_header *)(void *)(bytes + begin + i * sizeof(pm_header));
    plan->file_bytes = header->file_bytes;
    plan->weights_offset = header->weights_offset;
    plan->weights_bytes = header->weights_bytes;
  }
}

/* A copy in which the fields that a mutation would only break (magic, version, length, checksum) are set
   right, so that the mutations reach the tables. */
static uint8_t *fuzz_mended(const uint8_t *data, size_t size) {
  static const uint8_t magic[8] = {'P', 'L', 'M', 0, '\r', '\n', 0x1a, '\n'};
  uint8_t *bytes = aligned_alloc(64, (size + 63) / 64 * 64);
  memcpy(bytes, data, size);
  pm_header *header = (pm_header *)(void *)bytes;
  memcpy(header->magic, magic, sizeof magic);
  header->major = PM_FORMAT_MAJOR;
  header->file_bytes = size;
  memset(header->sha256, 0, sizeof header->sha256);
  header->head_crc = 0;
  fuzz_mend_plans(bytes, size);
  if (header->weights_offset <= size) header->head_crc = pm_crc32(0, bytes, (size_t)header->weights_offset);
  return bytes;
}

static bool fuzz_ends(const pm_program *program, const uint32_t *list, size_t count, uint8_t **places) {
  for (size_t i = 0; i < count; i++) {
    const uint64_t nbytes = pm_span_bytes(&program->tensors[list[i]]);
    places[i] = nbytes <= FUZZ_BYTES ? calloc((size_t)nbytes + !nbytes, 1) : NULL;
    if (!places[i]) return false;
  }
  return true;
}

/* A run takes time for every element of every operand; one that takes long teaches nothing. */
static bool fuzz_is_short(const pm_program *program) {
  uint64_t total = 0;
  for (size_t i = 0; i < program->n_operands; i++) {
    if (program->operands[i] >= program->n_tensors) continue;
    const pm_tensor *t = &program->tensors[program->operands[i]];
    uint64_t elements = 1;
    for (int k = 0; k < t->rank && elements <= FUZZ_COST; k++) elements *= t->dims[k];
    total += elements;
    if (total > FUZZ_COST) return false;
  }
  return true;
}

static pm_status fuzz_host(void *user, uint32_t instr) {
  (void)user;
  (void)instr;
  return PM_OK;
}

/* False where the run would be too large. */
static bool fuzz_begin(fuzz_run *run, const pm_program *program, int workers) {
  *run = (fuzz_run){.layout = calloc(program->n_instrs + 1, sizeof *run->layout)};
  if (program->n_inputs > FUZZ_ENDS || program->n_outputs > FUZZ_ENDS || !fuzz_is_short(program)) return false;
  const size_t scratch_bytes = pm_scratch_bytes(program, workers, run->layout);
  if (program->header->arena_bytes > FUZZ_BYTES || scratch_bytes > FUZZ_BYTES) return false;
  const size_t arena_bytes = (size_t)program->header->arena_bytes;
  run->arena = aligned_alloc(64, (arena_bytes + 64) / 64 * 64);
  run->scratch = aligned_alloc(64, (scratch_bytes + 64) / 64 * 64);
  memset(run->arena, 0, arena_bytes);
  run->args = (pm_run_args){.program = program,
                            .kernels = pm_kernels_for(getenv("PELEMAY_ISA")),
                            .arena = run->arena,
                            .scratch = run->scratch,
                            .layout = run->layout,
                            .inputs = (const uint8_t *const *)run->inputs,
                            .outputs = run->outputs,
                            .callbacks = {.host = fuzz_host}};
  return fuzz_ends(program, program->inputs, program->n_inputs, run->inputs) &&
         fuzz_ends(program, program->outputs, program->n_outputs, run->outputs);
}

static void fuzz_end(fuzz_run *run) {
  for (int i = 0; i < FUZZ_ENDS; i++) free(run->inputs[i]);
  for (int i = 0; i < FUZZ_ENDS; i++) free(run->outputs[i]);
  free(run->arena);
  free(run->scratch);
  free(run->layout);
}

#endif
