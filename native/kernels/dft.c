/* Fourier's transform in double precision: by halves where the length is a power of two (Cooley and
   Tukey), else by its definition. */
#include "dft.h"

#include <math.h>

typedef struct {
  double re, im;
} number;

typedef struct {
  const pm_call *call;
  int64_t length;
  number *turns; /* exp(-+ 2 pi i j / length) */
  number *line, *result;
} dft;

static double element(const pm_view *view, int64_t at) {
  return view->t->dtype == PM_F32 ? (double)((const float *)view->data)[at] : ((const double *)view->data)[at];
}

static number times(number a, number b) {
  const number product = {a.re * b.re - a.im * b.im, a.re * b.im + a.im * b.re};
  return product;
}

static void take_line(const dft *d, int64_t offset) {
  const pm_view *view = &d->call->in[0], *window = &d->call->in[1];
  const pm_tensor *x = view->t;
  const int64_t step = pm_step(x, x->rank - 2), given = x->dims[x->rank - 2];
  const bool half = d->call->params[PM_DFT_HALF] != 0;
  const int64_t used = PM_MIN(given, half ? d->length / 2 + 1 : d->length);
  for (int64_t i = 0; i < d->length; i++) {
    number v = {0, 0};
    if (i < used) {
      v.re = element(view, offset + i * step);
      if (x->dims[x->rank - 1] == 2) v.im = element(view, offset + i * step + x->strides[x->rank - 1]);
      const double factor = window->t ? element(window, i * pm_step(window->t, 0)) : 1;
      v.re *= factor;
      v.im *= factor;
    }
    d->line[i] = v;
  }
  for (int64_t i = d->length / 2 + 1; half && i < d->length; i++) {
    d->line[i] = d->line[d->length - i];
    d->line[i].im = -d->line[i].im;
  }
}

static void by_definition(const dft *d, int64_t count) {
  for (int64_t k = 0; k < count; k++) {
    number sum = {0, 0};
    int64_t turn = 0;
    for (int64_t i = 0; i < d->length; i++) {
      const number v = times(d->line[i], d->turns[turn]);
      sum.re += v.re;
      sum.im += v.im;
      turn += k;
      if (turn >= d->length) turn -= d->length;
    }
    d->result[k] = sum;
  }
}

/* The line's elements go where their places' bits lie the other way round, then pairs are joined. */
static void by_halves(const dft *d) {
  int64_t turned = 0;
  for (int64_t i = 0; i < d->length; i++) {
    d->result[turned] = d->line[i];
    int64_t bit = d->length >> 1;
    for (; turned & bit; bit >>= 1) turned ^= bit;
    turned |= bit;
  }
  for (int64_t half = 1; half < d->length; half *= 2)
    for (int64_t first = 0; first < d->length; first += 2 * half)
      for (int64_t i = 0; i < half; i++) {
        number *a = &d->result[first + i], *b = a + half;
        const number v = times(*b, d->turns[i * (d->length / (2 * half))]);
        b->re = a->re - v.re;
        b->im = a->im - v.im;
        a->re += v.re;
        a->im += v.im;
      }
}

static void put_part(const pm_view *view, int64_t at, double value) {
  if (view->t->dtype == PM_F32)
    ((float *)view->data)[at] = (float)value;
  else
    ((double *)view->data)[at] = value;
}

static void keep_line(const dft *d, int64_t offset) {
  const pm_view *view = &d->call->out[0];
  const pm_tensor *y = view->t;
  const double factor = d->call->params[PM_DFT_INVERSE] ? 1 / (double)d->length : 1;
  for (int64_t k = 0; k < y->dims[y->rank - 2]; k++) {
    const int64_t at = offset + k * pm_step(y, y->rank - 2);
    put_part(view, at, d->result[k].re * factor);
    if (y->dims[y->rank - 1] == 2) put_part(view, at + y->strides[y->rank - 1], d->result[k].im * factor);
  }
}

static dft dft_of(const pm_call *call) {
  dft d = {.call = call, .length = call->params[PM_DFT_LENGTH]};
  const double sign = call->params[PM_DFT_INVERSE] ? 1 : -1;
  d.turns = (number *)call->own_scratch;
  d.line = d.turns + d.length;
  d.result = d.line + d.length;
  for (int64_t i = 0; i < d.length; i++) {
    const double angle = 6.283185307179586476925286766559 * (double)i / (double)d.length;
    d.turns[i].re = cos(angle);
    d.turns[i].im = sign * sin(angle);
  }
  return d;
}

PM_KERNEL(dft) {
  const pm_tensor *tensors[] = {call->in[0].t, call->out[0].t};
  if (!pm_count(tensors[1])) return;
  const pm_path path = pm_path_over(tensors, 2, (1u << (tensors[0]->rank - 2)) - 1);
  int64_t begin, end;
  pm_share(worker, path.count, &begin, &end);
  if (begin == end) return;
  const dft d = dft_of(call);
  for (int64_t i = begin; i < end; i++) {
    const pm_spot spot = pm_path_seek(&path, i);
    take_line(&d, spot.offset[0]);
    if (d.length & (d.length - 1))
      by_definition(&d, tensors[1]->dims[tensors[1]->rank - 2]);
    else
      by_halves(&d);
    keep_line(&d, spot.offset[1]);
  }
}
