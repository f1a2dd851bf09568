// The end of a step: the gradient's norm, the check for finite numbers, then AdamW, clipping and the moving average of
// all parameters in one pass. Nothing waits for the host: the numbers that change from step to step are rows of a plan
// that the host has uploaded in advance.
#include "base.h"

// Network parameters of one launch; also in params.rs.
#define SLOTS 48

// Progress of the training, on the device; read back only to log.
typedef struct {
    // Updates made.
    u64 step;
    // The first step that was not finite, from 1; 0 for none. From there on nothing changes.
    u64 bad;
    // Steps in `sums`.
    u64 count;
    // Step of the plan's first row.
    u64 planned;
    // Sums of the three terms of the loss, in bits/dim.
    double sums[3];
    double norm;
    // Factor of the gradients.
    double scale;
} Progress;

// Numbers that change from step to step; ../adamw.rs documents each.
typedef struct {
    double rate, first, root, ema;
} StepFactors;

typedef struct {
    // Gradient of each parameter, or none.
    const float *gradient[SLOTS];
    // The parameters themselves.
    float *value[SLOTS];
    // End of each among all parameters.
    u64 end[SLOTS];
    double rate_scale[SLOTS];
    // Weight decay.
    double decay[SLOTS];
} Slots;

// Slot of a position among all parameters.
DEVICE u32 slot_of(const Slots *slots, u64 at) {
    u32 slot = 0;
    while (slots->end[slot] <= at) slot++;
    return slot;
}

typedef struct {
    Slots slots;
    // Sum of each block.
    double *parts;
    u64 count;
} Norm;

KERNEL(squares, Norm) {
    double sum = 0;
    for (u64 at = HERE; at < p.count; at += (u64)BLOCKS * THREADS) {
        u32 slot = slot_of(&p.slots, at);
        if (!p.slots.gradient[slot]) continue;
        float g = p.slots.gradient[slot][at - (slot ? p.slots.end[slot - 1] : 0)];
        sum += (double)g * (double)g;
    }
    sum = sum_over(THREADS, sum);
    if (THREAD == 0) p.parts[BLOCK] = sum;
}

typedef struct {
    Progress *progress;
    const double *parts;
    // The terms of the loss, each a scalar or none.
    const float *term[3];
    double clip;
    u64 count;
} Judge;

KERNEL(judge, Judge) {
    double sum = 0;
    for (u64 i = THREAD; i < p.count; i += THREADS) sum += p.parts[i];
    sum = sum_over(THREADS, sum);
    if (THREAD) return;
    for (u32 i = 0; i < 3; i++) {
        // Neither infinity nor NaN less itself is 0.
        if (p.term[i] && *p.term[i] - *p.term[i] != 0) sum = *p.term[i] - *p.term[i];
    }
    double length = sqrt(sum);
    p.progress->norm = length;
    p.progress->scale = length > p.clip ? p.clip / length : 1;
    if (!(length - length == 0) && !p.progress->bad) p.progress->bad = p.progress->step + 1;
}

typedef struct {
    Slots slots;
    const Progress *progress;
    const StepFactors *plan;
    // Values, first moments, second moments and averages of one parameter after another.
    float *state;
    double beta_1, beta_2, epsilon;
    u64 count;
} AdamW;

KERNEL(adamw, AdamW) {
    u64 at = HERE;
    if (at >= p.count || p.progress->bad) return;
    u32 slot = slot_of(&p.slots, at);
    if (!p.slots.gradient[slot]) return;
    u64 from = slot ? p.slots.end[slot - 1] : 0, n = p.slots.end[slot] - from, i = at - from;
    StepFactors factors = p.plan[p.progress->step - p.progress->planned];
    double rate = factors.rate * p.slots.rate_scale[slot];
    float keep = (float)(1 - rate * p.slots.decay[slot]);
    float step = (float)(rate / factors.first), root = (float)factors.root;
    float b1 = (float)p.beta_1, b2 = (float)p.beta_2, ema = (float)factors.ema;
    float *state = p.state + 4 * from;
    float g = p.slots.gradient[slot][i] * (float)p.progress->scale;
    float m = b1 * state[n + i] + (1 - b1) * g, s = b2 * state[2 * n + i] + (1 - b2) * g * g;
    float v = keep * state[i] - step * m / (sqrtf(s) * root + (float)p.epsilon);
    state[i] = v, state[n + i] = m, state[2 * n + i] = s;
    state[3 * n + i] = ema * state[3 * n + i] + (1 - ema) * v;
    p.slots.value[slot][i] = v;
}

typedef struct {
    Progress *progress;
    const float *term[3];
    // Factor from nats per row to bits/dim.
    double unit;
} Tick;

KERNEL(tick, Tick) {
    if (HERE || p.progress->bad) return;
    for (u32 i = 0; i < 3; i++) {
        if (p.term[i]) p.progress->sums[i] += (double)*p.term[i] * p.unit;
    }
    p.progress->count++;
    p.progress->step++;
}
