#define _GNU_SOURCE
#include "options.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../host/file.h"
#include "say.h"

static const char help[] =
    "usage: pelemay-run MODEL [--input [NAME=]FILE]... [--output [NAME=]FILE]... [OPTION]...\n"
    "\n"
    "Run a compiled network (.plm, see 'pelemay compile') without Python.\n"
    "\n"
    "  --input [NAME=]FILE   a .npy file for an input; without a name, for the first that has none\n"
    "  --output [NAME=]FILE  where to write an output, as .npy\n"
    "  --threads N           threads to compute with; as many as there are processors\n"
    "  --memory-limit SIZE   the most that the whole process may hold, such as 12MiB; or auto: what\n"
    "                        cgroups, resource limits and the machine leave\n"
    "  --isa NAME            an instruction set instead of the best\n"
    "  --repeat N            run N times\n"
    "  --time                say how long it took, on stderr\n"
    "  --info                say what the program takes, gives and needs; without inputs, only that\n"
    "  --verify              compare the checksums of all weights; without inputs, only that\n"
    "  --help, --version\n"
    "\n"
    "examples:\n"
    "  pelemay-run model.plm --info\n"
    "  pelemay-run model.plm --input x.npy --output y.npy\n"
    "  pelemay-run model.plm --input a=left.npy --input b=right.npy --output sum=y.npy\n"
    "  pelemay-run model.plm --input x.npy --output y.npy --memory-limit 12MiB --threads 1\n"
    "\n"
    "environment: PELEMAY_MEMORY_LIMIT, PELEMAY_ISA\n"
    "exit codes: 0 fine, 1 something failed (said on stderr), 2 wrong usage, 130 interrupted\n";

static int show(const char *text) {
  size_t left = strlen(text);
  while (left) {
    const ssize_t count = write(STDOUT_FILENO, text, left);
    if (count < 0) return RUN_FAILED;
    text += count;
    left -= (size_t)count;
  }
  return RUN_OK;
}

static bool parse_number(const char **text, uint64_t *number) {
  if (**text < '0' || **text > '9') return false;
  for (*number = 0; **text >= '0' && **text <= '9'; ++*text) {
    if (*number > UINT64_MAX / 100) return false;
    *number = *number * 10 + (uint64_t)(**text - '0');
  }
  return true;
}

/* Three digits behind the point count. */
static uint64_t parse_thousandths(const char **text) {
  uint64_t thousandths = 0;
  if (**text != '.') return 0;
  ++*text;
  for (uint64_t unit = 100; **text >= '0' && **text <= '9'; ++*text, unit /= 10)
    thousandths += (uint64_t)(**text - '0') * unit;
  return thousandths;
}

bool run_parse_size(const char *text, uint64_t *nbytes) {
  static const struct {
    const char *name;
    uint64_t bytes;
  } units[] = {{"", 1},           {"B", 1},           {"KB", 1000},      {"kB", 1000},      {"MB", 1000000},
               {"GB", 1000000000}, {"KiB", 1u << 10}, {"MiB", 1u << 20}, {"GiB", 1u << 30}};
  uint64_t whole;
  if (!parse_number(&text, &whole)) return false;
  const uint64_t thousandths = parse_thousandths(&text);
  if (*text == ' ') text++;
  for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
    if (strcmp(text, units[i].name) != 0) continue;
    if (whole > (uint64_t)1 << 33) whole = (uint64_t)1 << 33; /* more than any machine, in each unit */
    *nbytes = whole * units[i].bytes + thousandths * units[i].bytes / 1000;
    return true;
  }
  return false;
}

static int take_count(const char *name, const char *text, uint64_t most, uint64_t *count) {
  const char *rest = text;
  if (parse_number(&rest, count) && !*rest && *count && *count <= most) return -1;
  return run_usage("%s %s: a number from 1 to %llu", name, text, (unsigned long long)most);
}

