// All kernels as one module.
#include "draw.cu"
#include "layer.cu"
#include "elbo.cu"
#include "update.cu"
