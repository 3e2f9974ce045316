/* Weights that lie narrower than they are computed with: halves, bfloat16, or int8 with a scale for
   each output channel.

   They are panels as those of float32, (panels, steps of the sum, 16). A kernel widens the piece that
   it works on into scratch, and then does what it does with float32. */
#ifndef PM_WIDEN_H
#define PM_WIDEN_H

#include "gemm.h"

typedef struct {
  const uint8_t *data;
  const float *scales; /* of int8: one for each column, the last panel filled up; else NULL */
  int64_t steps;       /* of a panel */
  pm_dtype dtype;
} pm_narrow;

/* Number of the operand that holds the scales; it is left out where the type needs none. */
#define PM_SCALES 4

static inline bool pm_is_narrow(const pm_call *call) { return call->in[1].t->dtype != PM_F32; }

static inline const pm_view *pm_scales_of(const pm_call *call) {
  return call->n_in > PM_SCALES ? &call->in[PM_SCALES] : NULL;
}

static inline pm_narrow pm_narrow_of(const pm_call *call) {
  const pm_view *scales = pm_scales_of(call);
  const pm_tensor *t = call->in[1].t;
  return (pm_narrow){call->in[1].data, scales ? (const float *)scales->data : NULL, t->dims[1],
                     (pm_dtype)t->dtype};
}

/* Steps [first, first + steps) of a panel, of which 16 floats each go to `to`. */
void PM_FOR_ISA(pm_widen)(const pm_narrow *weights, int64_t panel, int64_t first, int64_t steps,
                          float *to);

/* The same steps of panels [panel, panel + panels), one after the other. */
static inline void pm_widen_panels(const pm_narrow *weights, int64_t panel, int64_t panels,
                                   int64_t first, int64_t steps, float *to) {
  for (int64_t i = 0; i < panels; i++)
    PM_FOR_ISA(pm_widen)(weights, panel + i, first, steps, to + i * steps * PM_PANEL);
}

/* Of widen_check.c: whether there are as many operands as the type of packed weights needs, and the
   scales are those of its panels. */
bool pm_is_stored(const pm_call *call);

#endif
