/* The head of .npy files, as NumPy writes it: numpy.lib.format, versions 1 to 3. */
#ifndef PM_RUN_NPY_H
#define PM_RUN_NPY_H

#include "../vm/pelemay.h"

#define NPY_MOST 4096 /* bytes of a head; NumPy's own have 128 */

typedef struct {
  uint8_t dtype, rank;
  uint64_t dims[PM_MAX_RANK];
} npy_array;

/* How long the head is, from its first 12 bytes; 0 if that is none, or one of more than NPY_MOST. */
size_t npy_head_bytes(const uint8_t first[12]);

/* Read a head of that many bytes. NULL, or what is wrong with it. */
const char *npy_read_head(npy_array *array, const uint8_t *head, size_t nbytes);

/* Write the head that NumPy would; gives its size. */
size_t npy_write_head(const npy_array *array, uint8_t head[NPY_MOST]);

#endif
