#include "pelemay.h"

const char *pm_status_text(pm_status status) {
  static const char *const texts[] = {
#define PM_STATUS(name, text) text,
#include "status.def"
#undef PM_STATUS
  };
  return (unsigned)status < PM_STATUS_COUNT ? texts[status] : "unknown status";
}

size_t pm_dtype_size(unsigned dtype) {
  static const uint8_t sizes[] = {
#define PM_DTYPE(name, text, size) size,
#include "dtypes.def"
#undef PM_DTYPE
  };
  return dtype < PM_DTYPE_COUNT ? sizes[dtype] : 0;
}
