/* pelemay-run: a compiled network on .npy files, without Python. */
#include "job.h"

int main(int count, char **arguments) {
  run_options options;
  const int code = run_parse(&options, count, arguments);
  return code < 0 ? run_do(&options) : code;
}
