/* libFuzzer's target: bytes are opened as a program, and run if they are one. */
#include "../vm/team.h"
#include "fuzz.h"

static void run(const pm_program *program) {
  fuzz_run r;
  if (fuzz_begin(&r, program, 1)) {
    pm_team team = {.count = 1};
    pm_team_reset(&team, 1);
    const pm_worker worker = {&team, 0, 1};
    pm_walk(&r.args, &worker);
  }
  fuzz_end(&r);
}

/* A plan, and the smallest and largest of its sizes. */
static void run_plan(const pm_program *file, size_t number) {
  pm_program plan, sized;
  pm_place place;
  if (pm_program_plan(&plan, file, number, &place) != PM_OK) return;
  run(&plan);
  pm_tensor *tensors = calloc(plan.n_tensors + 1, sizeof *tensors);
  int64_t *params = calloc(plan.n_params + 1, sizeof *params);
  const uint64_t sizes[2] = {0, pm_program_sizes(&plan) - 1};
  for (int i = 0; i < 2; i++)
    if (pm_program_at(&sized, &plan, sizes[i], tensors, params, &place) == PM_OK) run(&sized);
  free(tensors);
  free(params);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size < sizeof(pm_header)) return 0;
  uint8_t *bytes = fuzz_mended(data, size);
  pm_program program;
  pm_place place;
  if (pm_program_open(&program, bytes, size, &place) == PM_OK) {
    run(&program);
    for (size_t i = 0; i < program.n_plans && i < FUZZ_PLANS; i++) run_plan(&program, i);
  }
  free(bytes);
  return 0;
}
