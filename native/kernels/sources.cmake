# Families of kernels: each has kernels/<family>.c, compiled once for each instruction set,
# and kernels/<family>_check.c, compiled once.
set(PELEMAY_FAMILIES
  elementwise
  cast
  copy
  index
  arrange
  resize
  loss
  roi
  sample
  gemm
  widen
  conv
  depthwise
  winograd
  matmul
  matmul_plain
  attention
  attention_linear
  attention_rotary
  det
  dft
  einsum
  norm
  norm_batch
  norm_lrn
  pool
  pool_unpool
  recurrent
  reduce
  reduce_arg
  scan
  softmax
  sort
)

# Files that are compiled once and that kernels of all instruction sets call.
set(PELEMAY_COMMON
  elements
  elementwise_wide
)
