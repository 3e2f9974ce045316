/* Read from /proc and from the files of cgroups, of both versions. */
#define _GNU_SOURCE
#include "memory.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#define LINE 1024

/* A text file, line by line. */
typedef struct {
  int fd;
  size_t at, end;
  char bytes[512];
} reader;

static bool open_text(reader *r, const char *path) {
  r->fd = open(path, O_RDONLY | O_CLOEXEC);
  r->at = r->end = 0;
  return r->fd >= 0;
}

static int next_byte(reader *r) {
  if (r->at == r->end) {
    const ssize_t count = read(r->fd, r->bytes, sizeof r->bytes);
    if (count <= 0) return -1;
    r->at = 0;
    r->end = (size_t)count;
  }
  return (unsigned char)r->bytes[r->at++];
}

/* What does not fit into the line is left out. */
static bool next_line(reader *r, char line[LINE]) {
  size_t count = 0;
  int byte;
  while ((byte = next_byte(r)) >= 0 && byte != '\n')
    if (count + 1 < LINE) line[count++] = (char)byte;
  line[count] = 0;
  return byte >= 0 || count > 0;
}

/* A decimal number, after spaces; PM_UNLIMITED where there is none, such as for "max". */
static uint64_t number_at(const char **text) {
  while (**text == ' ' || **text == '\t') ++*text;
  if (**text < '0' || **text > '9') return PM_UNLIMITED;
  uint64_t number = 0;
  for (; **text >= '0' && **text <= '9'; ++*text) {
    const uint64_t digit = (uint64_t)(**text - '0');
    if (number > (PM_UNLIMITED - digit) / 10) return PM_UNLIMITED;
    number = number * 10 + digit;
  }
  return number;
}

/* A line "key 12" or "key: 12 kB". */
typedef struct {
  const char *key;
  uint64_t *bytes;
} field;

static void take_field(const char *line, const field *f) {
  const size_t length = strlen(f->key);
  if (strncmp(line, f->key, length) != 0) return;
  const char *text = line + length;
  if (*text == ':') text++;
  if (*text != ' ' && *text != '\t') return;
  const uint64_t number = number_at(&text);
  if (number == PM_UNLIMITED) return;
  *f->bytes = strcmp(text, " kB") == 0 ? number * 1024 : number;
}

/* Those that are not in the file stay as they are. */
static void read_fields(const char *path, const field *fields, size_t count) {
  reader r;
  char line[LINE];
  if (!open_text(&r, path)) return;
  while (next_line(&r, line))
    for (size_t i = 0; i < count; i++) take_field(line, &fields[i]);
  close(r.fd);
}

static uint64_t less(uint64_t a, uint64_t b) { return a > b ? a - b : 0; }

static uint64_t plus(uint64_t a, uint64_t b) { return a > PM_UNLIMITED - b ? PM_UNLIMITED : a + b; }

/* Where there is no /proc, the peak stands for all. */
static void ask_rusage(pm_held *held) {
  struct rusage usage;
  if (getrusage(RUSAGE_SELF, &usage)) return;
#if defined(__APPLE__)
  held->peak = (uint64_t)usage.ru_maxrss;
#else
  held->peak = (uint64_t)usage.ru_maxrss * 1024;
#endif
  held->anonymous = held->peak;
}

void pm_memory_held(pm_held *held) {
  *held = (pm_held){0};
  const field status[] = {{"RssAnon", &held->anonymous},    {"RssFile", &held->file},
                          {"RssShmem", &held->shared},      {"VmPTE", &held->page_tables},
                          {"VmHWM", &held->peak},           {"VmData", &held->data},
                          {"VmSize", &held->address_space}};
  read_fields("/proc/self/status", status, sizeof status / sizeof status[0]);
  if (!held->peak) ask_rusage(held);
  /* The kernel counts for `status` in batches of each processor; this it adds up page by page. */
  uint64_t resident = 0, anonymous = 0;
  const field rollup[] = {{"Rss", &resident}, {"Anonymous", &anonymous}};
  read_fields("/proc/self/smaps_rollup", rollup, 2);
  if (!resident) return;
  held->anonymous = anonymous;
  held->file = less(resident, anonymous + held->shared);
  if (held->peak < resident) held->peak = resident;
}

uint64_t pm_held_total(const pm_held *held) {
  return held->anonymous + held->file + held->shared + held->page_tables;
}

/* The names of what the two versions of cgroups tell in files. */
typedef struct {
  const char *type, *controller; /* of the mount */
  const char *limits[2], *usage;
  const char *inactive_file, *active_file, *mapped_file, *slab;
} version;

static const version versions[] = {
    {"cgroup2", "", {"memory.max", "memory.high"}, "memory.current", "inactive_file", "active_file",
     "file_mapped", "slab_reclaimable"},
    {"cgroup", "memory", {"memory.limit_in_bytes", NULL}, "memory.usage_in_bytes", "total_inactive_file",
     "total_active_file", "total_mapped_file", "-"},
};

