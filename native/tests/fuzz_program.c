/* libFuzzer's target: bytes are opened as a program, and run if they are one.

   The fields that a mutation would only break (magic, version, length, checksum) are set right, so
   that the mutations reach the tables. */
#include <stdlib.h>
#include <string.h>

#include "../host/cpu.h"
#include "../host/file.h"
#include "../vm/team.h"

#define MAX_ENDS 16
#define MAX_BYTES ((uint64_t)32 << 20)
#define MAX_COST ((uint64_t)1 << 24)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void mend(uint8_t *bytes, size_t size) {
  static const uint8_t magic[8] = {'P', 'L', 'M', 0, '\r', '\n', 0x1a, '\n'};
  pm_header *header = (pm_header *)(void *)bytes;
  memcpy(header->magic, magic, sizeof magic);
  header->major = PM_FORMAT_MAJOR;
  header->file_bytes = size;
  memset(header->sha256, 0, sizeof header->sha256);
  header->head_crc = 0;
  if (header->weights_offset <= size) header->head_crc = pm_crc32(0, bytes, (size_t)header->weights_offset);
}

/* Memory for the inputs or outputs, each a piece of its own so that a stray access is seen. */
static bool make_ends(const pm_program *program, const uint32_t *list, size_t count, uint8_t **places) {
  for (size_t i = 0; i < count; i++) {
    const uint64_t nbytes = pm_span_bytes(&program->tensors[list[i]]);
    places[i] = nbytes <= MAX_BYTES ? calloc((size_t)nbytes + !nbytes, 1) : NULL;
    if (!places[i]) return false;
  }
  return true;
}

/* A run takes time for every element of every operand; one that takes long teaches nothing. */
static bool is_short(const pm_program *program) {
  uint64_t total = 0;
  for (size_t i = 0; i < program->n_operands; i++) {
    if (program->operands[i] >= program->n_tensors) continue;
    const pm_tensor *t = &program->tensors[program->operands[i]];
    uint64_t elements = 1;
    for (int k = 0; k < t->rank && elements <= MAX_COST; k++) elements *= t->dims[k];
    total += elements;
    if (total > MAX_COST) return false;
  }
  return true;
}

static pm_status no_host(void *user, uint32_t instr) {
  (void)user;
  (void)instr;
  return PM_OK;
}

static void run(const pm_program *program) {
  uint8_t *inputs[MAX_ENDS] = {NULL}, *outputs[MAX_ENDS] = {NULL};
  pm_scratch *layout = calloc(program->n_instrs + 1, sizeof *layout);
  const size_t scratch_bytes = pm_scratch_bytes(program, 1, layout);
  if (program->header->arena_bytes > MAX_BYTES || scratch_bytes > MAX_BYTES) {
    free(layout);
    return;
  }
  const size_t arena_bytes = (size_t)program->header->arena_bytes;
  uint8_t *arena = aligned_alloc(64, (arena_bytes + 64) / 64 * 64);
  uint8_t *scratch = aligned_alloc(64, (scratch_bytes + 64) / 64 * 64);
  memset(arena, 0, arena_bytes);
  if (make_ends(program, program->inputs, program->n_inputs, inputs) &&
      make_ends(program, program->outputs, program->n_outputs, outputs)) {
    pm_team team = {.count = 1};
    pm_team_reset(&team, 1);
    const pm_worker worker = {&team, 0, 1};
    const pm_run_args args = {.program = program,
                              .kernels = pm_kernels_for(getenv("PELEMAY_ISA")),
                              .arena = arena,
                              .scratch = scratch,
                              .layout = layout,
                              .inputs = (const uint8_t *const *)inputs,
                              .outputs = outputs,
                              .callbacks = {.host = no_host}};
    pm_walk(&args, &worker);
  }
  for (int i = 0; i < MAX_ENDS; i++) free(inputs[i]);
  for (int i = 0; i < MAX_ENDS; i++) free(outputs[i]);
  free(arena);
  free(scratch);
  free(layout);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size < sizeof(pm_header)) return 0;
  uint8_t *bytes = aligned_alloc(64, (size + 63) / 64 * 64);
  memcpy(bytes, data, size);
  mend(bytes, size);
  pm_program program;
  pm_place place;
  const pm_status status = pm_program_open(&program, bytes, size, &place);
  if (status == PM_OK && program.n_inputs <= MAX_ENDS && program.n_outputs <= MAX_ENDS && is_short(&program))
    run(&program);
  free(bytes);
  return 0;
}
