// The diffusion term: z_t, the weighted cost of the network's output, and the gradients of γ. The formulas are those of
// the core's schedule and of ../elbo.rs; a test compares the results.
#include "base.h"

// Constants of a step, from γ_t and γ_s = γ_{t−1}; ../elbo.rs documents each.
typedef struct {
    double alpha, sigma;
    double by_alpha, by_sigma;
    double growth, precision, by_precision;
    double of_noise, of_x;
    double moved_alpha, moved_sigma;
} Terms;

typedef struct {
    // γ_0 ..= γ_T.
    const float *gamma;
    // Constants of t = 1 ..= T.
    Terms *terms;
    u32 steps;
    // 0: v; 1: x.
    u32 prediction;
} TermsOf;

DEVICE double softplus(double x) { return (x > 0 ? x : 0) + log1p(exp(x > 0 ? -x : x)); }

KERNEL(terms_of, TermsOf) {
    u64 s = HERE;
    if (s >= p.steps) return;
    double gamma_s = p.gamma[s], gamma_t = p.gamma[s + 1];
    Terms terms;
    double alpha = exp(-0.5 * softplus(gamma_t)), sigma = exp(-0.5 * softplus(-gamma_t));
    terms.alpha = alpha, terms.sigma = sigma;
    terms.by_alpha = -0.5 * alpha * sigma * sigma, terms.by_sigma = 0.5 * sigma * alpha * alpha;
    terms.growth = expm1(gamma_t - gamma_s);
    if (p.prediction == 0) {
        terms.precision = alpha * alpha, terms.by_precision = -alpha * alpha * sigma * sigma;
        terms.of_noise = alpha, terms.of_x = -sigma;
        terms.moved_alpha = terms.by_alpha, terms.moved_sigma = terms.by_sigma;
    } else {
        double snr = exp(-gamma_t);
        terms.precision = snr, terms.by_precision = -snr;
        terms.of_noise = 0, terms.of_x = 1;
        terms.moved_alpha = 0, terms.moved_sigma = 0;
    }
    p.terms[s] = terms;
}

typedef struct {
    const Terms *terms;
    // (n), 1 ..= T, ascending.
    const u32 *t;
    // (n, dim) each.
    const float *x, *noise;
    float *z;
    u64 n;
    u32 dim, steps;
} State;

DEVICE const Terms *terms_at(const Terms *terms, u32 t, u32 steps) {
    // A step comes from the device, so it cannot be checked before the launch.
    return terms + (t < 1 ? 0 : (t > steps ? steps : t) - 1);
}

KERNEL(state, State) {
    u64 at = HERE;
    if (at >= p.n * p.dim) return;
    const Terms *terms = terms_at(p.terms, p.t[at / p.dim], p.steps);
    p.z[at] = (float)terms->alpha * p.x[at] + (float)terms->sigma * p.noise[at];
}

// A row's share of the gradients: γ_t gets both numbers, γ_s the second one negated.
typedef struct {
    double own, step;
} Share;

typedef struct {
    const Terms *terms;
    const u32 *t;
    const float *x, *noise;
    // (n, dim), the gradient of z.
    const float *gradient;
    // (n)
    Share *shares;
    u64 n;
    u32 dim, steps;
} StateGradient;

KERNEL(state_gradient, StateGradient) {
    u64 row = (u64)BLOCK * ROWS + THREAD / LANES;
    float along_x = 0, along_noise = 0;
    if (row < p.n) {
        for (u64 at = row * p.dim + THREAD % LANES; at < (row + 1) * p.dim; at += LANES) {
            along_x += p.gradient[at] * p.x[at];
            along_noise += p.gradient[at] * p.noise[at];
        }
    }
    double of_x = sum_over(LANES, along_x), of_noise = sum_over(LANES, along_noise);
    if (row >= p.n || THREAD % LANES) return;
    const Terms *terms = terms_at(p.terms, p.t[row], p.steps);
    p.shares[row].own = terms->by_alpha * of_x + terms->by_sigma * of_noise;
    p.shares[row].step = 0;
}

typedef struct {
    const Terms *terms;
    const u32 *t;
    const float *x, *noise;
    // (n, dim), the network's.
    const float *output;
    // (n), in nats.
    double *nats;
    u64 n;
    u32 dim, steps;
} Cost;

DEVICE float error_at(const Terms *terms, float output, float x, float noise) {
    return output - ((float)terms->of_x * x + (float)terms->of_noise * noise);
}