/* Whether a list with commas has the word. */
static bool lists(const char *list, const char *end, const char *word) {
  const size_t length = strlen(word);
  while (list < end) {
    const char *comma = list;
    while (comma < end && *comma != ',') comma++;
    if ((size_t)(comma - list) == length && !memcmp(list, word, length)) return true;
    list = comma + 1;
  }
  return false;
}

/* The group of this process, from a line such as "4:memory:/a/b" or "0::/a/b". */
static bool find_group(const version *v, char line[LINE], const char **group) {
  reader r;
  bool found = false;
  if (!open_text(&r, "/proc/self/cgroup")) return false;
  while (!found && next_line(&r, line)) {
    const char *first = strchr(line, ':');
    const char *second = first ? strchr(first + 1, ':') : NULL;
    if (!second) continue;
    found = *v->controller ? lists(first + 1, second, v->controller) : second == first + 1;
    *group = second + 1;
  }
  close(r.fd);
  return found;
}

/* Cuts a line at its spaces; the number of parts. */
static size_t cut(char *line, char *parts[], size_t limit) {
  size_t count = 0;
  while (line && count < limit) {
    parts[count++] = line;
    line = strchr(line, ' ');
    if (line) *line++ = 0;
  }
  return count;
}

/* Where the groups are shown as folders, and which of them is the uppermost there; see proc(5). */
static bool find_mount(const version *v, char line[LINE], const char **root, const char **point) {
  reader r;
  bool found = false;
  if (!open_text(&r, "/proc/self/mountinfo")) return false;
  while (!found && next_line(&r, line)) {
    char *parts[32];
    const size_t count = cut(line, parts, 32);
    size_t dash = 6;
    while (dash < count && strcmp(parts[dash], "-") != 0) dash++;
    if (dash + 3 >= count || strcmp(parts[dash + 1], v->type) != 0) continue;
    const char *options = parts[dash + 3];
    found = !*v->controller || lists(options, options + strlen(options), v->controller);
    *root = parts[3];
    *point = parts[4];
  }
  close(r.fd);
  return found;
}

/* The folder of this process's group, and how many bytes of its name are the mount's. */
static bool find_folder(const version *v, char folder[LINE], size_t *mount) {
  char group_line[LINE], mount_line[LINE];
  const char *group, *root, *point;
  if (!find_group(v, group_line, &group) || !find_mount(v, mount_line, &root, &point)) return false;
  const size_t prefix = strcmp(root, "/") ? strlen(root) : 0;
  const bool inside = !strncmp(group, root, prefix) && (group[prefix] == '/' || !group[prefix]);
  /* A container may see the outer name of its group, and only its own folder. */
  const char *rest = inside ? group + prefix : "";
  *mount = strlen(point);
  if (*mount + strlen(rest) >= LINE) return false;
  memcpy(folder, point, *mount);
  strcpy(folder + *mount, strcmp(rest, "/") ? rest : "");
  return true;
}

static uint64_t read_number(char folder[LINE], const char *name) {
  const size_t length = strlen(folder);
  if (length + strlen(name) + 2 > LINE) return PM_UNLIMITED;
  folder[length] = '/';
  strcpy(folder + length + 1, name);
  reader r;
  char line[LINE];
  const char *text = line;
  uint64_t number = PM_UNLIMITED;
  if (open_text(&r, folder)) {
    if (next_line(&r, line)) number = number_at(&text);
    close(r.fd);
  }
  folder[length] = 0;
  return number;
}

/* What others in the group hold. Pages of files that nobody maps go when memory is short. */
static uint64_t held_by_others(const version *v, char folder[LINE], const pm_held *held) {
  const uint64_t usage = read_number(folder, v->usage);
  if (usage == PM_UNLIMITED) return 0;
  uint64_t inactive = 0, active = 0, mapped = 0, slab = 0;
  const field fields[] = {
      {v->inactive_file, &inactive}, {v->active_file, &active}, {v->mapped_file, &mapped}, {v->slab, &slab}};
  const size_t length = strlen(folder);
  strcpy(folder + length, "/memory.stat"); /* as long as the name of the limit that was read */
  read_fields(folder, fields, 4);
  folder[length] = 0;
  const uint64_t kept = less(usage, inactive + active + slab);
  return less(kept, held->anonymous + held->page_tables) + less(mapped, held->file + held->shared);
}

/* Version 1 says "none" by the greatest number of whole pages. */
static uint64_t group_limit(const version *v, char folder[LINE], const pm_held *held) {
  uint64_t limit = PM_UNLIMITED;
  for (size_t i = 0; i < 2 && v->limits[i]; i++) {
    const uint64_t number = read_number(folder, v->limits[i]);
    if (number < limit) limit = number;
  }
  return limit >> 62 ? PM_UNLIMITED : less(limit, held_by_others(v, folder, held));
}