static int take_limit(run_options *o, const char *name, const char *text) {
  o->automatic = !strcmp(text, "auto");
  if (o->automatic) return -1;
  if (run_parse_size(text, &o->limit) && o->limit) return -1;
  return run_usage("%s %s: a size such as 12MiB (KiB, MiB, GiB, KB, MB, GB), or auto", name, text);
}

static int take_value(run_options *o, const char *name, const char *value) {
  if (!strcmp(name, "--input")) o->inputs[o->n_inputs++] = value;
  if (!strcmp(name, "--output")) o->outputs[o->n_outputs++] = value;
  if (!strcmp(name, "--isa")) o->isa = value;
  if (!strcmp(name, "--repeat")) return take_count(name, value, 1000000000, &o->repeat);
  if (!strcmp(name, "--memory-limit")) return take_limit(o, name, value);
  if (strcmp(name, "--threads") != 0) return -1;
  uint64_t threads = 0;
  const int code = take_count(name, value, PM_MAX_WORKERS, &threads);
  o->threads = (int)threads;
  return code;
}

/* The option that an argument names, up to its '='; NULL if there is none. */
static const char *find(const char *const names[], const char *argument, size_t length) {
  for (; *names; names++)
    if (strlen(*names) == length && !memcmp(*names, argument, length)) return *names;
  return NULL;
}

static int take_flag(run_options *o, const char *flag) {
  if (!strcmp(flag, "--help") || !strcmp(flag, "-h")) return show(help);
  if (!strcmp(flag, "--version")) return show("pelemay-run " PELEMAY_VERSION "\n");
  if (!strcmp(flag, "--time")) o->time = true;
  if (!strcmp(flag, "--info")) o->info = true;
  if (!strcmp(flag, "--verify")) o->verify = true;
  return -1;
}

/* One argument, or two; *at is moved past them. */
static int take_argument(run_options *o, char **arguments, int *at) {
  static const char *const flags[] = {"--help", "-h", "--version", "--time", "--info", "--verify", NULL};
  static const char *const values[] = {"--input", "--output", "--threads", "--memory-limit",
                                       "--isa",   "--repeat", NULL};
  const char *argument = arguments[(*at)++];
  if (argument[0] != '-' || !argument[1]) {
    if (o->model) return run_usage("%s: there is one model, %s", argument, o->model);
    o->model = argument;
    return -1;
  }
  const char *flag = find(flags, argument, strlen(argument));
  if (flag) return take_flag(o, flag);
  const char *equals = strchr(argument, '=');
  const char *name = find(values, argument, equals ? (size_t)(equals - argument) : strlen(argument));
  if (!name) return run_usage("%s: there is no such option", argument);
  const char *value = equals ? equals + 1 : arguments[*at] ? arguments[(*at)++] : NULL;
  return value ? take_value(o, name, value) : run_usage("%s: a value is missing", name);
}

static int take_environment(run_options *o) {
  const char *name = "PELEMAY_MEMORY_LIMIT", *limit = getenv(name);
  if (limit && *limit && !o->limit && !o->automatic) return take_limit(o, name, limit);
  const char *isa = getenv("PELEMAY_ISA");
  if (!o->isa && isa && *isa) o->isa = isa;
  return -1;
}

static int check(const run_options *o) {
  if (!o->model) return run_usage("no model is named");
  if (o->n_inputs || o->n_outputs || o->time) return -1;
  if (o->info || o->verify) return -1;
  return run_usage("nothing to do: name an --output, or --time, --info or --verify");
}

int run_parse(run_options *options, int count, char **arguments) {
  *options = (run_options){.repeat = 1};
  const size_t room = (size_t)count * sizeof(char *);
  options->inputs = (const char **)(void *)pm_pages_new(2 * room);
  if (!options->inputs) return run_fail("%s", pm_status_text(PM_E_MEMORY));
  options->outputs = options->inputs + count;
  int code = -1;
  for (int at = 1; at < count && code < 0;) code = take_argument(options, arguments, &at);
  if (code < 0) code = take_environment(options);
  return code < 0 ? check(options) : code;
}
