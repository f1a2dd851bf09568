//! Charts as SVG text, ready for a page.

use anyhow::{anyhow, ensure};
use plotters::coord::Shift;
use plotters::prelude::*;

use super::input::FormatRow;
use crate::train::log::LossRow;

/// Points that a curve is thinned to. More cannot be told apart at this size.
const CURVE_POINTS: usize = 400;
/// Width and height of a chart, in pixels.
const SIZE: (u32, u32) = (760, 340);
/// Width right of the plot for the legend.
const LEGEND_WIDTH: u32 = 140;
const FONT: &str = "sans-serif";

const BLUE: RGBColor = RGBColor(37, 99, 175);
const ORANGE: RGBColor = RGBColor(217, 119, 6);
const GREEN: RGBColor = RGBColor(22, 130, 93);
const PURPLE: RGBColor = RGBColor(124, 58, 183);
const INK: RGBColor = RGBColor(40, 44, 52);
const FAINT: RGBColor = RGBColor(226, 229, 234);

/// Parts of a bar from the bottom up.
const BAR_PARTS: [(&str, RGBColor); 3] = [("diffusion", BLUE), ("reconstruction", ORANGE), ("prior", GREEN)];

/// A curve: name, color, and points (step, bits/dim).
type Curve = (&'static str, RGBColor, Vec<(f64, f64)>);

/// Draws the loss and its three terms over the steps of a training, in bits per dimension.
///
/// The first tenth of the steps may lie far above the rest. The axis ends where the rest can be read; higher points are
/// left out.
pub fn loss_chart(losses: &[LossRow]) -> anyhow::Result<String> {
    let curve = |term: &dyn Fn(&LossRow) -> Option<f64>| -> Vec<(f64, f64)> {
        let points = losses.iter().filter_map(|row| Some((row.step as f64, term(row)?)));
        thin_out(&points.filter(|(_, y)| y.is_finite()).collect::<Vec<_>>())
    };
    let curves: Vec<Curve> = vec![
        ("total", INK, curve(&|row| Some(row.total()))),
        ("reconstruction", ORANGE, curve(&|row| row.terms.first().copied())),
        ("prior", GREEN, curve(&|row| row.terms.get(1).copied())),
        ("diffusion", BLUE, curve(&|row| row.terms.get(2).copied())),
        ("validation", PURPLE, curve(&|row| row.validation)),
    ];
    let total = &curves[0].2;
    let last_step = total.last().map_or(0.0, |(step, _)| *step);
    ensure!(last_step > 0.0, "there is no loss curve to draw: log at least one step");
    let settled = total
        .iter()
        .filter(|(step, _)| *step >= 0.1 * last_step)
        .map(|(_, y)| *y);
    let top = axis_top(settled.fold(0.0, f64::max));

    draw(|area| {
        let mut chart = ChartBuilder::on(area)
            .margin(12)
            .margin_right(LEGEND_WIDTH)
            .x_label_area_size(36)
            .y_label_area_size(52)
            .build_cartesian_2d(0.0..last_step, 0.0..top)?;
        chart
            .configure_mesh()
            .bold_line_style(FAINT)
            .light_line_style(TRANSPARENT)
            .axis_style(INK)
            .label_style((FONT, 13))
            .x_desc("training step")
            .y_desc("bits/dim")
            .x_label_formatter(&|step| format!("{step:.0}"))
            .y_label_formatter(&|y| format_short(*y))
            .draw()?;
        for (_, color, points) in &curves {
            if points.is_empty() {
                continue;
            }
            let style = color.stroke_width(2);
            let visible = points.iter().filter(|(_, y)| *y <= top).copied();
            chart.draw_series(LineSeries::new(visible, style))?;
        }
        draw_legend(
            area,
            curves
                .iter()
                .filter(|(.., points)| !points.is_empty())
                .map(|(name, color, _)| (*name, *color)),
        )?;
        Ok(())
    })
}

/// Draws the schedule: γ = −log SNR at every step t = 0..=T.
pub fn gamma_chart(gamma: &[f64]) -> anyhow::Result<String> {
    ensure!(
        gamma.len() >= 2,
        "there is no schedule to draw: γ has {} values and needs 2",
        gamma.len()
    );
    ensure!(
        gamma.iter().all(|value| value.is_finite()),
        "the schedule cannot be drawn: every γ must be finite"
    );
    let (low, high) = gamma
        .iter()
        .fold((f64::MAX, f64::MIN), |(low, high), y| (low.min(*y), high.max(*y)));
    let space = ((high - low) * 0.05).max(0.1);
    let points = || gamma.iter().enumerate().map(|(t, y)| (t as f64, *y));
    draw(|area| {
        let mut chart = ChartBuilder::on(area)
            .margin(12)
            .x_label_area_size(36)
            .y_label_area_size(52)
            .build_cartesian_2d(0.0..(gamma.len() - 1) as f64, low - space..high + space)?;
        chart
            .configure_mesh()
            .bold_line_style(FAINT)
            .light_line_style(TRANSPARENT)
            .axis_style(INK)
            .label_style((FONT, 13))
            .x_desc("step t (0: data, T: noise)")
            .y_desc("γ = −log SNR")
            .x_label_formatter(&|t| format_short(*t))
            .y_label_formatter(&|y| format_short(*y))
            .draw()?;
        chart.draw_series(LineSeries::new(points(), BLUE.stroke_width(2)))?;
        chart.draw_series(points().map(|point| Circle::new(point, 2, BLUE.filled())))?;
        Ok(())
    })
}

/// Draws the held-out ELBO of every exported file as a bar of its three terms, in bits per dimension.
pub fn elbo_chart(formats: &[FormatRow]) -> anyhow::Result<String> {
    let terms = |row: &FormatRow| [row.diffusion, row.reconstruction, row.prior];
    ensure!(
        !formats.is_empty(),
        "there is no ELBO to draw: evaluate at least one file"
    );
    ensure!(
        formats.iter().all(|row| terms(row).iter().all(|term| term.is_finite())),
        "the ELBO cannot be drawn: every term must be finite"
    );
    let sums = formats.iter().map(|row| terms(row).iter().sum::<f64>());
    let (low, high) = formats
        .iter()
        .flat_map(terms)
        .chain(sums)
        .fold((0.0, 0.0), |(low, high): (f64, f64), y| (low.min(y), high.max(y)));
    let high = if high > low { axis_top(high) } else { low + 1.0 };
    let count = formats.len();
    draw(|area| {
        let mut chart = ChartBuilder::on(area)
            .margin(12)
            .margin_right(LEGEND_WIDTH)
            .x_label_area_size(36)
            .y_label_area_size(52)
            .build_cartesian_2d(0.0..count as f64, low..high)?;
        chart
            .configure_mesh()
            .disable_x_mesh()
            .bold_line_style(FAINT)
            .light_line_style(TRANSPARENT)
            .axis_style(INK)
            .label_style((FONT, 13))
            .x_labels(0)
            .y_desc("bits/dim")
            .y_label_formatter(&|y| format_short(*y))
            .draw()?;
        for (part, (_, color)) in BAR_PARTS.into_iter().enumerate() {
            let bars = formats.iter().enumerate().map(|(index, row)| {
                let below: f64 = terms(row)[..part].iter().sum();
                let middle = index as f64 + 0.5;
                let half = 0.28;
                Rectangle::new(
                    [(middle - half, below), (middle + half, below + terms(row)[part])],
                    color.filled(),
                )
            });
            chart.draw_series(bars)?;
        }
        for (index, row) in formats.iter().enumerate() {
            let middle = index as f64 + 0.5;
            let centered = |size: i32| (FONT, size).into_font().color(&INK);
            let top = terms(row).iter().sum::<f64>();
            let caption = format!("{} · T = {}", row.format, row.steps);
            let place = |point: (f64, f64), text: String, down: i32, size: i32| {
                let pixel = chart.backend_coord(&point);
                let width = (text.chars().count() as i32 * size * 11) / 40;
                area.draw(&Text::new(text, (pixel.0 - width, pixel.1 + down), centered(size)))
            };
            place((middle, top), format!("{:.3}", row.bits_per_dim), -20, 15)?;
            place((middle, low), caption, 10, 14)?;
        }
        draw_legend(area, BAR_PARTS)?;
        Ok(())
    })
}

/// A line of [`lines_chart`].
#[derive(Clone, Debug)]
pub struct Line {
    /// Name in the legend.
    pub name: String,
    /// Points from left to right; x > 0.
    pub points: Vec<(f64, f64)>,
}

/// Draws lines over a logarithmic axis to the base of two.
///
/// The upper axis ends at three times the lowest value. Higher points are left out, so that the lines that matter can
/// be told apart.
pub fn lines_chart(lines: &[Line], x_name: &str, y_name: &str) -> anyhow::Result<String> {
    const RED: RGBColor = RGBColor(200, 40, 60);
    const TURQUOISE: RGBColor = RGBColor(20, 160, 190);
    const GREY: RGBColor = RGBColor(150, 156, 168);
    const COLORS: [RGBColor; 8] = [GREY, PURPLE, BLUE, ORANGE, GREEN, INK, RED, TURQUOISE];
    let points = || lines.iter().flat_map(|l| &l.points);
    let finite = points().all(|(x, y)| x.is_finite() && *x > 0.0 && y.is_finite());
    ensure!(
        points().count() > 1 && finite,
        "there are no lines to draw: give at least two finite points"
    );
    let bounds = |pick: fn(&(f64, f64)) -> f64| {
        points()
            .map(pick)
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)))
    };
    let ((left, right), (low, high)) = (bounds(|p| p.0), bounds(|p| p.1));
    let top = if low > 0.0 { high.min(3.0 * low) } else { high };
    let space = 0.05 * (top - low).max(1e-6);
    draw(|area| {
        let mut chart = ChartBuilder::on(area)
            .margin(12)
            .margin_right(LEGEND_WIDTH)
            .x_label_area_size(36)
            .y_label_area_size(52)
            .build_cartesian_2d((left.log2() - 0.1)..(right.log2() + 0.1), (low - space)..(top + space))?;
        chart
            .configure_mesh()
            .bold_line_style(FAINT)
            .light_line_style(TRANSPARENT)
            .axis_style(INK)
            .label_style((FONT, 13))
            .x_desc(x_name)
            .y_desc(y_name)
            // Powers of two alone.
            .x_label_formatter(&|x| match (x - x.round()).abs() < 1e-6 {
                true => format_short(x.exp2()),
                false => String::new(),
            })
            .y_label_formatter(&|y| format_short(*y))
            .draw()?;
        for (line, color) in lines.iter().zip(COLORS.into_iter().cycle()) {
            let shown = || {
                line.points
                    .iter()
                    .filter(|p| p.1 <= top + space)
                    .map(|(x, y)| (x.log2(), *y))
            };
            chart.draw_series(LineSeries::new(shown(), color.stroke_width(2)))?;
            chart.draw_series(shown().map(|point| Circle::new(point, 3, color.filled())))?;
        }
        let names = lines.iter().map(|l| l.name.as_str());
        draw_legend(area, names.zip(COLORS.into_iter().cycle()))?;
        Ok(())
    })
}

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// Returns an SVG of what `content` draws on white.
fn draw(content: impl FnOnce(&Area) -> Result<(), Box<dyn std::error::Error>>) -> anyhow::Result<String> {
    let mut svg = String::new();
    let area = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
    area.fill(&WHITE)
        .map_err(Into::into)
        .and_then(|()| content(&area))
        .and_then(|()| Ok(area.present()?))
        .map_err(|error| anyhow!("a chart cannot be drawn ({error})"))?;
    drop(area);
    Ok(svg)
}