static uint64_t cgroup_limit(const version *v, const pm_held *held) {
  char folder[LINE];
  size_t mount;
  if (!find_folder(v, folder, &mount)) return PM_UNLIMITED;
  uint64_t least = PM_UNLIMITED;
  for (;;) {
    const uint64_t limit = group_limit(v, folder, held);
    if (limit < least) least = limit;
    char *slash = strrchr(folder, '/');
    if (!slash || (size_t)(slash - folder) < mount) return least;
    *slash = 0;
  }
}

/* What is held, and what may be added to what the limit counts. */
static uint64_t rlimit(int which, uint64_t counted, const pm_held *held) {
  struct rlimit limit;
  if (getrlimit(which, &limit) || limit.rlim_cur == RLIM_INFINITY) return PM_UNLIMITED;
  return plus(pm_held_total(held), less((uint64_t)limit.rlim_cur, counted));
}

/* MemAvailable has the pages of files in it already, those that this process maps among them. */
static uint64_t available(const pm_held *held) {
  uint64_t bytes = 0;
  const field fields[] = {{"MemAvailable", &bytes}};
  read_fields("/proc/meminfo", fields, 1);
  if (bytes) return plus(bytes, pm_held_total(held) - held->file);
#if defined(_SC_PHYS_PAGES)
  const long pages = sysconf(_SC_PHYS_PAGES), size = sysconf(_SC_PAGESIZE);
  if (pages > 0 && size > 0) return (uint64_t)pages * (uint64_t)size;
#endif
  return PM_UNLIMITED;
}

void pm_memory_limits(pm_limits *limits, const pm_held *held) {
  limits->cgroup = PM_UNLIMITED;
  for (size_t i = 0; i < sizeof versions / sizeof versions[0]; i++) {
    const uint64_t limit = cgroup_limit(&versions[i], held);
    if (limit < limits->cgroup) limits->cgroup = limit;
  }
  limits->address_space = PM_UNLIMITED;
  limits->data = PM_UNLIMITED;
#if defined(RLIMIT_AS)
  limits->address_space = rlimit(RLIMIT_AS, held->address_space, held);
#endif
#if defined(RLIMIT_DATA)
  limits->data = rlimit(RLIMIT_DATA, held->data, held);
#endif
  limits->available = available(held);
}

uint64_t pm_memory_auto(const pm_limits *limits, const char **what) {
  const struct {
    uint64_t bytes;
    const char *what;
  } all[] = {{limits->cgroup, "the memory cgroup"},
             {limits->address_space, "RLIMIT_AS"},
             {limits->data, "RLIMIT_DATA"},
             {limits->available, "the memory that the machine has free"}};
  size_t least = 3;
  for (size_t i = 0; i < 3; i++)
    if (all[i].bytes < all[least].bytes) least = i;
  if (what) *what = all[least].what;
  return all[least].bytes;
}

/* A mapping of a file, from the line that begins its part of /proc/self/smaps. */
typedef struct {
  uint64_t begin, end;
  bool read_only;
} mapping;

static bool hex_at(const char **text, uint64_t *number) {
  const char *begin = *text;
  for (*number = 0;; ++*text) {
    const char c = **text;
    const int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
    if (digit < 0) return *text > begin;
    *number = *number * 16 + (uint64_t)digit;
  }
}

/* begin-end perms offset device inode path */
static bool is_mapping(const char *line, mapping *m) {
  const char *text = line;
  uint64_t begin, end, offset;
  if (!hex_at(&text, &begin) || *text++ != '-' || !hex_at(&text, &end) || *text++ != ' ') return false;
  if (strlen(text) < 5 || text[4] != ' ') return false;
  const bool writable = text[1] == 'w', shared = text[3] != 'p';
  text += 5;
  if (!hex_at(&text, &offset)) return false;
  while (*text == ' ') text++;
  while (*text && *text != ' ') text++;
  const uint64_t inode = number_at(&text);
  *m = (mapping){begin, end, !writable && !shared && inode && inode != PM_UNLIMITED};
  return true;
}

void pm_memory_trim(void) {
#ifdef MADV_DONTNEED
  reader r;
  char line[LINE];
  if (!open_text(&r, "/proc/self/smaps")) return;
  mapping m = {0};
  uint64_t own = 1;
  const field anonymous = {"Anonymous", &own};
  while (next_line(&r, line)) {
    if (is_mapping(line, &m)) {
      own = 1;
      continue;
    }
    take_field(line, &anonymous);
    if (!m.read_only || own) continue;
    madvise((void *)(uintptr_t)m.begin, (size_t)(m.end - m.begin), MADV_DONTNEED);
    m.read_only = false;
  }
  close(r.fd);
#endif
}
