// The work between the products of a network's layers, forward and backward. Rows of the batch take their biases from
// rows of a table, which `index` names in ascending order.
#include "base.h"

typedef struct {
    // (n, width): the sums, which the slopes replace.
    void *sums;
    void *out;
    const float *biases;
    const u32 *index;
    // (n, width) each, or none.
    const float *mask;
    const void *residual;
    u64 n;
    u32 width;
    // Columns of the table of biases, the layer's first column, and rows of the table.
    u32 stride, first, entries;
    // 0: max(s, 0), with slope 1 at 0; 1: s·sigmoid(s).
    u32 activation;
    // 1 if sums, outputs and residual are bf16.
    u32 bf16;
} Activate;

DEVICE const float *bias_row(const float *biases, const u32 *index, u64 row, u32 entries, u32 stride, u32 first) {
    u32 entry = index[row];
    // An index comes from the device and cannot be checked before the launch.
    return biases + (u64)(entry < entries ? entry : entries - 1) * stride + first;
}

KERNEL(activate, Activate) {
    u64 at = 4 * HERE;
    u32 count = left(at, p.n * p.width);
    if (count == 0) return;
    float sum[4], y[4], mask[4], residual[4];
    load_four(p.sums, at, count, p.bf16, sum);
    if (p.mask) load_four(p.mask, at, count, 0, mask);
    if (p.residual) load_four(p.residual, at, count, p.bf16, residual);
    u64 row = at / p.width;
    u32 column = (u32)(at % p.width);
    const float *bias = bias_row(p.biases, p.index, row, p.entries, p.stride, p.first);
    for (u32 i = 0; i < count; i++) {
        if (column == p.width) {
            column = 0;
            row++;
            bias = bias_row(p.biases, p.index, row, p.entries, p.stride, p.first);
        }
        float s = sum[i] + bias[column++];
        if (p.activation == 0) {
            // Written so that NaN stays NaN and is detected.
            y[i] = s < 0 ? 0 : s;
            sum[i] = s < 0 ? 0 : 1;
        } else {
            float gate = 1 / (1 + expf(-s));
            y[i] = s * gate;
            sum[i] = gate * (1 + s * (1 - gate));
        }
        if (p.mask) {
            y[i] *= mask[i];
            sum[i] *= mask[i];
        }
        if (p.residual) y[i] += residual[i];
    }
    store_four(p.out, at, count, p.bf16, y);
    store_four(p.sums, at, count, p.bf16, sum);
}

typedef struct {
    // (n, width)
    float *out;
    const float *biases;
    const u32 *index;
    u64 n;
    u32 width;
    u32 stride, first, entries;
} AddBiases;

KERNEL(add_biases, AddBiases) {
    u64 at = HERE;
    if (at >= p.n * p.width) return;
    const float *bias = bias_row(p.biases, p.index, at / p.width, p.entries, p.stride, p.first);
    p.out[at] += bias[at % p.width];
}

typedef struct {
    void *a;
    const void *b;
    u64 count;
    // 1 if a and b are bf16.
    u32 bf16_a, bf16_b;
    // 0: a = b; 1: a *= b; 2: a += b.
    u32 operation;
    u32 unused;
} Combine;

KERNEL(combine, Combine) {
    u64 at = 4 * HERE;
    u32 count = left(at, p.count);
    if (count == 0) return;
    float a[4] = {0, 0, 0, 0}, b[4];
    load_four(p.b, at, count, p.bf16_b, b);
    if (p.operation) load_four(p.a, at, count, p.bf16_a, a);
    for (u32 i = 0; i < count; i++) a[i] = p.operation == 0 ? b[i] : (p.operation == 1 ? a[i] * b[i] : a[i] + b[i]);
    store_four(p.a, at, count, p.bf16_a, a);
}

typedef struct {
    // (n, width), the gradient of the layer's sums.
    const void *values;
    // (cuts, entries, width)
    float *parts;
    const u32 *index;
    u64 n;
    u32 width, entries;
    // Parts that each entry's rows are cut into.
    u32 cuts;
    // 1 if values are bf16.
    u32 bf16;
} BiasParts;

// Sums of the rows of each entry, cut into parts, each in a fixed order. A block has 32 columns and 8 rows side by
// side; BLOCK is part·entries + entry, BLOCK_Y the columns.
KERNEL(bias_parts, BiasParts) {
    SHARED float sums[THREADS];
    u32 entry = BLOCK % p.entries, part = BLOCK / p.entries;
    u32 column = BLOCK_Y * LANES + THREAD % LANES;
    u64 from = lower_bound(p.index, p.n, entry), to = lower_bound(p.index, p.n, entry + 1);
    u64 length = (to - from + p.cuts - 1) / p.cuts;
    from += part * length;
    if (to > from + length) to = from + length;
    float sum = 0;
    if (column < p.width) {
        for (u64 row = from + THREAD / LANES; row < to; row += ROWS) {
            sum += load(p.values, row * p.width + column, p.bf16);
        }
    }
    sums[THREAD] = sum;
    SYNC();
    if (THREAD < LANES && column < p.width) {
        for (u32 i = 1; i < ROWS; i++) sum += sums[i * LANES + THREAD];
        p.parts[(u64)BLOCK * p.width + column] = sum;
    }
}

typedef struct {
    // (entries, stride), of which the columns from `first` on are written.
    float *out;
    const float *parts;
    u32 width, entries, cuts;
    u32 stride, first;
    u32 unused;
} BiasSums;

KERNEL(bias_sums, BiasSums) {
    u64 at = HERE, size = (u64)p.entries * p.width;
    if (at >= size) return;
    float sum = 0;
    for (u32 part = 0; part < p.cuts; part++) sum += p.parts[part * size + at];
    p.out[at / p.width * p.stride + p.first + at % p.width] = sum;
}
