//! The ratios of a run as a picture: a bar for every query and engine and for their totals, on a logarithmic scale. A bar
//! to the left of the middle means that Parcours is faster. It is SVG as text; names and titles are ours and need no
//! escaping.

use std::fmt::Write;

use crate::measure::{Measured, Medians};

const TITLES: f64 = 270.0;
/// How far the longest bar is from the middle.
const REACH: f64 = 200.0;
/// Room for the figure at the end of a bar.
const FIGURE: f64 = 40.0;
const MIDDLE: f64 = TITLES + FIGURE + REACH;
const WIDTH: f64 = MIDDLE + REACH + FIGURE;
const BAR: f64 = 12.0;
const GAP: f64 = 8.0;
const COLOURS: [&str; 7] = [
    "#4477aa", "#ee9933", "#228855", "#aa3377", "#66bbdd", "#997700", "#777777",
];

/// The picture of the ratios of Parcours to each engine.
pub fn svg(measured: &[Measured]) -> String {
    let total = Medians::total(measured);
    let names: Vec<_> = measured.first().map_or(Vec::new(), |one| {
        one.beside.iter().map(|beside| beside.name.as_str()).collect()
    });
    let mut rows: Vec<_> = measured
        .iter()
        .map(|one| (one.question.title, Medians::of(one)))
        .collect();
    rows.push(("Total of medians", total.clone()));
    picture(&legend(&names, &total), &rows)
}

/// Each engine and the total of its medians.
fn legend(names: &[&str], total: &Medians) -> Vec<String> {
    let shown = |(name, seconds): (&&str, &f64)| match seconds.is_nan() {
        true => format!("{name} (not all answered)"),
        false => format!("{name} ({:.0} ms)", seconds * 1e3),
    };
    let ours = format!("Time of Parcours (in all {:.0} ms) to that of", total.parcours * 1e3);
    std::iter::once(ours)
        .chain(names.iter().zip(&total.beside).map(shown))
        .collect()
}

fn picture(legend: &[String], rows: &[(&str, Medians)]) -> String {
    let mut body = String::new();
    let mut y = GAP;
    for (index, words) in legend.iter().enumerate() {
        // The first is Parcours, which has no bars of its own.
        let colour = index.checked_sub(1).map_or("black", colour);
        text(&mut body, GAP, y, "start", colour, words);
        y += BAR + GAP / 2.0;
    }
    let (top, scale) = (y + GAP, scale(rows));
    y = top;
    for (title, medians) in rows {
        text(&mut body, TITLES, y, "end", "black", title);
        for (index, ratio) in medians.ratios().enumerate() {
            bar(&mut body, y, ratio, scale, colour(index));
            y += BAR;
        }
        y += GAP;
    }
    let _ = writeln!(body, r#"<path d="M{MIDDLE} {top}V{y}" stroke="black"/>"#);
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {}\" font-family=\"sans-serif\" \
         font-size=\"11\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n{body}</svg>\n",
        y + GAP
    )
}

/// Length of a bar whose ratio is e: the largest ratio, or its inverse, reaches the edge.
fn scale(rows: &[(&str, Medians)]) -> f64 {
    let ratios = rows.iter().flat_map(|(_, medians)| medians.ratios());
    let most = ratios
        .map(|ratio| ratio.ln().abs())
        .filter(|length| length.is_finite())
        .fold(0.0, f64::max);
    if most > 0.0 { REACH / most } else { REACH }
}

fn bar(body: &mut String, y: f64, ratio: f64, scale: f64, colour: &str) {
    let length = ratio.ln() * scale;
    if !length.is_finite() {
        return;
    }
    let (left, height) = (MIDDLE + length.min(0.0), BAR - 1.0);
    let _ = writeln!(
        body,
        r#"<rect x="{left:.1}" y="{y:.1}" width="{:.1}" height="{height}" fill="{colour}"/>"#,
        length.abs()
    );
    let (x, anchor) = if length < 0.0 {
        (left - 3.0, "end")
    } else {
        (MIDDLE + length + 3.0, "start")
    };
    text(body, x, y, anchor, "black", &format!("{ratio:.2}"));
}

fn text(body: &mut String, x: f64, y: f64, anchor: &str, colour: &str, words: &str) {
    // A baseline is below the top of its line.
    let baseline = y + BAR - 2.0;
    let _ = writeln!(
        body,
        r#"<text x="{x:.1}" y="{baseline:.1}" text-anchor="{anchor}" fill="{colour}">{words}</text>"#
    );
}

fn colour(index: usize) -> &'static str {
    COLOURS[index % COLOURS.len()]
}

#[cfg(test)]
mod tests {
    use super::picture;
    use crate::measure::Medians;

    #[test]
    fn faster_is_to_the_left() {
        let medians = Medians {
            parcours: 1.0,
            beside: vec![4.0, 0.5, 0.0],
        };
        let svg = picture(&["Parcours".to_owned()], &[("Query", medians)]);
        assert!(svg.contains(r#"<rect x="310.0" y="32.0" width="200.0""#), "{svg}");
        assert!(svg.contains(r#"<rect x="510.0" y="44.0" width="100.0""#), "{svg}");
        assert_eq!(svg.matches("<rect x=").count(), 2, "no bar without a time: {svg}");
    }
}