/// Draws names and colors beside the plot, where they cover nothing.
fn draw_legend<'a>(
    area: &Area,
    entries: impl IntoIterator<Item = (&'a str, RGBColor)>,
) -> Result<(), Box<dyn std::error::Error>> {
    let left = (SIZE.0 - LEGEND_WIDTH) as i32 + 14;
    for ((name, color), top) in entries.into_iter().zip((20..).step_by(22)) {
        area.draw(&Rectangle::new([(left, top), (left + 12, top + 12)], color.filled()))?;
        area.draw(&Text::new(
            name.to_owned(),
            (left + 18, top),
            (FONT, 13).into_font().color(&INK),
        ))?;
    }
    Ok(())
}

/// Thins a curve to at most [`CURVE_POINTS`] points: means of equal runs, so that noise is smoothed and not sampled.
fn thin_out(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let run = points.len().div_ceil(CURVE_POINTS).max(1);
    let mean = |run: &[(f64, f64)]| {
        let sum = run
            .iter()
            .fold((0.0, 0.0), |sum, point| (sum.0 + point.0, sum.1 + point.1));
        (sum.0 / run.len() as f64, sum.1 / run.len() as f64)
    };
    points.chunks(run).map(mean).collect()
}

/// End of an axis that shows `highest` with some space above.
fn axis_top(highest: f64) -> f64 {
    if highest > 0.0 { highest * 1.15 } else { 1.0 }
}

