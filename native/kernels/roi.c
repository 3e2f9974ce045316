#include "roi.h"

#include <math.h>

#include "elements.h"

static uint8_t *output_at(const pm_call *call, int64_t region, int64_t channel, int64_t row,
                          int64_t column) {
  const pm_tensor *y = call->out[0].t;
  return call->out[0].data + region * pm_step_of(y, 0, 4) + channel * pm_step_of(y, 1, 4) +
         row * pm_step_of(y, 2, 4) + column * pm_step_of(y, 3, 4);
}

/* The image that a region is of; NULL if there is none. */
static const uint8_t *image_of(const pm_call *call, const pm_worker *worker, double image) {
  const pm_tensor *x = call->in[0].t;
  if (image >= 0 && image < (double)x->dims[0])
    return call->in[0].data + (int64_t)image * pm_step_of(x, 0, 4);
  pm_fail(worker, PM_E_INDEX);
  return NULL;
}

/* What a region covers along an axis: its start and the size of an output, in pixels. */
typedef struct {
  double start, extent;
  int64_t samples; /* along an output */
} span;

/* In single precision where the regions are, because the number of samples is rounded up. */
static span span_of(const pm_call *call, double low, double high, int64_t outputs) {
  const bool half = call->params[1] != 0, is_single = call->in[0].t->dtype != PM_F64;
  const double scale = pm_param_f64(call->params[3]), shift = half ? 0.5 : 0;
  double start = low * scale - shift, length = high * scale - shift - start;
  if (is_single) {
    const float times = (float)scale, less = (float)shift;
    const float first = (float)low * times - less, last = (float)high * times - less;
    start = first, length = last - first;
  }
  if (!half && length < 1) length = 1;
  const double extent = is_single ? (double)((float)length / (float)outputs) : length / (double)outputs;
  const double whole = ceil(extent), most = 0x1p20;
  span s = {start, extent, call->params[2]};
  if (!s.samples) s.samples = whole > 0 ? (int64_t)(whole < most ? whole : most) : 0;
  return s;
}

/* Two neighbouring pixels along an axis and their shares. */
typedef struct {
  int64_t pixels[2];
  double shares[2];
} pair;

static pair pair_of(const span *s, int64_t output, int64_t sample, int64_t size) {
  const double step = s->extent / (double)s->samples;
  const double where = s->start + ((double)(output * s->samples + sample) + 0.5) * step;
  const double inside = where >= -1 && where <= (double)size, last = (double)size - 1;
  const double held = where > 0 ? (where < last ? where : last) : 0, low = floor(held);
  const int64_t first = (int64_t)low;
  const double share = held - low;
  return (pair){{first, PM_MIN(first + 1, size - 1)}, {(1 - share) * inside, share * inside}};
}

/* The four pixels around a sample, added to the sums of all channels, or their largest kept. */
static void take_sample(const pm_call *call, const uint8_t *image, const pair *row, const pair *column,
                        double *sums) {
  const pm_tensor *x = call->in[0].t;
  const bool largest = call->params[0] != 0;
  for (int i = 0; i < 4; i++) {
    const double weight = row->shares[i / 2] * column->shares[i % 2];
    const uint8_t *from = image + row->pixels[i / 2] * pm_step_of(x, 2, 4) +
                          column->pixels[i % 2] * pm_step_of(x, 3, 4);
    for (int64_t c = 0; c < x->dims[1]; c++) {
      const double value = weight * pm_element_at(from + c * pm_step_of(x, 1, 4), x->dtype);
      sums[c] = !largest ? sums[c] + value : value > sums[c] ? value : sums[c];
    }
  }
}

static void align_output(const pm_call *call, const uint8_t *image, const span *tall, const span *wide,
                         int64_t row, int64_t column, double *sums) {
  const pm_tensor *x = call->in[0].t;
  const int64_t samples = tall->samples * wide->samples;
  for (int64_t c = 0; c < x->dims[1]; c++) sums[c] = call->params[0] && samples ? -INFINITY : 0;
  for (int64_t i = 0; i < tall->samples; i++)
    for (int64_t j = 0; j < wide->samples; j++) {
      const pair rows = pair_of(tall, row, i, x->dims[2]);
      const pair columns = pair_of(wide, column, j, x->dims[3]);
      take_sample(call, image, &rows, &columns, sums);
    }
  if (!call->params[0] && samples)
    for (int64_t c = 0; c < x->dims[1]; c++) sums[c] /= (double)samples;
}

