#include "ends.h"

#include <string.h>
#include <sys/stat.h>

void run_ends_of(const pm_program *program, const uint32_t *list, size_t count, const char *what,
                 run_end *ends) {
  for (size_t i = 0; i < count; i++) {
    const pm_tensor *t = &program->tensors[list[i]];
    ends[i] = (run_end){.what = what, .fd = -1, .type = {.dtype = t->dtype, .rank = t->rank}};
    ends[i].name = t->name == PM_NONE ? NULL : program->strings + t->name;
    ends[i].nbytes = (size_t)pm_span_bytes(t);
    for (int d = 0; d < t->rank; d++) ends[i].type.dims[d] = t->dims[d];
  }
}

void run_add_end(run_text *text, const run_end *end) {
  run_add(text, end->what);
  run_add(text, " '");
  run_add(text, end->name ? end->name : "");
  run_add(text, "' (");
  run_add_type(text, end->type.dtype, end->type.rank, end->type.dims);
  run_add(text, ")");
}

static run_end *find(run_end *ends, size_t count, const char *name, size_t length) {
  for (size_t i = 0; i < count; i++)
    if (ends[i].name && strlen(ends[i].name) == length && !memcmp(ends[i].name, name, length)) return &ends[i];
  return NULL;
}

static int fail_unknown(const run_end *ends, size_t count, const char *text, size_t length) {
  run_text names = {.count = 0};
  for (size_t i = 0; i < count; i++) {
    run_add(&names, i ? ", " : "");
    run_add(&names, ends[i].name ? ends[i].name : "?");
  }
  const char *what = count ? ends[0].what : "end";
  return run_fail("%s: there is no %s '%.*s'; allowed: %s", text, what, (int)length, text, names.bytes);
}

/* The end that is named, or the first that has no file; *file is moved past the name. */
static int choose(run_end *ends, size_t count, const char *text, run_end **chosen, const char **file) {
  const char *equals = strchr(text, '=');
  struct stat status;
  *file = text;
  *chosen = NULL;
  if (equals) {
    const size_t length = (size_t)(equals - text);
    *chosen = find(ends, count, text, length);
    if (!*chosen && stat(text, &status)) return fail_unknown(ends, count, text, length);
    if (*chosen) *file = equals + 1;
  }
  for (size_t i = 0; i < count && !*chosen; i++)
    if (!ends[i].file) *chosen = &ends[i];
  return RUN_OK;
}

int run_ends_match(run_end *ends, size_t count, const char *const *given, size_t n_given) {
  for (size_t i = 0; i < n_given; i++) {
    run_end *end;
    const char *file;
    const int code = choose(ends, count, given[i], &end, &file);
    if (code) return code;
    if (!end) return run_fail("%s: there is no more than that to give a file", file);
    if (end->file) return run_fail("%s: %s '%s' has %s already", file, end->what, end->name, end->file);
    if (!*file) return run_fail("%s: a file is missing after the name", given[i]);
    end->file = file;
  }
  return RUN_OK;
}
