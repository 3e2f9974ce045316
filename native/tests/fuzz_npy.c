/* libFuzzer's target: bytes are read as the head of a .npy file; one that is written again means the same. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../run/npy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void write_and_compare(const npy_array *array) {
  npy_array again = {0};
  uint8_t head[NPY_MOST];
  const size_t nbytes = npy_write_head(array, head);
  if (npy_head_bytes(head) != nbytes || npy_read_head(&again, head, nbytes)) abort();
  if (again.dtype != array->dtype || again.rank != array->rank) abort();
  for (int i = 0; i < array->rank; i++)
    if (again.dims[i] != array->dims[i]) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  npy_array array = {0};
  if (size < 12) return 0;
  const size_t nbytes = npy_head_bytes(data);
  if (!nbytes || nbytes > size) return 0;
  uint8_t *head = malloc(nbytes);
  memcpy(head, data, nbytes);
  if (!npy_read_head(&array, head, nbytes)) write_and_compare(&array);
  free(head);
  return 0;
}
