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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size < sizeof(pm_header)) return 0;
  uint8_t *bytes = fuzz_mended(data, size);
  pm_program program;
  pm_place place;
  if (pm_program_open(&program, bytes, size, &place) == PM_OK) run(&program);
  free(bytes);
  return 0;
}
