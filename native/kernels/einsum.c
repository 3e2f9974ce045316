/* Einstein's summation, one number after the other; floats are added up in double precision. */
#include "einsum.h"

#define EINSUM(type, wide)                                                            \
  static type sum_##type(const pm_call *call, const pm_path *summed, const pm_spot *kept) { \
    wide sum = 0;                                                                     \
    for (int64_t at = 0; at < summed->count;) {                                       \
      pm_spot spot;                                                                   \
      const int64_t run = pm_path_run(summed, at, summed->count, &spot);              \
      for (int64_t i = 0; i < run; i++) {                                             \
        wide product = 1;                                                             \
        for (int j = 0; j < call->n_in; j++) {                                        \
          const int64_t place = kept->offset[j + 1] + spot.offset[j + 1];             \
          product *= (wide)((const type *)call->in[j].data)[place + i * pm_path_inner(summed, j + 1)]; \
        }                                                                             \
        sum += product;                                                               \
      }                                                                               \
      at += run;                                                                      \
    }                                                                                 \
    return (type)sum;                                                                 \
  }                                                                                   \
  static void einsum_##type(const pm_call *call, const pm_worker *worker, const pm_path *kept, \
                            const pm_path *summed, const pm_path *outputs) {          \
    int64_t begin, end;                                                               \
    pm_share(worker, kept->count, &begin, &end);                                      \
    for (int64_t i = begin; i < end; i++) {                                           \
      const pm_spot spot = pm_path_seek(kept, i), to = pm_path_seek(outputs, i);      \
      ((type *)call->out[0].data)[to.offset[0]] = sum_##type(call, summed, &spot);    \
    }                                                                                 \
  }

EINSUM(float, double)
EINSUM(double, double)
EINSUM(uint32_t, uint32_t)
EINSUM(uint64_t, uint64_t)

PM_KERNEL(einsum) {
  const pm_tensor whole = pm_einsum_whole(call), *y = call->out[0].t;
  const pm_tensor *tensors[1 + PM_EINSUM_OPERANDS] = {&whole};
  const uint32_t axes = (uint32_t)call->params[0];
  if (!pm_count(y)) return;
  for (int i = 0; i < call->n_in; i++) tensors[i + 1] = call->in[i].t;
  const pm_path kept = pm_path_over(tensors, 1 + call->n_in, ~axes);
  const pm_path summed = pm_path_over(tensors, 1 + call->n_in, axes);
  const pm_path outputs = pm_path_over(&y, 1, ~axes);
  switch (y->dtype) {
    case PM_F32: einsum_float(call, worker, &kept, &summed, &outputs); break;
    case PM_F64: einsum_double(call, worker, &kept, &summed, &outputs); break;
    case PM_I32: einsum_uint32_t(call, worker, &kept, &summed, &outputs); break;
    default: einsum_uint64_t(call, worker, &kept, &summed, &outputs);
  }
}
