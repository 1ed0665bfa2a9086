//! Writes the text format as Python's prometheus_client does: label order, number format, `_created`.
//!
//! Labels are sorted by name, so an own label stands before or after `model_name`; numbers of more
//! than six integer digits get an exponent.

use std::fmt::Write;

use super::histogram::Histogram;

/// A page in the making.
pub(super) struct Page {
    text: String,
    model: String,
    created: f64,
}

/// A label of one series, besides `engine` and `model_name`.
pub(super) type Label<'a> = (&'a str, &'a str);

// === Page ===

impl Page {
    pub(super) fn new(model: &str, created: f64) -> Self {
        Self { text: String::with_capacity(64 * 1024), model: escape(model), created }
    }

    pub(super) fn finish(self) -> String {
        self.text
    }

    /// A gauge of one or more series.
    pub(super) fn gauge(&mut self, name: &str, help: &str, series: &[(Option<Label>, f64)]) {
        self.head(name, help, "gauge");
        for &(label, value) in series {
            self.engine_line(name, label, value);
        }
    }

    /// A counter of one or more series; `name` is without `_total`.
    pub(super) fn counter(&mut self, name: &str, help: &str, series: &[(Option<Label>, f64)]) {
        let (total, created) = (format!("{name}_total"), format!("{name}_created"));
        self.head(&total, help, "counter");
        for &(label, value) in series {
            self.engine_line(&total, label, value);
        }
        self.head(&created, help, "gauge");
        for &(label, _) in series {
            self.engine_line(&created, label, self.created);
        }
    }

    /// A histogram with the engine's labels.
    pub(super) fn histogram(&mut self, name: &str, help: &str, values: &Histogram) {
        self.head(name, help, "histogram");
        let before = "engine=\"0\",".to_owned();
        let after = format!(",model_name=\"{}\"", self.model);
        self.buckets(name, &before, &after, values);
        let created = format!("{name}_created");
        self.head(&created, help, "gauge");
        self.engine_line(&created, None, self.created);
    }

    /// Buckets, count and sum; `before` and `after` are the labels around `le`, with their commas.
    pub(super) fn buckets(&mut self, name: &str, before: &str, after: &str, values: &Histogram) {
        for (bound, count) in values.buckets() {
            let _ = write!(self.text, "{name}_bucket{{{before}le=\"");
            if bound.is_finite() {
                let _ = write!(self.text, "{bound:?}");
            } else {
                self.text.push_str("+Inf");
            }
            let _ = write!(self.text, "\"{after}}} ");
            self.number(count as f64);
        }
        let labels = match (before.is_empty(), after.is_empty()) {
            (true, _) => after.trim_start_matches(',').to_owned(),
            (_, true) => before.trim_end_matches(',').to_owned(),
            _ => format!("{}{after}", before.trim_end_matches(',')),
        };
        self.line(&format!("{name}_count"), &labels, values.count() as f64);
        self.line(&format!("{name}_sum"), &labels, values.sum());
    }

    /// `# HELP` and `# TYPE`.
    pub(super) fn head(&mut self, name: &str, help: &str, kind: &str) {
        let _ = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    /// One sample with labels as given.
    pub(super) fn line(&mut self, name: &str, labels: &str, value: f64) {
        self.text.push_str(name);
        if !labels.is_empty() {
            let _ = write!(self.text, "{{{labels}}}");
        }
        self.text.push(' ');
        self.number(value);
    }

    /// Time since 1970 at which the counters began.
    pub(super) fn created(&self) -> f64 {
        self.created
    }

    /// The model's name, escaped.
    pub(super) fn model(&self) -> &str {
        &self.model
    }

    fn engine_line(&mut self, name: &str, label: Option<Label>, value: f64) {
        let model = &self.model;
        let _ = match label {
            None => write!(self.text, "{name}{{engine=\"0\",model_name=\"{model}\"}} "),
            Some((key, own)) if key < "model_name" => {
                write!(self.text, "{name}{{engine=\"0\",{key}=\"{own}\",model_name=\"{model}\"}} ")
            }
            Some((key, own)) => {
                write!(self.text, "{name}{{engine=\"0\",model_name=\"{model}\",{key}=\"{own}\"}} ")
            }
        };
        self.number(value);
    }

    fn number(&mut self, value: f64) {
        let start = self.text.len();
        let _ = write!(self.text, "{value:?}");
        if let Some(dot) = self.text[start..].find('.').filter(|&dot| dot > 6) {
            self.text.remove(start + dot);
            self.text.insert(start + 1, '.');
            let end = self.text[start..].trim_end_matches('0').trim_end_matches('.').len();
            self.text.truncate(start + end);
            let _ = write!(self.text, "e+{:02}", dot - 1);
        }
        self.text.push('\n');
    }
}

/// A label value as the format wants it.
pub(super) fn escape(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}
