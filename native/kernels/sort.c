/* The first elements in order: a heap holds the best so far, the worst of them on top.

   Of equals the one that comes first is first; not-a-number is the largest. */
#include "sort.h"

typedef struct {
  pm_path lines; /* of x, values and places: all axes but one, */
  int64_t n, k, x_step, value_step, place_step; /* and that one */
  bool largest;
} topk;

#define TOPK(type)                                                                   \
  typedef struct {                                                                   \
    int64_t place;                                                                   \
    type value;                                                                      \
  } entry_##type;                                                                    \
  _Static_assert(sizeof(entry_##type) <= PM_TOPK_ENTRY, "the scratch that is asked for"); \
  static bool above_##type(type a, type b) { return a > b || (a != a && b == b); }   \
  static bool before_##type(const topk *t, entry_##type a, entry_##type b) {         \
    if (above_##type(a.value, b.value)) return t->largest;                           \
    if (above_##type(b.value, a.value)) return !t->largest;                          \
    return a.place < b.place;                                                        \
  }                                                                                  \
  /* Puts `e` where the top was, and moves up what comes after it. */                \
  static void sift_##type(const topk *t, entry_##type *heap, int64_t size, entry_##type e) { \
    int64_t at = 0;                                                                  \
    for (int64_t child = 1; child < size; child = 2 * at + 1) {                      \
      if (child + 1 < size && before_##type(t, heap[child], heap[child + 1])) child++; \
      if (!before_##type(t, e, heap[child])) break;                                  \
      heap[at] = heap[child];                                                        \
      at = child;                                                                    \
    }                                                                                \
    heap[at] = e;                                                                    \
  }                                                                                  \
  static void rise_##type(const topk *t, entry_##type *heap, int64_t at, entry_##type e) { \
    while (at > 0 && before_##type(t, heap[(at - 1) / 2], e)) {                      \
      heap[at] = heap[(at - 1) / 2];                                                 \
      at = (at - 1) / 2;                                                             \
    }                                                                                \
    heap[at] = e;                                                                    \
  }                                                                                  \
  static void line_##type(const topk *t, const type *x, type *values, int64_t *places, \
                          entry_##type *heap) {                                      \
    for (int64_t i = 0; i < t->n; i++) {                                             \
      const entry_##type e = {i, x[i * t->x_step]};                                  \
      if (i < t->k)                                                                  \
        rise_##type(t, heap, i, e);                                                  \
      else if (before_##type(t, e, heap[0]))                                         \
        sift_##type(t, heap, t->k, e);                                               \
    }                                                                                \
    for (int64_t last = t->k - 1; last >= 0; last--) {                               \
      if (values) values[last * t->value_step] = heap[0].value;                      \
      if (places) places[last * t->place_step] = heap[0].place;                      \
      sift_##type(t, heap, last, heap[last]);                                        \
    }                                                                                \
  }                                                                                  \
  static void topk_##type(const pm_call *call, const pm_worker *worker, const topk *t) { \
    type *values = (type *)call->out[0].data;                                        \
    int64_t *places = (int64_t *)call->out[1].data, begin, end;                      \
    pm_share(worker, t->lines.count, &begin, &end);                                  \
    for (int64_t i = begin; i < end; i++) {                                          \
      const pm_spot spot = pm_path_seek(&t->lines, i);                               \
      const type *x = (const type *)call->in[0].data + spot.offset[0];               \
      line_##type(t, x, values ? values + spot.offset[1] : NULL,                     \
                  places ? places + spot.offset[2] : NULL, (entry_##type *)call->own_scratch); \
    }                                                                                \
  }

TOPK(float)
TOPK(double)
TOPK(int8_t)
TOPK(int16_t)
TOPK(int32_t)
TOPK(int64_t)
TOPK(uint8_t)
TOPK(uint16_t)
TOPK(uint32_t)
TOPK(uint64_t)

PM_KERNEL(topk) {
  const pm_tensor *shape = pm_topk_shape(call);
  const pm_tensor *tensors[] = {call->in[0].t, call->out[0].t, call->out[1].t};
  const int axis = (int)call->params[0];
  if (!pm_count(shape)) return;
  topk t = {.n = tensors[0]->dims[axis], .k = shape->dims[axis], .largest = call->params[1]};
  t.lines = pm_path_over(tensors, 3, ~(1u << axis));
  t.x_step = pm_step(tensors[0], axis);
  t.value_step = pm_step(tensors[1], axis);
  t.place_step = pm_step(tensors[2], axis);
  switch (tensors[0]->dtype) {
    case PM_F32: topk_float(call, worker, &t); break;
    case PM_F64: topk_double(call, worker, &t); break;
    case PM_I8: topk_int8_t(call, worker, &t); break;
    case PM_I16: topk_int16_t(call, worker, &t); break;
    case PM_I32: topk_int32_t(call, worker, &t); break;
    case PM_I64: topk_int64_t(call, worker, &t); break;
    case PM_U16: topk_uint16_t(call, worker, &t); break;
    case PM_U32: topk_uint32_t(call, worker, &t); break;
    case PM_U64: topk_uint64_t(call, worker, &t); break;
    default: topk_uint8_t(call, worker, &t);
  }
}
