//! The declaration of a setting.

use clap::{Arg, ArgAction, ArgMatches};
use toml::Value;

use super::form::{Bounds, Flag, Form, Heading, Refusal};
use crate::numbers::Shown;

/// The declaration of a setting: everything but its value.
#[derive(Debug, Clone)]
pub struct Setting {
    /// The dotted key in a file, such as `train.batch_size`.
    pub key: String,
    /// The description, a sentence.
    pub about: String,
    name: &'static str,
    /// The default as it is written in the declaration.
    literal: &'static str,
    form: Form,
}

impl Setting {
    /// Returns a setting outside of all sections. `literal` is the default as it is written in the code.
    pub(crate) fn new(name: &'static str, about: &'static str, literal: &'static str, form: Form) -> Self {
        Self { key: name.to_owned(), about: about.trim().to_owned(), name, literal, form }
    }

    /// Moves the setting into a section.
    pub(crate) fn within(self, section: &str) -> Self {
        Self { key: format!("{section}.{}", self.name), ..self }
    }

    /// Lets a resumed run change the setting.
    pub(crate) fn free(self) -> Self {
        Self { form: self.form.free(), ..self }
    }

    /// Returns whether a resumed run may change the setting.
    pub(crate) fn is_free(&self) -> bool {
        self.form.is_free
    }

    /// Returns whether the setting has a flag.
    pub fn has_flag(&self) -> bool {
        self.form.flag.is_some()
    }

    /// Returns the heading of its flag in the help.
    pub(crate) fn heading(&self) -> Option<Heading> {
        self.form.flag.as_ref().map(|flag| flag.heading)
    }

    /// Returns the setting that this one follows in the help, if that is not the previous one in the
    /// declaration.
    pub(crate) fn after(&self) -> Option<&'static str> {
        self.form.flag.as_ref()?.after
    }

    /// Returns the name in its section.
    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    /// Returns the name of the flag in words joined by `_`.
    fn flag_name(&self) -> &'static str {
        self.form.flag.as_ref().and_then(|flag| flag.name).unwrap_or(self.name)
    }

    /// Returns the flag without its dashes, if the setting has one.
    pub(crate) fn flag(&self) -> String {
        self.flag_name().replace('_', "-")
    }

    /// Describes the setting of several choices: those of `owners`. Its flag moves to `heading`.
    pub(super) fn of_several(self, owners: &[&'static str], heading: Heading) -> Self {
        let about = self.about.strip_suffix('.').unwrap_or(&self.about);
        let about = format!("{about} ({}).", owners.join(", "));
        Self { about, form: self.form.under(heading).default("by method"), ..self }
    }

    /// Returns the argument for the command line, if the setting has a flag.
    pub fn arg(&self) -> Option<Arg> {
        let Flag { heading, value_name, conflicts_with, hides_choices, .. } = self.form.flag.as_ref()?;
        let arg = Arg::new(self.flag_name())
            .long(self.flag())
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

    /// Returns the value that was given on the command line.
    pub(crate) fn typed(&self, matches: &ArgMatches) -> Option<Value> {
        self.form.flag.as_ref()?;
        match self.form.action {
            ArgAction::Append => {
                let values: Vec<_> = matches.get_many::<Value>(self.flag_name())?.cloned().collect();
                (!values.is_empty()).then_some(Value::Array(values))
            }
            _ => matches.get_one::<Value>(self.flag_name()).cloned(),
        }
    }

    /// Returns the text of the help: the description and the default.
    fn help(&self) -> String {
        let about = self.about.strip_suffix('.').unwrap_or(&self.about);
        let is_number = self.literal.starts_with(|first: char| first.is_ascii_digit());
        let number = is_number.then(|| self.literal.strip_suffix(".0").unwrap_or(self.literal));
        match self.form.default.or(number) {
            Some(default) => format!("{about} [default: {default}]"),
            None => about.to_owned(),
        }
    }

    /// Returns the error of the type whose text the setting has, if it cannot be parsed from `value`.
    pub(crate) fn refusal(&self, value: &Value) -> Option<Refusal> {
        self.form.check?(value.as_str()?).err()
    }

    /// Returns the first number in `value` that is out of the bounds of the setting.
    pub(crate) fn out_of_bounds(&self, value: &Value) -> Option<OutOfBounds> {
        if let Value::Array(values) = value {
            return values.iter().find_map(|value| self.out_of_bounds(value));
        }
        match (self.form.bounds, value) {
            (Bounds::Whole(bounds), Value::Integer(number)) if !bounds.holds(*number) => {
                Some(OutOfBounds { number: number.to_string(), bounds: bounds.to_string() })
            }
            (Bounds::Real(bounds), Value::Float(number)) if !bounds.holds(*number) => {
                Some(OutOfBounds { number: Shown(*number).to_string(), bounds: bounds.to_string() })
            }
            _ => None,
        }
    }
}

/// A number that is out of its bounds, as text.
#[derive(Debug)]
pub(crate) struct OutOfBounds {
    /// The number.
    pub(crate) number: String,
    /// The bounds in words.
    pub(crate) bounds: String,
}
