// The terms of the ELBO: z_t, the nats of each row's step, and the gradients of the output and of γ. The formulas are
// those of the core's schedule and of ../elbo; a test compares the results.
#include "read_out.h"

// Constants of an entry of a list of γ: a table, of which each entry is a step, or one γ for each row.
typedef struct {
    double alpha, sigma;
    double by_alpha, by_sigma;
    // Nats of a step, weight·SNR ‖x − x̂‖² + D·constant, and their derivatives by γ_t.
    double weight, constant, by_weight, by_constant;
    Constants read_out;
} Terms;

typedef struct {
    const float *gamma;
    Terms *terms;
    u32 count;
    u32 unused;
    Form form;
} TermsOf;

KERNEL(terms_of, TermsOf) {
    u64 t = HERE;
    if (t >= p.count) return;
    double gamma = p.gamma[t];
    Terms terms;
    double alpha = exp(-0.5 * softplus(gamma)), sigma = exp(-0.5 * softplus(-gamma));
    terms.alpha = alpha, terms.sigma = sigma;
    terms.by_alpha = -0.5 * alpha * sigma * sigma, terms.by_sigma = 0.5 * sigma * alpha * alpha;
    if (t == 0) {
        // A Gaussian of the variance 1/SNR_0.
        terms.weight = 0.5, terms.by_weight = 0;
        terms.constant = 0.5 * (1.8378770664093453 + gamma), terms.by_constant = 0.5; // ln 2π
    } else {
        // The derivatives by γ_t and γ_s differ in the sign.
        double growth = expm1(gamma - p.gamma[t - 1]);
        terms.weight = 0.5 * growth, terms.by_weight = 0.5 * (growth + 1);
        terms.constant = 0, terms.by_constant = 0;
    }
    terms.read_out = constants_at(p.form, gamma);
    p.terms[t] = terms;
}

typedef struct {
    const Terms *terms;
    // (n), 0 ..= T, ascending.
    const u32 *t;
    // (n, dim) each.
    const float *x, *noise;
    float *z;
    u64 n;
    u32 dim, count;
} State;

// Entry of the list, of which there are `count`.
DEVICE const Terms *terms_at(const Terms *terms, u64 t, u32 count) {
    // A step comes from the device, so it cannot be checked before the launch.
    return terms + (t < count ? t : count - 1);
}

KERNEL(state, State) {
    u64 at = HERE;
    if (at >= p.n * p.dim) return;
    const Terms *terms = terms_at(p.terms, p.t[at / p.dim], p.count);
    p.z[at] = (float)terms->alpha * p.x[at] + (float)terms->sigma * p.noise[at];
}

// A row's share of the gradients of γ_t and of γ_s.
typedef struct {
    double here, before;
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
    u32 dim, count;
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
    const Terms *terms = terms_at(p.terms, p.t[row], p.count);
    p.shares[row].here = terms->by_alpha * of_x + terms->by_sigma * of_noise;
    p.shares[row].before = 0;
}

// Rows and the network's output for them.
typedef struct {
    const Terms *terms;
    const u32 *t;
    const float *x, *noise;
    // (n, dim), the network's.
    const float *output;
    u64 n;
    u32 dim, count;
    Form form;
} Reading;

typedef struct {
    Reading rows;
    // (n), in nats.
    double *nats;
    // Factors of the nats: of the reconstruction and of the diffusion.
    double factors[2];
} Cost;

// True if the network decodes this row into levels.
DEVICE int decodes_levels(const Reading *rows, u32 t) { return t == 0 && rows->form.prediction == PREDICTS_ODDS; }

KERNEL(cost, Cost) {
    u64 row = (u64)BLOCK * ROWS + THREAD / LANES;
    u32 t = row < p.rows.n ? p.rows.t[row] : 0;
    const Terms *terms = terms_at(p.rows.terms, t, p.rows.count);
    double own = 0;
    if (row < p.rows.n) {
        float square = 0;
        for (u64 at = row * p.rows.dim + THREAD % LANES; at < (row + 1) * p.rows.dim; at += LANES) {
            float x = p.rows.x[at], noise = p.rows.noise[at], output = p.rows.output[at];
            if (decodes_levels(&p.rows, t)) {
                own += (double)nats_of(p.rows.form, &terms->read_out, x, noise, output).value;
            } else {
                float error = error_of(p.rows.form, &terms->read_out, x, noise, output).value;
                square += error * error;
            }
        }
        own += terms->weight * (double)square;
    }
    double sum = sum_over(LANES, own);
    if (row >= p.rows.n || THREAD % LANES) return;
    if (!decodes_levels(&p.rows, t)) sum += (double)p.rows.dim * terms->constant;
    p.nats[row] = sum * p.factors[t > 0];
}

typedef struct {
    Reading rows;
    // (2), gradients of reconstruction and diffusion.
    const float *upstream;
    // (n, dim)
    float *by_output;
    // (n)
    Share *shares;
    double factors[2];
} CostGradient;