KERNEL(cost, Cost) {
    u64 row = (u64)BLOCK * ROWS + THREAD / LANES;
    const Terms *terms = terms_at(p.terms, row < p.n ? p.t[row] : 1, p.steps);
    float square = 0;
    if (row < p.n) {
        for (u64 at = row * p.dim + THREAD % LANES; at < (row + 1) * p.dim; at += LANES) {
            float error = error_at(terms, p.output[at], p.x[at], p.noise[at]);
            square += error * error;
        }
    }
    double sum = sum_over(LANES, square);
    if (row < p.n && THREAD % LANES == 0) p.nats[row] = 0.5 * terms->growth * terms->precision * sum;
}

typedef struct {
    const Terms *terms;
    const u32 *t;
    const float *x, *noise, *output;
    // Factor of the cost's gradient.
    const float *upstream;
    double factor;
    // (n, dim)
    float *by_output;
    // (n), without upstream and factor.
    Share *shares;
    u64 n;
    u32 dim, steps;
} CostGradient;

KERNEL(cost_gradient, CostGradient) {
    u64 row = (u64)BLOCK * ROWS + THREAD / LANES;
    const Terms *terms = terms_at(p.terms, row < p.n ? p.t[row] : 1, p.steps);
    float scale = (float)((double)*p.upstream * p.factor * terms->growth * terms->precision);
    float square = 0, along_x = 0, along_noise = 0;
    if (row < p.n) {
        for (u64 at = row * p.dim + THREAD % LANES; at < (row + 1) * p.dim; at += LANES) {
            float error = error_at(terms, p.output[at], p.x[at], p.noise[at]);
            square += error * error;
            along_x += error * p.x[at];
            along_noise += error * p.noise[at];
            p.by_output[at] = error * scale;
        }
    }
    double sum = sum_over(LANES, square), of_x = sum_over(LANES, along_x), of_noise = sum_over(LANES, along_noise);
    if (row >= p.n || THREAD % LANES) return;
    double along = terms->moved_alpha * of_noise - terms->moved_sigma * of_x;
    p.shares[row].step = 0.5 * (terms->growth + 1) * terms->precision * sum;
    p.shares[row].own = terms->growth * (0.5 * terms->by_precision * sum - terms->precision * along);
}

typedef struct {
    const Share *shares;
    const u32 *t;
    // Factor of all, or none.
    const float *upstream;
    double factor;
    // (T + 1)
    float *out;
    u64 n;
} TableGradient;

// A block per entry of the table: the rows at t are neighbors.
KERNEL(table_gradient, TableGradient) {
    u32 t = BLOCK;
    u64 from = lower_bound(p.t, p.n, t), to = lower_bound(p.t, p.n, t + 1), after = lower_bound(p.t, p.n, t + 2);
    double sum = 0;
    for (u64 row = from + THREAD; row < to; row += THREADS) sum += p.shares[row].own + p.shares[row].step;
    for (u64 row = to + THREAD; row < after; row += THREADS) sum -= p.shares[row].step;
    sum = sum_over(THREADS, sum);
    if (THREAD == 0) p.out[t] = (float)(sum * p.factor * (p.upstream ? (double)*p.upstream : 1.0));
}

typedef struct {
    const double *values;
    float *out;
    u64 count;
    double factor;
} Total;

// One block: factor·Σ values.
KERNEL(total, Total) {
    double sum = 0;
    for (u64 i = THREAD; i < p.count; i += THREADS) sum += p.values[i];
    sum = sum_over(THREADS, sum);
    if (THREAD == 0) *p.out = (float)(sum * p.factor);
}

typedef struct {
    const float *output, *target;
    // Sum of each block.
    double *parts;
    u64 count;
} Square;

KERNEL(square, Square) {
    double sum = 0;
    for (u64 i = HERE; i < p.count; i += (u64)BLOCKS * THREADS) {
        float error = p.output[i] - p.target[i];
        sum += (double)(error * error);
    }
    sum = sum_over(THREADS, sum);
    if (THREAD == 0) p.parts[BLOCK] = sum;
}

typedef struct {
    const float *output, *target, *upstream;
    float *out;
    u64 count;
} SquareGradient;

KERNEL(square_gradient, SquareGradient) {
    u64 at = HERE;
    if (at < p.count) p.out[at] = 2 * *p.upstream / (float)p.count * (p.output[at] - p.target[at]);
}
