/* The kernel maps the neighbours of a page of a file, too, when one is touched and they are in the page
   cache: up to 15 of code that nobody needs. It does not go beyond the part of the mapping that has the
   same advice, so every second page is given another. That costs the kernel 192 bytes for each page.
   Nor is it to read more of the file than is asked for: a small cgroup has no room for that. */
#define _GNU_SOURCE
#include "code.h"

#if defined(__linux__)
#include <link.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../vm/opcodes.h"

/* From the linker: where this program begins. */
extern const char __executable_start[] __attribute__((weak));

typedef struct {
  uintptr_t begin, end;
} range;

/* The parts of this program that are only read: its code, and its constants. */
static size_t find_parts(range parts[4], range *code) {
  const ElfW(Phdr) *headers = (const ElfW(Phdr) *)getauxval(AT_PHDR); /* NOLINT */
  const size_t count = getauxval(AT_PHNUM);
  const uintptr_t start = (uintptr_t)__executable_start;
  uintptr_t base = 0;
  size_t found = 0;
  *code = (range){0, 0};
  if (!headers || !start) return 0;
  for (size_t i = 0, loads = 0; i < count && found < 4; i++) {
    if (headers[i].p_type != PT_LOAD) continue;
    if (!loads++) base = start - headers[i].p_vaddr;
    if (headers[i].p_flags & PF_W) continue;
    const uintptr_t begin = base + headers[i].p_vaddr;
    parts[found++] = (range){begin, begin + headers[i].p_memsz};
    if (headers[i].p_flags & PF_X) *code = parts[found - 1];
  }
  return found;
}

static uintptr_t page_of(uintptr_t at) {
  const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
  return at / page * page;
}

static void split(range r) {
  const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
  madvise((void *)page_of(r.begin), r.end - page_of(r.begin), MADV_RANDOM);
  for (uintptr_t at = page_of(r.begin); at < r.end; at += 2 * page) madvise((void *)at, page, MADV_DONTDUMP);
}

/* The kernels of one instruction set lie side by side; what they share lies less than this around them. */
#define MARGIN ((uintptr_t)96 << 10)

static range around_kernels(const pm_kernel_table *kernels) {
  range r = {UINTPTR_MAX, 0};
  for (int i = 1; i < PM_OPCODE_COUNT; i++) {
    const uintptr_t at = (uintptr_t)kernels->kernels[i];
    if (at < r.begin) r.begin = at;
    if (at > r.end) r.end = at;
  }
  return (range){r.begin - MARGIN, r.end + MARGIN};
}

static range within(range r, uintptr_t begin, uintptr_t end) {
  return (range){r.begin > begin ? r.begin : begin, r.end < end ? r.end : end};
}

void run_split_code(const pm_kernel_table *kernels) {
  range parts[4], code;
  const size_t count = find_parts(parts, &code);
  const uintptr_t rest = (uintptr_t)pm_walk - MARGIN; /* the core, and the C library where it is linked in */
  for (size_t i = 0; i < count; i++)
    if (parts[i].begin != code.begin) split(parts[i]);
  if (rest < code.begin || rest > code.end) return;
  split(within(around_kernels(kernels), code.begin, rest));
  split((range){rest, code.end});
}

void run_drop_code(void) {
  range parts[4], code;
  const size_t count = find_parts(parts, &code);
  for (size_t i = 0; i < count; i++) {
    const uintptr_t begin = page_of(parts[i].begin);
    madvise((void *)begin, parts[i].end - begin, MADV_DONTNEED);
  }
}
#else
void run_split_code(const pm_kernel_table *kernels) { (void)kernels; }
void run_drop_code(void) {}
#endif
