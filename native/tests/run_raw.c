/* Runs a program on raw bytes: run_raw PROGRAM INPUTS OUTPUTS WORKERS [ISA]

   INPUTS holds the bytes of all inputs one after the other, OUTPUTS will hold those of all outputs.
   Tests use it to run the engine where there is no Python, such as in an emulator. */
#include <stdio.h>
#include <stdlib.h>

#include "../host/cpu.h"
#include "../host/file.h"
#include "../host/pool.h"

#define MAX_ENDS 64

static int fail(const char *what) {
  fprintf(stderr, "run_raw: %s\n", what);
  return 1;
}

/* Points into one block of memory; gives its size. */
static size_t place_ends(const pm_program *program, const uint32_t *list, size_t count, size_t *offsets) {
  size_t total = 0;
  for (size_t i = 0; i < count; i++) {
    offsets[i] = total;
    total += (size_t)pm_span_bytes(&program->tensors[list[i]]);
  }
  return total;
}

static int run(const pm_program *program, const pm_kernel_table *kernels, const char *in, const char *out,
               int workers) {
  size_t in_offsets[MAX_ENDS], out_offsets[MAX_ENDS];
  const size_t in_bytes = place_ends(program, program->inputs, program->n_inputs, in_offsets);
  const size_t out_bytes = place_ends(program, program->outputs, program->n_outputs, out_offsets);
  const size_t arena = ((size_t)program->header->arena_bytes + 63) / 64 * 64;
  pm_scratch *layout = calloc(program->n_instrs + 1, sizeof *layout);
  if (!layout) return fail("no memory");
  uint8_t *memory = pm_pages_new(arena + pm_scratch_bytes(program, workers, layout));
  uint8_t *inputs = calloc(in_bytes + 1, 1), *outputs = calloc(out_bytes + 1, 1);
  pm_pool *pool = pm_pool_new(workers);
  FILE *file = fopen(in, "rb");
  if (!memory || !inputs || !outputs || !pool || !file) return fail("no memory, or no inputs");
  if (fread(inputs, 1, in_bytes, file) != in_bytes) return fail("too few bytes of input");
  fclose(file);
  const uint8_t *in_places[MAX_ENDS];
  uint8_t *out_places[MAX_ENDS];
  for (size_t i = 0; i < program->n_inputs; i++) in_places[i] = inputs + in_offsets[i];
  for (size_t i = 0; i < program->n_outputs; i++) out_places[i] = outputs + out_offsets[i];
  const pm_run_args args = {.program = program,
                            .kernels = kernels,
                            .arena = memory,
                            .scratch = memory + arena,
                            .layout = layout,
                            .inputs = in_places,
                            .outputs = out_places};
  const pm_status status = pm_pool_run(pool, &args);
  pm_pool_free(pool);
  if (status != PM_OK) return fail(pm_status_text(status));
  file = fopen(out, "wb");
  if (!file || fwrite(outputs, 1, out_bytes, file) != out_bytes || fclose(file)) return fail("cannot write");
  free(inputs);
  free(outputs);
  free(layout);
  return 0;
}

int main(int count, char **arguments) {
  if (count < 5) return fail("PROGRAM INPUTS OUTPUTS WORKERS [ISA]");
  pm_file file;
  pm_program program;
  pm_place place;
  if (pm_file_map(&file, arguments[1]) != PM_OK) return fail("cannot read the program");
  const pm_status status = pm_program_open(&program, file.bytes, file.nbytes, &place);
  if (status != PM_OK) return fail(pm_status_text(status));
  if (program.n_inputs > MAX_ENDS || program.n_outputs > MAX_ENDS) return fail("too many inputs or outputs");
  const pm_kernel_table *kernels = pm_kernels_for(count > 5 ? arguments[5] : NULL);
  if (!kernels) return fail("no such instruction set");
  return run(&program, kernels, arguments[2], arguments[3], atoi(arguments[4]));
}
