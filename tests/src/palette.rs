//! What all our plots are drawn with.

use plotters::style::RGBColor;

/// Told apart by people with any colour vision (Okabe and Ito).
pub(crate) const COLOURS: [RGBColor; 6] = [
    RGBColor(0, 114, 178),
    RGBColor(230, 159, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(86, 180, 233),
    RGBColor(213, 94, 0),
];
/// Of text and axes.
pub(crate) const INK: RGBColor = RGBColor(40, 40, 40);
/// Of the lines behind.
pub(crate) const GRID: RGBColor = RGBColor(225, 225, 225);
/// Of text, in the order in which a reader's machine has one.
pub(crate) const FONT: &str = "Helvetica, Arial, sans-serif";