/// Formats a number without trailing zeros.
fn format_short(value: f64) -> String {
    let text = format!("{value:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::input::examples::{formats, losses};

    #[test]
    fn every_chart_is_one_svg() {
        for svg in [
            loss_chart(&losses(5000)).unwrap(),
            gamma_chart(&[-8.0, 0.0, 8.0]).unwrap(),
            elbo_chart(&formats()).unwrap(),
            lines_chart(
                &[Line {
                    name: "a".to_owned(),
                    points: vec![(2.0, 5.0), (4.0, 3.0)],
                }],
                "T",
                "bits/dim",
            )
            .unwrap(),
        ] {
            assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"));
            assert!(svg.len() < 60_000, "{} bytes", svg.len());
            assert!(!svg.contains("NaN"));
        }
    }

    #[test]
    fn names_are_escaped() {
        let mut rows = formats();
        rows[0].format = "<b>&".to_owned();
        assert!(elbo_chart(&rows).unwrap().contains("&lt;b&gt;&amp;"));
    }

    #[test]
    fn nothing_to_draw_is_an_error_and_not_an_empty_chart() {
        assert_eq!(
            loss_chart(&[]).unwrap_err().to_string(),
            "there is no loss curve to draw: log at least one step"
        );
        assert_eq!(
            gamma_chart(&[1.0]).unwrap_err().to_string(),
            "there is no schedule to draw: γ has 1 values and needs 2"
        );
        assert!(elbo_chart(&[]).is_err());
        assert!(lines_chart(&[], "x", "y").is_err());
        assert!(gamma_chart(&[0.0, f64::NAN]).is_err());
    }

    #[test]
    fn thinning_keeps_means_and_short_curves() {
        assert_eq!(thin_out(&[(1.0, 2.0), (3.0, 4.0)]), [(1.0, 2.0), (3.0, 4.0)]);
        let long: Vec<_> = (0..1000).map(|i| (f64::from(i), 7.0)).collect();
        let thin = thin_out(&long);
        assert!(thin.len() <= CURVE_POINTS && thin.iter().all(|(_, y)| *y == 7.0));
    }
}
