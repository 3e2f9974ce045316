#include "cpu.h"

#include <string.h>

#if defined(__x86_64__) || defined(__i386__)
#include <cpuid.h>
#elif defined(__aarch64__) && defined(__linux__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

#include "../kernels/kernel.h"

#define ISA(name) extern const pm_kernel_table PM_JOIN(pm_kernels_, name);
#include "isas.def"
#undef ISA

#if defined(__x86_64__) || defined(__i386__)
/* clang 14 does not know it by its name. */
static bool has_f16c(void) {
  unsigned a, b, c, d;
  return __get_cpuid(1, &a, &b, &c, &d) && (c & bit_F16C);
}
#endif

static bool is_there(const char *isa) {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_cpu_init();
  const bool has_512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
                       __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
  if (!strcmp(isa, "avx512vnni")) return has_512 && __builtin_cpu_supports("avx512vnni");
  if (!strcmp(isa, "avx512")) return has_512;
  if (!strcmp(isa, "avx2"))
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && has_f16c();
#elif defined(__aarch64__) && defined(__linux__)
  if (!strcmp(isa, "neondot")) return getauxval(AT_HWCAP) & HWCAP_ASIMDDP;
#elif defined(__aarch64__) && !defined(__APPLE__)
  if (!strcmp(isa, "neondot")) return false;
#else
  (void)isa;
#endif
  return true;
}

static const pm_kernel_table *const tables[] = {
#define ISA(name) &PM_JOIN(pm_kernels_, name),
#include "isas.def"
#undef ISA
};

#define COUNT (sizeof tables / sizeof tables[0])

const pm_kernel_table *pm_kernels_for(const char *isa) {
  for (size_t i = 0; i < COUNT; i++)
    if ((!isa || !strcmp(isa, tables[i]->isa)) && is_there(tables[i]->isa)) return tables[i];
  return NULL;
}

const char *const *pm_isas(void) {
  static const char *const all[] = {
#define ISA(name) #name,
#include "isas.def"
#undef ISA
      NULL};
  size_t first = 0;
  while (first < COUNT - 1 && !is_there(all[first])) first++;
  return all + first;
}

const char *pm_kernels_isa(const pm_kernel_table *kernels) { return kernels->isa; }
