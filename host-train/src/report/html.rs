//! The page of a report. It needs no other file, so it can be mailed.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::anyhow;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::charts::{elbo_chart, gamma_chart, loss_chart};
use super::input::{FormatRow, ReportInput};
use crate::files::write_atomically;
use crate::runtime::evaluate::PRIOR_LIMIT_NATS;
use crate::runtime::sample_variance::VarianceRatio;

const STYLE: &str = include_str!("report.css");

/// Writes the page to `path`, with charts as SVG and the picture inlined.
pub fn write_report(path: &Path, input: &ReportInput) -> anyhow::Result<()> {
    let page = page(input)?;
    write_atomically(path, |file| Ok(file.write_all(page.as_bytes())?))
}

fn page(input: &ReportInput) -> anyhow::Result<String> {
    let title = escape(&input.title);
    let mut page = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<h1>{title}</h1>\n"
    );
    for part in [
        notes(input),
        picture(input)?,
        elbo(input)?,
        loss(input)?,
        schedule(input)?,
        configuration(input),
        commands(input),
    ] {
        page.push_str(&part);
    }
    page.push_str("</body>\n</html>\n");
    Ok(page)
}

fn section(heading: &str, body: &str) -> String {
    format!("<section>\n<h2>{heading}</h2>\n{body}</section>\n")
}

fn notes(input: &ReportInput) -> String {
    let excess = input
        .formats
        .iter()
        .filter(|row| row.prior_nats_per_dim > PRIOR_LIMIT_NATS)
        .map(|row| {
            format!(
                "{}: the prior term is {:.3} nats/dim, above {PRIOR_LIMIT_NATS}, so samples do not start where the \
             chain ends; raise model.gamma_last_bound, or model.gamma_last if γ is not learned.",
                row.file, row.prior_nats_per_dim
            )
        });
    let unusual = input.formats.iter().filter_map(|row| {
        let remark = row.variance.as_ref()?.remark(&row.file)?;
        Some(format!("{remark}."))
    });
    let all: String = input
        .notes
        .iter()
        .cloned()
        .chain(excess)
        .chain(unusual)
        .map(|note| format!("<li>{}</li>\n", escape(&note)))
        .collect();
    if all.is_empty() {
        all
    } else {
        format!("<ul class=\"notes\">\n{all}</ul>\n")
    }
}

fn picture(input: &ReportInput) -> anyhow::Result<String> {
    let Some(path) = &input.grid_png else {
        return Ok(String::new());
    };
    let bytes = std::fs::read(path)
        .map_err(|error| anyhow!("the picture {} cannot be read ({error}): draw it first", path.display()))?;
    let data = BASE64.encode(bytes);
    Ok(section(
        "Data and samples",
        &format!("<img alt=\"Grids of data and samples\" src=\"data:image/png;base64,{data}\">\n"),
    ))
}

fn elbo(input: &ReportInput) -> anyhow::Result<String> {
    if input.formats.is_empty() {
        return Ok(String::new());
    }
    let rows: String = input.formats.iter().map(format_row).collect();
    let table = format!(
        "<p>Negative ELBO of rows that the training never saw, computed by the runtime in the file's own arithmetic; \
         lower is better. The terms are in bits per dimension.</p>\n<table>\n<tr><th>file</th><th>format</th>\
         <th>bits/dim</th><th>diffusion</th><th>reconstruction</th><th>prior</th><th>steps</th><th>calls</th>\
         <th>rows</th><th>bytes</th><th>variance</th><th>worst</th></tr>\n{rows}</table>\n\
         <p>A sample runs the network as often as the column \"calls\" says. The last two columns are the variance of \
         samples as a multiple of the data's: of all dimensions together, and in the direction where it is furthest \
         from 1.</p>\n"
    );
    Ok(section("Held-out ELBO", &(table + &elbo_chart(&input.formats)?)))
}

fn format_row(row: &FormatRow) -> String {
    let ratio = |part: fn(&VarianceRatio) -> f64| {
        let ratio = row.variance.as_ref().map(part);
        ratio.map_or("–".to_owned(), |ratio| format!("{ratio:.2}"))
    };
    format!(
        "<tr><td>{}</td><td>{}</td><td><b>{:.4}</b></td><td>{:.4}</td><td>{:.4}</td><td>{:.4}</td><td>{}</td><td>{}</td>\
         <td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>\n",
        escape(&row.file),
        escape(&row.format),
        row.bits_per_dim,
        row.diffusion,
        row.reconstruction,
        row.prior,
        row.steps,
        row.calls,
        group_thousands(row.rows as u64),
        group_thousands(row.file_bytes),
        ratio(|v| v.overall),
        ratio(|v| v.worst),
    )
}

fn loss(input: &ReportInput) -> anyhow::Result<String> {
    if input.losses.is_empty() {
        return Ok(String::new());
    }
    Ok(section("Training loss", &loss_chart(&input.losses)?))
}

