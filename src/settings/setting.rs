//! What is known of a setting beside its value.

use clap::{Arg, ArgAction, ArgMatches};
use toml::Value;

use super::form::{Bounds, Flag, Form, Heading};
use crate::numbers::Shown;

/// What is known of a setting beside its value.
#[derive(Debug, Clone)]
pub struct Setting {
    /// Its dotted path in a file, such as `train.batch_size`.
    pub key: String,
    /// What it is: a sentence.
    pub about: String,
    name: &'static str,
    /// The default as the declaration has it.
    literal: &'static str,
    form: Form,
}

impl Setting {
    /// A setting outside of all sections. `literal` is the default as it is written in the code.
    pub(crate) fn new(name: &'static str, about: &'static str, literal: &'static str, form: Form) -> Self {
        Self { key: name.to_owned(), about: about.trim().to_owned(), name, literal, form }
    }

    /// The same in a section.
    pub(crate) fn within(self, section: &str) -> Self {
        Self { key: format!("{section}.{}", self.name), ..self }
    }

    /// The same, which a resumed run may change.
    pub(crate) fn free(self) -> Self {
        Self { form: self.form.free(), ..self }
    }

    /// Whether a resumed run may change it.
    pub(crate) fn is_free(&self) -> bool {
        self.form.is_free
    }

    /// Whether it can be typed.
    pub fn has_flag(&self) -> bool {
        self.form.flag.is_some()
    }

    /// The part of the help that its flag is in.
    pub(crate) fn heading(&self) -> Option<Heading> {
        self.form.flag.as_ref().map(|flag| flag.heading)
    }

    /// The setting that its flag follows in the help, where it is not the one before it.
    pub(crate) fn after(&self) -> Option<&'static str> {
        self.form.flag.as_ref()?.after
    }

    /// Its name in its section, and its flag's.
    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    /// Its flag.
    pub fn arg(&self) -> Option<Arg> {
        let Flag { heading, value_name, conflicts_with, hides_choices, .. } = self.form.flag.as_ref()?;
        let arg = Arg::new(self.name)
            .long(self.name.replace('_', "-"))
            .value_name(value_name)
            .value_parser(self.form.parser.clone())
            .action(self.form.action.clone())
            .help(self.help())
            .help_heading(heading.name())
            .hide_possible_values(*hides_choices);
        let arg = if let Some(other) = conflicts_with { arg.conflicts_with(*other) } else { arg };
        Some(match (&self.form.action, self.form.missing) {
            (ArgAction::Append, _) => arg.num_args(1..),
            (_, Some(missing)) => arg.num_args(0..=1).default_missing_value(missing),
            _ => arg,
        })
    }

    /// What was typed.
    pub(crate) fn typed(&self, matches: &ArgMatches) -> Option<Value> {
        self.form.flag.as_ref()?;
        match self.form.action {
            ArgAction::Append => {
                let values: Vec<_> = matches.get_many::<Value>(self.name)?.cloned().collect();
                (!values.is_empty()).then_some(Value::Array(values))
            }
            _ => matches.get_one::<Value>(self.name).cloned(),
        }
    }

    /// The text of the help: what it is, and its default.
    fn help(&self) -> String {
        let about = self.about.strip_suffix('.').unwrap_or(&self.about);
        let is_number = self.literal.starts_with(|first: char| first.is_ascii_digit());
        let number = is_number.then(|| self.literal.strip_suffix(".0").unwrap_or(self.literal));
        match self.form.default.or(number) {
            Some(default) => format!("{about} [default: {default}]"),
            None => about.to_owned(),
        }
    }

    /// A number that is out of its bounds, with them.
    pub(crate) fn beyond(&self, value: &Value) -> Option<(String, String)> {
        if let Value::Array(values) = value {
            return values.iter().find_map(|value| self.beyond(value));
        }
        match (self.form.bounds, value) {
            (Bounds::Whole(bounds), Value::Integer(number)) if !bounds.holds(*number) => {
                Some((number.to_string(), bounds.to_string()))
            }
            (Bounds::Real(bounds), Value::Float(number)) if !bounds.holds(*number) => {
                Some((Shown(*number).to_string(), bounds.to_string()))
            }
            _ => None,
        }
    }
}
