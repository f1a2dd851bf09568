// The read-out of one dimension: the error of the estimate, the nats of a level, and their derivatives. The formulas
// are those of ../read_out; a test compares the results.
#ifndef READ_OUT_H
#define READ_OUT_H
#include "base.h"

// What the network's output is.
#define PREDICTS_V 0
#define PREDICTS_X 1
#define PREDICTS_ODDS 2

// How the network's output is read.
typedef struct {
    u32 prediction;
    // Number of levels of the data.
    u32 levels;
    u32 clip;
    u32 unused;
} Form;

// Constants of the read-out at one γ.
typedef struct {
    // The error of v and x as of_x·x + of_noise·ε + of_output·f, and the derivatives of its factors by γ.
    float of_x, of_noise, of_output, by_x, by_noise, by_output;
    float root; // √SNR
    // Of levels: Δ, 1/Δ, SNR, ½ SNR Δ².
    float spacing, density, snr, bend;
    // Levels on each side of the largest weight that count, if that is fewer than all; otherwise the number of levels.
    u32 side;
} Constants;

// A number of one dimension and its derivatives.
typedef struct {
    float value, by_output, by_gamma;
} Result;

// Logarithm of the weights that are left out, negated.
#define NEGLIGIBLE 25.0

DEVICE double softplus(double x) { return (x > 0 ? x : 0) + log1p(exp(x > 0 ? -x : x)); }

DEVICE Constants constants_at(Form form, double gamma) {
    Constants out = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0};
    double alpha = exp(-0.5 * softplus(gamma)), sigma = exp(-0.5 * softplus(-gamma)), root = exp(-0.5 * gamma);
    out.root = (float)root;
    if (form.prediction == PREDICTS_V) {
        double slope = 0.5 * sigma * alpha;
        out.of_x = (float)(-sigma * alpha), out.of_noise = (float)(alpha * alpha), out.of_output = (float)-alpha;
        out.by_x = (float)(-slope * (alpha * alpha - sigma * sigma));
        out.by_noise = (float)(-sigma * sigma * alpha * alpha);
        out.by_output = (float)(slope * sigma);
    } else if (form.prediction == PREDICTS_X) {
        out.of_x = (float)-root, out.of_output = (float)root;
        out.by_x = (float)(0.5 * root), out.by_output = (float)(-0.5 * root);
    } else {
        double spacing = 2.0 / (double)(form.levels - 1), snr = exp(-gamma), bend = 0.5 * snr * spacing * spacing;
        double side = ceil(sqrt(NEGLIGIBLE / bend + 0.25) - 0.5);
        out.spacing = (float)spacing, out.density = (float)(1 / spacing);
        out.snr = (float)snr, out.bend = (float)bend;
        out.side = 2 * side + 1 < (double)form.levels ? (u32)side : form.levels;
    }
    return out;
}

// The posterior of a level: moments of its distance from x.
typedef struct {
    // √SNR·ε + f/Δ
    float push;
    // Distance of the level of the largest weight from x.
    float center;
    float total, mean, variance, square, skew;
} Moments;

DEVICE Moments moments(Form form, const Constants *c, float x, float noise, float output) {
    Moments m;
    float last = (float)(form.levels - 1);
    m.push = c->root * noise + c->density * output;
    float place = (x + m.push / c->snr + 1.0f) * c->density;
    // NaN becomes 0 here and stays NaN in the slope.
    place = place > 0 ? place : 0;
    float nearest = rintf(place < last ? place : last);
    m.center = (nearest * c->spacing - 1.0f) - x;
    float slope = c->spacing * (m.push - c->snr * m.center);
    int from = -(int)nearest, to = (int)last + from, side = (int)c->side;
    from = from < -side ? -side : from, to = to > side ? side : to;
    float total = 0, first = 0, second = 0, third = 0;
    for (int k = from; k <= to; k++) {
        float i = (float)k;
        float weight = expf(i * (slope - c->bend * i));
        total += weight, weight *= i;
        first += weight, weight *= i;
        second += weight, weight *= i;
        third += weight;
    }
    float scale = c->spacing / total;
    first *= scale, second *= scale * c->spacing, third *= scale * c->spacing * c->spacing;
    m.total = total;
    m.mean = m.center + first;
    m.variance = second - first * first;
    m.square = second + m.center * (2 * first + m.center);
    m.skew = third - first * second + 2 * m.center * m.variance;
    return m;
}

// The error √SNR·(x̂ − x).
DEVICE Result error_of(Form form, const Constants *c, float x, float noise, float output) {
    Result out;
    if (form.prediction == PREDICTS_ODDS) {
        Moments m = moments(form, c, x, noise, output);
        out.value = c->root * m.mean;
        out.by_output = c->root * c->density * m.variance;
        out.by_gamma = 0.5f * c->root * (c->snr * m.skew - c->root * noise * m.variance - m.mean);
        return out;
    }
    out.value = c->of_x * x + c->of_noise * noise + c->of_output * output;
    out.by_output = c->of_output;
    out.by_gamma = c->by_x * x + c->by_noise * noise + c->by_output * output;
    if (form.clip) {
        float low = c->root * (-1.0f - x), high = c->root * (1.0f - x);
        if (out.value < low || out.value > high) {
            out.value = out.value < low ? low : high;
            out.by_output = 0, out.by_gamma = -0.5f * out.value;
        }
    }
    return out;
}

// −ln p(x | z) of a level.
DEVICE Result nats_of(Form form, const Constants *c, float x, float noise, float output) {
    Moments m = moments(form, c, x, noise, output);
    Result out;
    out.value = m.center * (m.push - 0.5f * c->snr * m.center) + logf(m.total);
    out.by_output = c->density * m.mean;
    out.by_gamma = 0.5f * (c->snr * m.square - c->root * noise * m.mean);
    return out;
}

#endif
