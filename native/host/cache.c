#include "cache.h"

#if defined(__x86_64__) || defined(__i386__)
#include <cpuid.h>
#include <immintrin.h>

#define LINE 64u

bool pm_can_flush(void) {
  unsigned a, b, c, d;
  return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & bit_CLFLUSHOPT);
}

__attribute__((target("clflushopt"))) void pm_flush(const uint8_t *bytes, size_t nbytes) {
  for (size_t i = 0; i < nbytes; i += LINE) _mm_clflushopt(bytes + i);
  _mm_sfence();
}
#else
bool pm_can_flush(void) { return false; }

void pm_flush(const uint8_t *bytes, size_t nbytes) {
  (void)bytes;
  (void)nbytes;
}
#endif
