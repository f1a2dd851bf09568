// Everything random in a step, from a counter: Philox4x32-10 (Salmon et al. 2011). A word depends on the seed, the
// step, its purpose and its position alone, never on the number of threads. rng/counter.rs has the same words, and a
// test compares them.
#include "base.h"

typedef struct {
    u64 seed;
    // Number of the step, read on the device so that a graph can be launched again.
    const u64 *step;
    // Purpose of the words.
    u32 purpose;
    u32 unused;
} Source;

DEVICE void philox(u64 seed, u32 counter[4]) {
    u32 key_0 = (u32)seed, key_1 = (u32)(seed >> 32);
    for (u32 round = 0; round < 10; round++) {
        u64 a = (u64)0xD2511F53u * counter[0], b = (u64)0xCD9E8D57u * counter[2];
        u32 c_1 = counter[1], c_3 = counter[3];
        counter[0] = (u32)(b >> 32) ^ c_1 ^ key_0;
        counter[1] = (u32)b;
        counter[2] = (u32)(a >> 32) ^ c_3 ^ key_1;
        counter[3] = (u32)a;
        key_0 += 0x9E3779B9u;
        key_1 += 0xBB67AE85u;
    }
}

// Words 4·block … 4·block + 3.
DEVICE void words(Source source, u64 block, u32 out[4]) {
    u64 step = *source.step;
    out[0] = (u32)block, out[1] = source.purpose, out[2] = (u32)step, out[3] = (u32)(step >> 32);
    philox(source.seed, out);
}

// Uniform in [0, 1), 24 bits.
DEVICE float uniform(u32 word) { return (float)(word >> 8) * (1.0f / 16777216.0f); }

// One segment of the core's table of the normal's quantiles.
typedef struct {
    int value;
    short slope;
    short curve;
} Segment;

// The core's normal (ancestral::noise), from the same table: the same bits.
DEVICE float normal(u32 word, const Segment *table) {
    u32 tail = (word << 1) | 1u;
    u32 octave = (u32)LEADING_ZEROS(tail);
    u32 inside = (tail << octave) << 1;
    Segment segment = table[octave * 8 + (inside >> 29)];
    int r = (int)((inside << 3) >> 17);
    int curve = ((int)segment.curve * r) >> 18;
    int bend = (int)((u32)((int)segment.slope + curve) * (u32)r);
    int magnitude = segment.value + (bend >> 4);
    return (float)(word >> 31 ? -magnitude : magnitude) * (1.0f / 268435456.0f);
}

typedef struct {
    Source source;
    const Segment *table;
    float *out;
    u64 count;
} Normals;

KERNEL(normals, Normals) {
    u32 word[4];
    u32 count = left(4 * HERE, p.count);
    if (count == 0) return;
    words(p.source, HERE, word);
    float value[4] = {0, 0, 0, 0};
    for (u32 i = 0; i < count; i++) value[i] = normal(word[i], p.table);
    store_four(p.out, 4 * HERE, count, 0, value);
}

typedef struct {
    Source source;
    float *out;
    u64 count;
    // Probability of a 0; all other values are `keep`.
    double drop;
    float keep;
    u32 unused;
} Masks;

KERNEL(masks, Masks) {
    u32 word[4];
    u32 count = left(4 * HERE, p.count);
    if (count == 0) return;
    words(p.source, HERE, word);
    float value[4] = {0, 0, 0, 0};
    for (u32 i = 0; i < count; i++) value[i] = (double)uniform(word[i]) < p.drop ? 0.0f : p.keep;
    store_four(p.out, 4 * HERE, count, 0, value);
}

typedef struct {
    Source source;
    // Steps, 0 ..= steps, ascending.
    u32 *t;
    u64 count;
    u64 steps;
    // Times below this are those of step 0.
    double start;
} Times;

KERNEL(times, Times) {
    u64 i = HERE;
    if (i >= p.count) return;
    u32 word[4];
    words(p.source, 0, word);
    double place = ((double)uniform(word[0]) + (double)i) / (double)p.count;
    if (place < p.start) {
        p.t[i] = 0;
        return;
    }
    u32 s = (u32)((place - p.start) / (1.0 - p.start) * (double)p.steps);
    if (s >= p.steps) s = (u32)p.steps - 1;
    p.t[i] = s + 1;
}

typedef struct {
    Source source;
    // (total, dim), of which (count, dim) are gathered.
    const float *data;
    float *out;
    u64 total;
    u64 count;
    u64 dim;
} Gather;

KERNEL(gather, Gather) {
    u64 at = HERE;
    if (at >= p.count * p.dim) return;
    u64 row = at / p.dim;
    u32 word[4];
    words(p.source, row / 2, word);
    u32 low = row % 2 ? word[2] : word[0], high = row % 2 ? word[3] : word[1];
    u64 from = HIGH_64((u64)high << 32 | low, p.total);
    p.out[at] = p.data[from * p.dim + at % p.dim];
}
