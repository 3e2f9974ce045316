#define _GNU_SOURCE
#include "say.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "signals.h"

static void say(const char *format, va_list arguments, const char *end) {
  dprintf(STDERR_FILENO, "pelemay-run: ");
  vdprintf(STDERR_FILENO, format, arguments);
  dprintf(STDERR_FILENO, "%s\n", end);
}

/* What fails after a signal may fail because of it. */
int run_fail(const char *format, ...) {
  va_list arguments;
  if (run_signal()) return RUN_FAILED;
  va_start(arguments, format);
  say(format, arguments, "");
  va_end(arguments);
  return RUN_FAILED;
}

int run_usage(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  say(format, arguments, "; see pelemay-run --help");
  va_end(arguments);
  return RUN_USAGE;
}

int run_interrupted(void) {
  dprintf(STDERR_FILENO, "pelemay-run: interrupted\n");
  return 128 + run_signal();
}

void run_add(run_text *text, const char *piece) {
  const size_t room = sizeof text->bytes - 1 - text->count, length = strlen(piece);
  const size_t taken = length < room ? length : room;
  memcpy(text->bytes + text->count, piece, taken);
  text->count += taken;
  text->bytes[text->count] = 0;
}

void run_add_number(run_text *text, uint64_t number) {
  char digits[21];
  size_t at = sizeof digits - 1;
  digits[at] = 0;
  do digits[--at] = (char)('0' + number % 10);
  while (number /= 10);
  run_add(text, digits + at);
}

/* Rounded up: a limit that is given as it was said is enough. */
void run_add_size(run_text *text, uint64_t nbytes) {
  static const char *const units[] = {" KiB", " MiB", " GiB"};
  if (nbytes < 1024) {
    run_add_number(text, nbytes);
    run_add(text, " bytes");
    return;
  }
  int unit = 0;
  while (unit < 2 && nbytes >> (10 * (unit + 2))) unit++;
  const int shift = 10 * (unit + 1);
  const uint64_t rest = nbytes & (((uint64_t)1 << shift) - 1);
  uint64_t hundredths = (rest * 100 + (((uint64_t)1 << shift) - 1)) >> shift;
  const uint64_t whole = (nbytes >> shift) + hundredths / 100;
  hundredths %= 100;
  run_add_number(text, whole);
  run_add(text, hundredths < 10 ? ".0" : ".");
  run_add_number(text, hundredths);
  run_add(text, units[unit]);
}

const char *run_dtype_name(unsigned dtype) {
  static const char *const names[] = {
#define PM_DTYPE(name, text, size) text,
#include "../vm/dtypes.def"
#undef PM_DTYPE
  };
  return dtype < PM_DTYPE_COUNT ? names[dtype] : "?";
}

void run_add_type(run_text *text, unsigned dtype, unsigned rank, const uint64_t *dims) {
  run_add(text, run_dtype_name(dtype));
  run_add(text, "[");
  for (unsigned i = 0; i < rank; i++) {
    if (i) run_add(text, ", ");
    run_add_number(text, dims[i]);
  }
  run_add(text, "]");
}
