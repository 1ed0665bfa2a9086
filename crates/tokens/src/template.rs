//! A model's chat template, run as the engine runs it: Jinja as transformers sets it up.
//!
//! What a request can make a template do is bounded: instructions, recursion, and bytes written. There is no clock: a
//! template that asks for the date is told apart, not answered.

mod python;
mod source;

use std::io::{self, Write};

use minijinja::syntax::SyntaxConfig;
use minijinja::{AutoEscape, Environment, Error, ErrorKind, Value, escape_formatter};
use minijinja_contrib::pycompat::unknown_method_callback;

use crate::{MOST_TEXT, Unresolved};

pub(crate) use source::Format;

/// Instructions that one rendering may take: a conversation of 4 MiB takes a fiftieth.
const FUEL: u64 = 20_000_000;
/// Nesting of calls, blocks and macros.
const DEPTH: usize = 200;
/// The name of the template where there is but one.
pub(crate) const DEFAULT: &str = "default";
/// The name of the template for conversations with tools, where there are several.
const WITH_TOOLS: &str = "tool_use";
/// How the error of a template that asks for the time is told from others.
const CLOCK: &str = "the time is not known here";

/// The templates of one model.
#[derive(Debug)]
pub(crate) struct Templates {
    environment: Environment<'static>,
    templates: Vec<Template>,
}

/// One of them.
#[derive(Debug)]
pub(crate) struct Template {
    name: String,
    /// How it takes the contents of messages.
    pub(crate) format: Format,
    /// Whether it tells developers from the system.
    pub(crate) knows_developers: bool,
    /// Whether it reads `content`, without which no message can be continued.
    pub(crate) reads_content: bool,
    /// Whether what it writes of a message does not depend on those that follow; without tools, and with them.
    pub(crate) steady: [bool; 2],
}

/// A text that stops growing at [`MOST_TEXT`].
#[derive(Debug, Default)]
struct Bounded {
    bytes: Vec<u8>,
    full: bool,
}

// === Templates ===

impl Templates {
    /// Compiles templates by name; says what is wrong with one that cannot be.
    pub(crate) fn new(sources: Vec<(String, String)>) -> Result<Self, String> {
        let mut environment = environment();
        let mut templates = Vec::new();
        for (name, source) in sources {
            let source = source::plain(&source);
            templates.push(Template {
                format: Format::of(&source),
                knows_developers: source.contains("\"developer\"") || source.contains("'developer'"),
                reads_content: source.contains("content"),
                name: name.clone(),
                steady: [false; 2],
            });
            environment.add_template_owned(name, source).map_err(|error| error.to_string())?;
        }
        Ok(Self { environment, templates })
    }

    /// Notes which templates are steady, as `try_out` finds.
    pub(crate) fn note_steady(&mut self, try_out: impl Fn(&Self, &Template) -> [bool; 2]) {
        let steady: Vec<[bool; 2]> = self.templates.iter().map(|template| try_out(self, template)).collect();
        for (template, steady) in self.templates.iter_mut().zip(steady) {
            template.steady = steady;
        }
    }

    /// The template for a conversation.
    pub(crate) fn choose(&self, with_tools: bool) -> Option<&Template> {
        let named = |name: &str| self.templates.iter().find(|template| template.name == name);
        with_tools.then(|| named(WITH_TOOLS)).flatten().or_else(|| named(DEFAULT))
    }

    /// What a template writes.
    pub(crate) fn render(&self, template: &Template, variables: Value) -> Result<String, Unresolved> {
        let compiled = self.environment.get_template(&template.name).map_err(|_| Unresolved::NoTemplate)?;
        let mut text = Bounded::default();
        if let Err(error) = compiled.render_captured_to(variables, &mut text) {
            return Err(text.reason(&error));
        }
        String::from_utf8(text.bytes).map_err(|_| Unresolved::Template)
    }
}

/// As transformers sets up Jinja, with bounds.
fn environment() -> Environment<'static> {
    let mut environment = Environment::new();
    let mut syntax = SyntaxConfig::builder();
    syntax.trim_blocks(true).lstrip_blocks(true);
    if let Ok(syntax) = syntax.build() {
        environment.set_syntax(syntax);
    }
    environment.set_auto_escape_callback(|_| AutoEscape::None);
    environment.set_unknown_method_callback(unknown_method_callback);
    environment.set_fuel(Some(FUEL));
    environment.set_recursion_limit(DEPTH);
    environment.set_formatter(|out, state, value| match python::float_text(value) {
        Some(text) => out.write_str(&text).map_err(Error::from),
        None => escape_formatter(out, state, value),
    });
    environment
        .add_filter("string", |value: &Value| python::float_text(value).unwrap_or_else(|| value.to_string()));
    environment.add_filter("tojson", python::tojson);
    environment.add_test("sequence", python::is_sequence);
    environment.add_test("iterable", python::is_sequence);
    environment.add_test("number", python::is_number);
    environment.add_function("raise_exception", |message: String| -> Result<Value, Error> {
        Err(Error::new(ErrorKind::InvalidOperation, message))
    });
    environment.add_function("strftime_now", |_: String| -> Result<Value, Error> {
        Err(Error::new(ErrorKind::InvalidOperation, CLOCK))
    });
    environment
}

// === Bounded ===

impl Bounded {
    fn reason(&self, error: &Error) -> Unresolved {
        match error.detail() {
            _ if self.full => Unresolved::TooLarge,
            Some(CLOCK) => Unresolved::Clock,
            _ => Unresolved::Template,
        }
    }
}

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.bytes.len() + bytes.len() > MOST_TEXT {
            self.full = true;
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
