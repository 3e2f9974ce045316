/* One of two elements, by a condition; elements are moved as they are. */
#ifndef PM_WHERE_H
#define PM_WHERE_H

#include "move.h"
#include "nest.h"
#include "vec.h"

typedef struct {
  const pm_nest *nest;
  int64_t size; /* bytes of an element */
} pm_choice;

/* Everything one after the other; an input whose step is 0 is one element. */
#define PM_CHOOSE_DENSE(name, type) \
  static void pm_choose_##name(const uint8_t *c, const type *a, bool a_moves, const type *b, \
                               bool b_moves, type *y, int64_t n) { \
    const type first_a = *a, first_b = *b; \
    if (a_moves && b_moves) { \
      _Pragma("GCC ivdep") for (int64_t i = 0; i < n; i++) y[i] = c[i] ? a[i] : b[i]; \
    } else if (a_moves) { \
      _Pragma("GCC ivdep") for (int64_t i = 0; i < n; i++) y[i] = c[i] ? a[i] : first_b; \
    } else if (b_moves) { \
      _Pragma("GCC ivdep") for (int64_t i = 0; i < n; i++) y[i] = c[i] ? first_a : b[i]; \
    } else { \
      _Pragma("GCC ivdep") for (int64_t i = 0; i < n; i++) y[i] = c[i] ? first_a : first_b; \
    } \
  }

PM_CHOOSE_DENSE(32, uint32_t)
PM_CHOOSE_DENSE(64, uint64_t)

static void pm_choose_any(const pm_choice *choice, uint8_t *const *at, int64_t n) {
  const int64_t *step = choice->nest->inner;
  for (int64_t i = 0; i < n; i++) {
    const int from = at[1][i * step[1]] ? 2 : 3;
    pm_move_one(at[0] + i * step[0], at[from] + i * step[from], choice->size);
  }
}

static void pm_choose_row(void *context, uint8_t *const *at, int64_t n) {
  const pm_choice *choice = context;
  const int64_t *step = choice->nest->inner, size = choice->size;
  const bool dense = step[0] == size && step[1] == 1 && (step[2] == size || !step[2]) &&
                     (step[3] == size || !step[3]);
  if (dense && size == 4)
    pm_choose_32(at[1], (const void *)at[2], step[2], (const void *)at[3], step[3], (void *)at[0], n);
  else if (dense && size == 8)
    pm_choose_64(at[1], (const void *)at[2], step[2], (const void *)at[3], step[3], (void *)at[0], n);
  else
    pm_choose_any(choice, at, n);
}

#endif