KERNEL(cost_gradient, CostGradient) {
    u64 row = (u64)BLOCK * ROWS + THREAD / LANES;
    u32 t = row < p.rows.n ? p.rows.t[row] : 0;
    const Terms *terms = terms_at(p.rows.terms, t, p.rows.count);
    int levels = decodes_levels(&p.rows, t);
    double factor = (double)p.upstream[t > 0] * p.factors[t > 0];
    float scale = (float)(levels ? factor : 2 * factor * terms->weight);
    float square = 0, along = 0;
    if (row < p.rows.n) {
        for (u64 at = row * p.rows.dim + THREAD % LANES; at < (row + 1) * p.rows.dim; at += LANES) {
            float x = p.rows.x[at], noise = p.rows.noise[at], output = p.rows.output[at];
            if (levels) {
                Result nats = nats_of(p.rows.form, &terms->read_out, x, noise, output);
                p.by_output[at] = nats.by_output * scale;
                along += nats.by_gamma;
            } else {
                Result error = error_of(p.rows.form, &terms->read_out, x, noise, output);
                p.by_output[at] = error.value * error.by_output * scale;
                square += error.value * error.value;
                along += error.value * error.by_gamma;
            }
        }
    }
    double squares = sum_over(LANES, square), alongs = sum_over(LANES, along);
    if (row >= p.rows.n || THREAD % LANES) return;
    double here = levels ? alongs
                         : terms->by_weight * squares + 2 * terms->weight * alongs +
                               (double)p.rows.dim * terms->by_constant;
    p.shares[row].here = factor * here;
    p.shares[row].before = levels ? 0 : -factor * terms->by_weight * squares;
}

typedef struct {
    const Share *shares;
    const u32 *t;
    // (T + 1)
    float *out;
    u64 n;
} TableGradient;

// A block per entry of the table: the rows at t are neighbors.
KERNEL(table_gradient, TableGradient) {
    u32 t = BLOCK;
    u64 from = lower_bound(p.t, p.n, t), to = lower_bound(p.t, p.n, t + 1), after = lower_bound(p.t, p.n, t + 2);
    double sum = 0;
    for (u64 row = from + THREAD; row < to; row += THREADS) sum += p.shares[row].here;
    for (u64 row = to + THREAD; row < after; row += THREADS) sum += p.shares[row].before;
    sum = sum_over(THREADS, sum);
    if (THREAD == 0) p.out[t] = (float)sum;
}

typedef struct {
    Reading rows;
    // (n, dim)
    float *error;
} RowError;

KERNEL(row_error, RowError) {
    u64 at = HERE;
    if (at >= p.rows.n * p.rows.dim) return;
    const Terms *terms = p.rows.terms + at / p.rows.dim;
    p.error[at] = error_of(p.rows.form, &terms->read_out, p.rows.x[at], p.rows.noise[at], p.rows.output[at]).value;
}

typedef struct {
    Reading rows;
    // (n, dim), the gradient of the error.
    const float *upstream;
    // (n, dim)
    float *by_output;
    // (n)
    float *by_gamma;
} RowErrorGradient;

KERNEL(row_error_gradient, RowErrorGradient) {
    u64 row = (u64)BLOCK * ROWS + THREAD / LANES;
    float along = 0;
    if (row < p.rows.n) {
        const Terms *terms = p.rows.terms + row;
        for (u64 at = row * p.rows.dim + THREAD % LANES; at < (row + 1) * p.rows.dim; at += LANES) {
            Result error =
                error_of(p.rows.form, &terms->read_out, p.rows.x[at], p.rows.noise[at], p.rows.output[at]);
            p.by_output[at] = p.upstream[at] * error.by_output;
            along += p.upstream[at] * error.by_gamma;
        }
    }
    double sum = sum_over(LANES, along);
    if (row < p.rows.n && THREAD % LANES == 0) p.by_gamma[row] = (float)sum;
}

typedef struct {
    Reading rows;
    // (n)
    float *nats;
} LevelNats;

// Rows at other times than 0 have no nats.
KERNEL(level_nats, LevelNats) {
    u64 row = (u64)BLOCK * ROWS + THREAD / LANES;
    double own = 0;
    if (row < p.rows.n && decodes_levels(&p.rows, p.rows.t[row])) {
        const Terms *terms = p.rows.terms + row;
        for (u64 at = row * p.rows.dim + THREAD % LANES; at < (row + 1) * p.rows.dim; at += LANES) {
            own += (double)nats_of(p.rows.form, &terms->read_out, p.rows.x[at], p.rows.noise[at], p.rows.output[at])
                       .value;
        }
    }
    double sum = sum_over(LANES, own);
    if (row < p.rows.n && THREAD % LANES == 0) p.nats[row] = (float)sum;
}

typedef struct {
    Reading rows;
    // (n), the gradient of the nats.
    const float *upstream;
    // (n, dim)
    float *by_output;
    // (n)
    float *by_gamma;
} LevelNatsGradient;

KERNEL(level_nats_gradient, LevelNatsGradient) {
    u64 row = (u64)BLOCK * ROWS + THREAD / LANES;
    float along = 0, upstream = row < p.rows.n ? p.upstream[row] : 0;
    if (row < p.rows.n) {
        const Terms *terms = p.rows.terms + row;
        int levels = decodes_levels(&p.rows, p.rows.t[row]);
        for (u64 at = row * p.rows.dim + THREAD % LANES; at < (row + 1) * p.rows.dim; at += LANES) {
            Result nats = {0, 0, 0};
            if (levels) {
                nats = nats_of(p.rows.form, &terms->read_out, p.rows.x[at], p.rows.noise[at], p.rows.output[at]);
            }
            p.by_output[at] = upstream * nats.by_output;
            along += nats.by_gamma;
        }
    }
    double sum = sum_over(LANES, along);
    if (row < p.rows.n && THREAD % LANES == 0) p.by_gamma[row] = (float)((double)upstream * sum);
}

typedef struct {
    const double *values;
    const u32 *t;
    float *out;
    u64 n;
} TermTotals;

// One block: the sum over the rows at t = 0, and that over the others.
KERNEL(term_totals, TermTotals) {
    double sums[2] = {0, 0};
    for (u64 row = THREAD; row < p.n; row += THREADS) sums[p.t[row] > 0] += p.values[row];
    for (u32 i = 0; i < 2; i++) {
        double sum = sum_over(THREADS, sums[i]);
        if (THREAD == 0) p.out[i] = (float)sum;
    }
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