/* The numbers of a region. */
static void read_region(const pm_call *call, int64_t region, int count, double *numbers) {
  const pm_tensor *t = call->in[1].t;
  const uint8_t *from = call->in[1].data + region * pm_step_of(t, 0, 2);
  for (int i = 0; i < count; i++) numbers[i] = pm_element_at(from + i * pm_step_of(t, 1, 2), t->dtype);
}

PM_KERNEL(roi_align) {
  const pm_tensor *x = call->in[0].t, *y = call->out[0].t;
  double *sums = (double *)(void *)call->own_scratch;
  int64_t begin, end;
  if (!pm_count(y)) return;
  pm_share(worker, (int64_t)y->dims[0] * y->dims[2], &begin, &end);
  for (int64_t part = begin; part < end; part++) {
    const int64_t region = part / y->dims[2], row = part % y->dims[2];
    int64_t number;
    memcpy(&number, call->in[2].data + region * pm_step_of(call->in[2].t, 0, 1), sizeof number);
    const uint8_t *image = image_of(call, worker, (double)number);
    if (!image || !x->dims[2] || !x->dims[3]) continue;
    double edges[4];
    read_region(call, region, 4, edges);
    const span wide = span_of(call, edges[0], edges[2], y->dims[3]);
    const span tall = span_of(call, edges[1], edges[3], y->dims[2]);
    for (int64_t column = 0; column < y->dims[3]; column++) {
      align_output(call, image, &tall, &wide, row, column, sums);
      for (int64_t c = 0; c < y->dims[1]; c++)
        pm_elements_store(PM_AS_F64, y->dtype, &sums[c], output_at(call, region, c, row, column), 0, 1);
    }
  }
}

/* A region's edge as a whole pixel; halves are rounded away from 0. */
static double pixel_of(double edge, double scale, bool is_single) {
  const double scaled = is_single ? (double)((float)edge * (float)scale) : edge * scale;
  return copysign(floor(fabs(scaled) + 0.5), scaled);
}

static int64_t held(double x, int64_t most) { return x > 0 ? (x < (double)most ? (int64_t)x : most) : 0; }

/* Pixels [*begin, *end) of an output's part of a range, of which there are `count`. */
static void part_of(double first, double last, int64_t output, int64_t count, int64_t size, int64_t *begin,
                    int64_t *end) {
  const double length = last - first + 1, step = (length > 1 ? length : 1) / (double)count;
  *begin = held(floor((double)output * step) + first, size);
  *end = held(ceil((double)(output + 1) * step) + first, size);
}

static double largest_in(const pm_call *call, const uint8_t *plane, const int64_t *rows,
                         const int64_t *columns) {
  const pm_tensor *x = call->in[0].t;
  if (rows[0] >= rows[1] || columns[0] >= columns[1]) return 0;
  double largest = -INFINITY;
  for (int64_t i = rows[0]; i < rows[1]; i++)
    for (int64_t j = columns[0]; j < columns[1]; j++) {
      const uint8_t *from = plane + i * pm_step_of(x, 2, 4) + j * pm_step_of(x, 3, 4);
      const double value = pm_element_at(from, x->dtype);
      largest = value > largest || value != value ? value : largest;
    }
  return largest;
}

PM_KERNEL(max_roi_pool) {
  const pm_tensor *x = call->in[0].t, *y = call->out[0].t;
  const double scale = pm_param_f64(call->params[0]);
  const int64_t count = pm_count(y);
  int64_t begin, end;
  if (!count) return;
  pm_share(worker, count, &begin, &end);
  for (int64_t part = begin; part < end; part++) {
    const int64_t column = part % y->dims[3], row = part / y->dims[3] % y->dims[2];
    const int64_t channel = part / y->dims[3] / y->dims[2] % y->dims[1];
    const int64_t region = part / y->dims[3] / y->dims[2] / y->dims[1];
    double numbers[5];
    read_region(call, region, 5, numbers);
    const uint8_t *image = image_of(call, worker, numbers[0]);
    if (!image) continue;
    double edges[4];
    for (int i = 0; i < 4; i++) edges[i] = pixel_of(numbers[i + 1], scale, x->dtype != PM_F64);
    int64_t rows[2], columns[2];
    part_of(edges[1], edges[3], row, y->dims[2], x->dims[2], &rows[0], &rows[1]);
    part_of(edges[0], edges[2], column, y->dims[3], x->dims[3], &columns[0], &columns[1]);
    const double largest = largest_in(call, image + channel * pm_step_of(x, 1, 4), rows, columns);
    pm_elements_store(PM_AS_F64, y->dtype, &largest, output_at(call, region, channel, row, column), 0, 1);
  }
}
