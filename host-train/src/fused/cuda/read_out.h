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
    // Of levels: Δ, 1/Δ, SNR, √SNR, ½ SNR Δ².
    float spacing, density, snr, root, bend;
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
    double alpha = exp(-0.5 * softplus(gamma)), sigma = exp(-0.5 * softplus(-gamma));
    if (form.prediction == PREDICTS_V) {
        double slope = 0.5 * sigma * alpha;
        out.of_x = (float)(-sigma * sigma), out.of_noise = (float)(sigma * alpha), out.of_output = (float)-sigma;
        out.by_x = (float)(-sigma * sigma * alpha * alpha);
        out.by_noise = (float)(slope * (alpha * alpha - sigma * sigma));
        out.by_output = (float)(-slope * alpha);
    } else if (form.prediction == PREDICTS_X) {
        out.of_x = -1, out.of_output = 1;
    } else {
        double spacing = 2.0 / (double)(form.levels - 1), snr = exp(-gamma), bend = 0.5 * snr * spacing * spacing;
        double side = ceil(sqrt(NEGLIGIBLE / bend + 0.25) - 0.5);
        out.spacing = (float)spacing, out.density = (float)(1 / spacing);
        out.snr = (float)snr, out.root = (float)sqrt(snr), out.bend = (float)bend;
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

// The error x̂ − x.
DEVICE Result error_of(Form form, const Constants *c, float x, float noise, float output) {
    Result out;
    if (form.prediction == PREDICTS_ODDS) {
        Moments m = moments(form, c, x, noise, output);
        out.value = m.mean;
        out.by_output = c->density * m.variance;
        out.by_gamma = 0.5f * (c->snr * m.skew - c->root * noise * m.variance);
        return out;
    }
    out.value = c->of_x * x + c->of_noise * noise + c->of_output * output;
    out.by_output = c->of_output;
    out.by_gamma = c->by_x * x + c->by_noise * noise + c->by_output * output;
    if (form.clip) {
        float low = -1.0f - x, high = 1.0f - x;
        if (out.value < low || out.value > high) {
            out.value = out.value < low ? low : high;
            out.by_output = 0, out.by_gamma = 0;
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
