//! Values as people read them, by Grafana's names of units.

/// A value in a unit.
pub(super) fn written(value: f64, unit: &str) -> String {
    match unit {
        "s" if value != 0.0 && value.abs() < 1e-3 => format!("{:.0} µs", value * 1e6),
        "s" if value != 0.0 && value.abs() < 1.0 => format!("{:.0} ms", value * 1e3),
        "s" => format!("{} s", short(value)),
        "percentunit" => format!("{:.0} %", value * 100.0),
        "bytes" => format!("{}B", powers(value)),
        "Bps" => format!("{}B/s", powers(value)),
        "reqps" => format!("{} req/s", short(value)),
        "wps" => format!("{} writes/s", short(value)),
        _ => short(value),
    }
}

fn short(value: f64) -> String {
    match value.abs() {
        size if size >= 1e6 => format!("{:.1}M", value / 1e6),
        size if size >= 1e4 => format!("{:.0}k", value / 1e3),
        size if size >= 10.0 || size == 0.0 => format!("{value:.0}"),
        size if size >= 1.0 => format!("{value:.1}"),
        size if size < 0.01 => format!("{value:.4}"),
        _ => format!("{value:.2}"),
    }
}

fn powers(value: f64) -> String {
    match value.abs() {
        size if size >= f64::from(1 << 30) => format!("{:.1} Gi", value / f64::from(1 << 30)),
        size if size >= f64::from(1 << 20) => format!("{:.1} Mi", value / f64::from(1 << 20)),
        size if size >= 1024.0 => format!("{:.0} Ki", value / 1024.0),
        _ => format!("{value:.0} "),
    }
}

#[cfg(test)]
mod tests {
    use super::written;

    #[test]
    fn values_are_written_as_dashboards_write_them() {
        for (value, unit, text) in [
            (0.000_25, "s", "250 µs"),
            (0.25, "s", "250 ms"),
            (2.5, "s", "2.5 s"),
            (0.5, "percentunit", "50 %"),
            (3_145_728.0, "bytes", "3.0 MiB"),
            (12_000.0, "short", "12k"),
            (0.25, "reqps", "0.25 req/s"),
        ] {
            assert_eq!(written(value, unit), text);
        }
    }
}
