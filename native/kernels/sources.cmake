# Families of kernels: each has kernels/<family>.c, compiled once for each instruction set,
# and kernels/<family>_check.c, compiled once.
set(PELEMAY_FAMILIES
  gemm
  conv
  depthwise
  reduce
  softmax
)

# Files that are compiled once and that kernels of all instruction sets call.
set(PELEMAY_COMMON
)
