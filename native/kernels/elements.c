#include "elements.h"

#include "half.h"

size_t pm_class_size(unsigned class) { return class == PM_AS_F32 ? 4 : 8; }

unsigned pm_class_dtype(unsigned class) {
  static const uint8_t dtypes[] = {
#define PM_CLASS(name, text, type) PM_##name,
#include "classes.def"
#undef PM_CLASS
  };
  return dtypes[class];
}

static int64_t whole_of(double x) { return x >= -0x1p63 && x < 0x1p63 ? (int64_t)x : INT64_MIN; }

static uint64_t natural_of(double x) {
  return x >= 0x1p63 && x < 0x1p64 ? (uint64_t)x : (uint64_t)whole_of(x);
}

/* For each element type: its C type in memory, whether it is a FLOAT or a WHOLE number, and the number
   that x in memory is. */
#define F32_TYPE(X, ...) X(__VA_ARGS__, F32, float, FLOAT, x)
#define F64_TYPE(X, ...) X(__VA_ARGS__, F64, double, FLOAT, x)
#define F16_TYPE(X, ...) X(__VA_ARGS__, F16, uint16_t, FLOAT, pm_from_half(x))
#define BF16_TYPE(X, ...) X(__VA_ARGS__, BF16, uint16_t, FLOAT, pm_from_bfloat(x))
#define I8_TYPE(X, ...) X(__VA_ARGS__, I8, int8_t, WHOLE, x)
#define I16_TYPE(X, ...) X(__VA_ARGS__, I16, int16_t, WHOLE, x)
#define I32_TYPE(X, ...) X(__VA_ARGS__, I32, int32_t, WHOLE, x)
#define I64_TYPE(X, ...) X(__VA_ARGS__, I64, int64_t, WHOLE, x)
#define U8_TYPE(X, ...) X(__VA_ARGS__, U8, uint8_t, WHOLE, x)
#define U16_TYPE(X, ...) X(__VA_ARGS__, U16, uint16_t, WHOLE, x)
#define U32_TYPE(X, ...) X(__VA_ARGS__, U32, uint32_t, WHOLE, x)
#define U64_TYPE(X, ...) X(__VA_ARGS__, U64, uint64_t, WHOLE, x)
#define BOOL_TYPE(X, ...) X(__VA_ARGS__, BOOL, uint8_t, WHOLE, x != 0)

/* What a number v of a kind is in memory. */
#define TO_F32(kind, v) (float)(v)
#define TO_F64(kind, v) (double)(v)
#define TO_F16(kind, v) HALF_OF_##kind(v)
#define TO_BF16(kind, v) pm_to_bfloat((float)(v))
#define TO_I8(kind, v) (int8_t)WHOLE_OF_##kind(v)
#define TO_I16(kind, v) (int16_t)WHOLE_OF_##kind(v)
#define TO_I32(kind, v) (int32_t)WHOLE_OF_##kind(v)
#define TO_I64(kind, v) (int64_t)WHOLE_OF_##kind(v)
#define TO_U8(kind, v) (uint8_t)WHOLE_OF_##kind(v)
#define TO_U16(kind, v) (uint16_t)WHOLE_OF_##kind(v)
#define TO_U32(kind, v) (uint32_t)WHOLE_OF_##kind(v)
#define TO_U64(kind, v) NATURAL_OF_##kind(v)
#define TO_BOOL(kind, v) ((v) != 0)
#define HALF_OF_FLOAT(v) pm_to_half(pm_to_odd((double)(v)))
#define HALF_OF_WHOLE(v) pm_to_half((float)(v))
#define WHOLE_OF_FLOAT(v) whole_of((double)(v))
#define WHOLE_OF_WHOLE(v) (v)
#define NATURAL_OF_FLOAT(v) natural_of((double)(v))
#define NATURAL_OF_WHOLE(v) (uint64_t)(v)

#define LOAD(class, class_type, dtype, type, kind, number) \
  static void load_##class##_##dtype(const uint8_t *from, int64_t step, void *to, int64_t n) { \
    class_type *y = to; \
    for (int64_t i = 0; i < n; i++) { \
      type x; \
      memcpy(&x, from + i * step, sizeof x); \
      y[i] = TO_##class(kind, number); \
    } \
  }

/* The class is the source here, and dtype and type what is written. */
#define STORE(dtype, type, class, class_type, kind, number) \
  static void store_##class##_##dtype(const void *from, uint8_t *to, int64_t step, int64_t n) { \
    const class_type *source = from; \
    for (int64_t i = 0; i < n; i++) { \
      const class_type x = source[i]; \
      const type y = (type)TO_##dtype(kind, number); \
      memcpy(to + i * step, &y, sizeof y); \
    } \
  }

#define STORES(dtype, type) \
  F32_TYPE(STORE, dtype, type) \
  F64_TYPE(STORE, dtype, type) \
  I64_TYPE(STORE, dtype, type) \
  U64_TYPE(STORE, dtype, type)

#define PM_CLASS(class, text, type) PM_EACH_LOAD(class, type)
#define PM_EACH_LOAD(class, type) \
  F32_TYPE(LOAD, class, type) \
  F64_TYPE(LOAD, class, type) \
  F16_TYPE(LOAD, class, type) \
  BF16_TYPE(LOAD, class, type) \
  I8_TYPE(LOAD, class, type) \
  I16_TYPE(LOAD, class, type) \
  I32_TYPE(LOAD, class, type) \
  I64_TYPE(LOAD, class, type) \
  U8_TYPE(LOAD, class, type) \
  U16_TYPE(LOAD, class, type) \
  U32_TYPE(LOAD, class, type) \
  U64_TYPE(LOAD, class, type) \
  BOOL_TYPE(LOAD, class, type)
#include "classes.def"
#undef PM_CLASS

STORES(F32, float)
STORES(F64, double)
STORES(F16, uint16_t)
STORES(BF16, uint16_t)
STORES(I8, int8_t)
STORES(I16, int16_t)
STORES(I32, int32_t)
STORES(I64, int64_t)
STORES(U8, uint8_t)
STORES(U16, uint16_t)
STORES(U32, uint32_t)
STORES(U64, uint64_t)
STORES(BOOL, uint8_t)

typedef void load_fn(const uint8_t *from, int64_t step, void *to, int64_t n);
typedef void store_fn(const void *from, uint8_t *to, int64_t step, int64_t n);

/* Both in the order of dtypes.def. */
#define PM_DTYPE(dtype, text, size) ROW(dtype)

#define ROW(dtype) {load_F32_##dtype, load_F64_##dtype, load_I64_##dtype, load_U64_##dtype},
static load_fn *const loads[PM_DTYPE_COUNT][PM_CLASS_COUNT] = {
#include "../vm/dtypes.def"
};
#undef ROW

#define ROW(dtype) {store_F32_##dtype, store_F64_##dtype, store_I64_##dtype, store_U64_##dtype},
static store_fn *const stores[PM_DTYPE_COUNT][PM_CLASS_COUNT] = {
#include "../vm/dtypes.def"
};
#undef ROW

void pm_elements_load(unsigned class, unsigned dtype, const uint8_t *from, int64_t step, void *to,
                      int64_t n) {
  loads[dtype][class](from, step, to, n);
}

void pm_elements_store(unsigned class, unsigned dtype, const void *from, uint8_t *to, int64_t step,
                       int64_t n) {
  stores[dtype][class](from, to, step, n);
}