fn schedule(input: &ReportInput) -> anyhow::Result<String> {
    if input.gamma.is_empty() {
        return Ok(String::new());
    }
    let decibels = 10.0 / std::f64::consts::LN_10;
    let rows: String = input
        .gamma
        .iter()
        .enumerate()
        .map(|(t, gamma)| {
            format!(
                "<tr><td>{t}</td><td>{gamma:.4}</td><td>{:.2}</td></tr>\n",
                -gamma * decibels
            )
        })
        .collect();
    let table = format!(
        "<details>\n<summary>γ at every step</summary>\n<table>\n<tr><th>t</th><th>γ</th><th>SNR (dB)</th></tr>\n{rows}\
         </table>\n</details>\n"
    );
    Ok(section("Schedule", &(gamma_chart(&input.gamma)? + &table)))
}

fn configuration(input: &ReportInput) -> String {
    preformatted("Configuration", &input.config_toml)
}

fn commands(input: &ReportInput) -> String {
    preformatted("Commands", &input.commands.join("\n"))
}

fn preformatted(heading: &str, text: &str) -> String {
    if text.is_empty() {
        String::new()
    } else {
        section(heading, &format!("<pre>{}</pre>\n", escape(text.trim_end())))
    }
}

/// Escapes text for use between tags and in quoted attributes.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
    }
    out
}

/// Formats `1234567` as `1,234,567`.
fn group_thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            let _ = write!(out, ",");
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::input::examples::{formats, losses};

    fn full(folder: &Path) -> ReportInput {
        let png = folder.join("grid.png");
        std::fs::write(&png, b"\x89PNG").unwrap();
        ReportInput {
            title: "digits <T = 64>".to_owned(),
            grid_png: Some(png),
            losses: losses(100),
            gamma: (0..=64).map(|t| -8.0 + f64::from(t) * 0.25).collect(),
            formats: formats(),
            config_toml: "seed = 1 # \"<&>\"\n".to_owned(),
            notes: vec!["It isn't long.".to_owned()],
            commands: vec!["host-train train a.toml && true".to_owned()],
        }
    }

    #[test]
    fn a_page_holds_everything_and_needs_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("report.html");
        write_report(&path, &full(folder.path())).unwrap();
        let page = std::fs::read_to_string(&path).unwrap();
        for expected in [
            "<h1>digits &lt;T = 64&gt;</h1>",
            "data:image/png;base64,iVBORw==",
            "digits-t64-w8a16.vdm</td><td>w8a16</td><td><b>2.4980</b>",
            "<td>302,936</td><td>0.98</td><td>0.93</td>",
            "<td>64</td><td>65</td>",
            "<td>64</td><td>8.0000</td><td>-34.74</td>",
            "seed = 1 # &quot;&lt;&amp;&gt;&quot;</pre>",
            "host-train train a.toml &amp;&amp; true",
            "<li>It isn&#39;t long.</li>",
        ] {
            assert!(page.contains(expected), "{expected} is missing");
        }
        assert_eq!(page.matches("<svg").count(), 3);
        assert_eq!(page.matches("<section>").count(), page.matches("</section>").count());
        assert!(!page.contains("src=\"http") && !page.contains("href="));
    }

    #[test]
    fn what_is_absent_is_left_out() {
        let page = page(&ReportInput {
            title: "t".to_owned(),
            ..ReportInput::default()
        })
        .unwrap();
        assert!(!page.contains("<section>") && !page.contains("<ul"), "{page}");
    }

    #[test]
    fn samples_that_are_too_alike_are_pointed_out() {
        let mut rows = formats();
        rows[1].variance = Some(VarianceRatio {
            overall: 0.53,
            worst: 0.2,
        });
        let page = page(&ReportInput {
            formats: rows,
            ..ReportInput::default()
        })
        .unwrap();
        assert_eq!(page.matches("of the data&#39;s variance, outside").count(), 1, "{page}");
    }

    #[test]
    fn a_large_prior_term_is_pointed_out() {
        let mut rows = formats();
        rows[1].prior_nats_per_dim = 0.46;
        let page = page(&ReportInput {
            formats: rows,
            ..ReportInput::default()
        })
        .unwrap();
        assert_eq!(page.matches("the prior term is 0.460 nats/dim").count(), 1);
    }

    #[test]
    fn a_missing_picture_is_named() {
        let input = ReportInput {
            grid_png: Some("nowhere.png".into()),
            ..ReportInput::default()
        };
        assert!(
            page(&input)
                .unwrap_err()
                .to_string()
                .starts_with("the picture nowhere.png cannot be read")
        );
    }

    #[test]
    fn numbers_are_grouped_by_thousands() {
        assert_eq!(
            [0, 999, 1000, 1_234_567].map(group_thousands),
            ["0", "999", "1,000", "1,234,567"]
        );
    }
}
