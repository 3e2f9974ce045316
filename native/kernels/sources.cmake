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
  matmul_nbits
  attention
  attention_linear
  attention_rotary
  det
  dft
  einsum
  couple
  forest
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
  qelement
  qpool
  qsoftmax
  quantize
)

# Those whose products are of 8-bit integers: compiled once more for each instruction set that has one for
# that, and with no other kernels; see DOTS.
set(PELEMAY_DOT_FAMILIES
  qgemm
  qconv
  qdepthwise
  qmatmul
)

# Families in which every float is rounded where it stands, so that all instruction sets give the same bits.
set(PELEMAY_EXACT_FAMILIES ${PELEMAY_DOT_FAMILIES} qelement qpool qsoftmax quantize)

# Files that are compiled once and that kernels of all instruction sets call.
set(PELEMAY_COMMON
  elements
  elementwise_wide
)
