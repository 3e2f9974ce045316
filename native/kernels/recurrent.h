/* The instruction `recurrent`: RNN, GRU and LSTM, in one direction or both.

   in: x (T, B, I), weights (D, G * H, I), recurrent weights (D, G * H, H); and, each of which may be
   left out, biases (D, 2 * G * H), lengths (B, int32 or int64), first state (D, B, H), first cell
   (D, B, H), peepholes (D, 3 * H). out, each of which may be left out: all states (T, D, B, H), last
   state (D, B, H), last cell (D, B, H). All are float32 with any strides but 1 along the last axis.
   G is 1 for RNN, 3 for GRU (update, reset, new), 4 for LSTM (input, output, forget, new).
   params: see below. */
#ifndef PM_RECURRENT_H
#define PM_RECURRENT_H

#include "kernel.h"

enum {
  PM_RECURRENT_X,
  PM_RECURRENT_W,
  PM_RECURRENT_R,
  PM_RECURRENT_BIAS,
  PM_RECURRENT_LENGTHS,
  PM_RECURRENT_STATE,
  PM_RECURRENT_CELL,
  PM_RECURRENT_PEEPHOLES,
  PM_RECURRENT_INPUTS
};

/* In the order of KINDS in program/lower/recurrent.py. */
typedef enum { PM_RNN, PM_GRU, PM_LSTM, PM_RECURRENT_KINDS } pm_recurrent_kind;

enum {
  PM_RECURRENT_KIND,
  PM_RECURRENT_REVERSE, /* the first direction is from the end; the second one always is */
  PM_RECURRENT_CLIP,    /* of what the gates' functions get; a double, infinite for none */
  PM_RECURRENT_FLAG,    /* GRU: the reset gate is applied behind the product; LSTM: forget = 1 - input */
  PM_RECURRENT_FUNCTIONS, /* for each of two directions three times number, alpha, beta */
  PM_RECURRENT_PARAMS = PM_RECURRENT_FUNCTIONS + 18
};

/* Functions are activations by number, or one of these. */
enum { PM_FUNCTION_AFFINE = -1, PM_FUNCTION_SCALED_TANH = -2 };

/* Units of a direction that one worker makes at a time. */
enum { PM_RECURRENT_UNITS = 16 };

typedef struct {
  pm_recurrent_kind kind;
  int64_t steps, batch, inputs, directions, gates, hidden;
  int64_t chunk; /* steps whose inputs are multiplied at a time */
} pm_recurrent;

static inline pm_recurrent pm_recurrent_of(const pm_call *call) {
  const pm_tensor *x = call->in[PM_RECURRENT_X].t, *r = call->in[PM_RECURRENT_R].t;
  pm_recurrent s = {.kind = (pm_recurrent_kind)call->params[PM_RECURRENT_KIND]};
  s.gates = s.kind == PM_RNN ? 1 : s.kind == PM_GRU ? 3 : 4;
  s.steps = x->dims[0], s.batch = x->dims[1], s.inputs = x->dims[2];
  s.directions = r->dims[0], s.hidden = r->dims[2];
  const int64_t step = s.directions * s.batch * s.gates * s.hidden;
  s.chunk = PM_MIN(PM_MAX(s.steps, 1), PM_MAX(8, PM_MIN(64, ((int64_t)1 << 18) / PM_MAX(1, step))));
  return s;
}

/* Floats of one state of all directions. */
static inline int64_t pm_recurrent_state(const pm_recurrent *s) { return s->directions * s->batch * s->hidden; }

/* Floats of the scratch: what the gates get, for a chunk of steps; the state before and after a step,
   the cell, and the state behind the reset gate. */
static inline int64_t pm_recurrent_scratch(const pm_recurrent *s) {
  return pm_recurrent_state(s) * (s->chunk * s->gates + 4);
}

#endif
