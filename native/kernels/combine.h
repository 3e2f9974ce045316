/* An element combined with the one that is there: what scatters do. */
#ifndef PM_COMBINE_H
#define PM_COMBINE_H

#include "elementwise.h"
#include "index.h"
#include "move.h"

typedef struct {
  unsigned kind, dtype, class;
  int64_t size; /* bytes of an element */
  pm_math_fn *function;
} pm_combine;

/* Floats are combined in double precision and rounded, which gives what their own type would. */
static inline unsigned pm_combine_class(unsigned dtype) {
  if (dtype <= PM_BF16) return PM_AS_F64;
  return dtype >= PM_U8 ? PM_AS_U64 : PM_AS_I64;
}

static inline pm_combine pm_combine_of(unsigned kind, unsigned dtype) {
  static const uint8_t codes[] = {PM_BINARY_ADD, PM_BINARY_ADD, PM_BINARY_MUL, PM_BINARY_MAX,
                                  PM_BINARY_MIN};
  const unsigned class = pm_combine_class(dtype);
  const pm_combine combine = {kind, dtype, class, (int64_t)pm_dtype_size(dtype),
                              pm_wide_binary(codes[kind], class)};
  return combine;
}

static inline void pm_combine_wide(const pm_combine *c, uint8_t *to, int64_t to_step,
                                   const uint8_t *from, int64_t from_step, int64_t count) {
  static const double none[2] = {0, 0};
  pm_block_room old, new;
  for (int64_t i = 0; i < count; i += PM_BLOCK) {
    const int64_t n = PM_MIN(count - i, PM_BLOCK);
    pm_elements_load(c->class, c->dtype, to + i * to_step, to_step, &old, n);
    pm_elements_load(c->class, c->dtype, from + i * from_step, from_step, &new, n);
    c->function(&old, &new, &old, n, none);
    pm_elements_store(c->class, c->dtype, &old, to + i * to_step, to_step, n);
  }
}

static inline void pm_combine_add(uint8_t *to, int64_t to_step, const uint8_t *from,
                                  int64_t from_step, int64_t count) {
  for (int64_t i = 0; i < count; i++) {
    float old, new;
    memcpy(&old, to + i * to_step, sizeof old);
    memcpy(&new, from + i * from_step, sizeof new);
    old += new;
    memcpy(to + i * to_step, &old, sizeof old);
  }
}

/* `count` elements at different places. */
static inline void pm_combine_row(const pm_combine *c, uint8_t *to, int64_t to_step,
                                  const uint8_t *from, int64_t from_step, int64_t count) {
  if (c->kind == PM_SCATTER_NONE)
    pm_move_row(to, to_step, from, from_step, c->size, count);
  else if (c->kind == PM_SCATTER_ADD && c->dtype == PM_F32)
    pm_combine_add(to, to_step, from, from_step, count);
  else
    pm_combine_wide(c, to, to_step, from, from_step, count);
}

#endif
