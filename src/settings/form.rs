//! The form of a setting: what may be said of it in a file, and how it is typed.

use std::{error::Error, fmt::Display, str::FromStr};

use clap::{
    ArgAction, ValueEnum,
    builder::{BoolValueParser, EnumValueParser, StringValueParser, TypedValueParser, ValueParser},
};
use toml::Value;

use crate::numbers::{Real, Whole};

/// A part of the help.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Heading {
    /// Which samples.
    Data,
    /// The encoder and the objective.
    Model,
    /// Batch, length, optimizer.
    Training,
    /// How a run is carried out.
    Run,
}

impl Heading {
    /// As the help has it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Data => "Data",
            Self::Model => "Model",
            Self::Training => "Training",
            Self::Run => "Run",
        }
    }
}

/// What numbers a setting takes, each of them where it is a list.
#[derive(Debug, Clone, Copy)]
pub(super) enum Bounds {
    None,
    Whole(Whole),
    Real(Real),
}

/// How a setting is typed.
#[derive(Debug, Clone)]
pub(super) struct Flag {
    pub(super) heading: Heading,
    pub(super) value_name: &'static str,
    pub(super) after: Option<&'static str>,
    pub(super) conflicts_with: Option<&'static str>,
    pub(super) hides_choices: bool,
}

/// The form of a setting. Begin with what it holds ([`whole`], [`real`], [`text`] …), go on with its [`flag`](Form::flag).
#[derive(Debug, Clone)]
pub struct Form {
    pub(super) bounds: Bounds,
    /// Reads one value as it is typed into the one that a file has.
    pub(super) parser: ValueParser,
    pub(super) action: ArgAction,
    /// What the flag alone stands for.
    pub(super) missing: Option<&'static str>,
    pub(super) flag: Option<Flag>,
    pub(super) default: Option<&'static str>,
    pub(super) is_free: bool,
}

/// Whole numbers.
pub fn whole(bounds: Whole) -> Form {
    let parse = bounds.parser::<u32>();
    let form = Form::new(move |text: &str| parse(text).map(|number| Value::from(i64::from(number))));
    Form { bounds: Bounds::Whole(bounds), ..form }
}

/// Numbers, or a list of them.
pub fn real(bounds: Real) -> Form {
    let form = Form::new(move |text: &str| bounds.parse(text).map(Value::from));
    Form { bounds: Bounds::Real(bounds), ..form }
}

/// What is read from a text, and shown as it is typed.
pub fn text<T: FromStr<Err: Into<Box<dyn Error + Send + Sync>>> + Display + 'static>() -> Form {
    Form::new(|text: &str| text.parse().map(|value: T| Value::from(value.to_string())))
}

/// One of a few, which the help lists.
pub fn choice<T: ValueEnum + Clone + Send + Sync + 'static>() -> Form {
    let name =
        |value: T| value.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned());
    Form::new(EnumValueParser::<T>::new().map(move |value| Value::from(name(value))))
}

/// True or false; the flag alone stands for true.
pub fn yes_or_no() -> Form {
    Form { missing: Some("true"), ..Form::new(BoolValueParser::new().map(Value::from)) }
}

/// A path, or a word.
pub fn path() -> Form {
    Form::new(StringValueParser::new().map(Value::from))
}

/// Patterns that name shards.
pub fn patterns() -> Form {
    Form { action: ArgAction::Append, ..path() }
}

/// A value of any kind, without a flag.
pub fn in_files_only() -> Form {
    path()
}

impl Form {
    fn new(parser: impl Into<ValueParser>) -> Self {
        Self {
            bounds: Bounds::None,
            parser: parser.into(),
            action: ArgAction::Set,
            missing: None,
            flag: None,
            default: None,
            is_free: false,
        }
    }

    /// It has a flag, named as the setting, at the end of a part of the help.
    #[must_use]
    pub fn flag(self, heading: Heading, value_name: &'static str) -> Self {
        let flag = Flag { heading, value_name, after: None, conflicts_with: None, hides_choices: false };
        Self { flag: Some(flag), ..self }
    }

    /// The help tells this default, where it is another one than the number in the declaration.
    #[must_use]
    pub fn default(self, told: &'static str) -> Self {
        Self { default: Some(told), ..self }
    }

    /// A resumed run may change it: it says where and how, not what.
    #[must_use]
    pub fn free(self) -> Self {
        Self { is_free: true, ..self }
    }

    /// A file may have a number beyond the bounds.
    #[must_use]
    pub fn unbounded_in_files(self) -> Self {
        Self { bounds: Bounds::None, ..self }
    }

    /// In the help it stands after this setting.
    #[must_use]
    pub fn after(self, name: &'static str) -> Self {
        self.with_flag(|flag| flag.after = Some(name))
    }

    /// It cannot be typed together with this setting.
    #[must_use]
    pub fn conflicts_with(self, name: &'static str) -> Self {
        self.with_flag(|flag| flag.conflicts_with = Some(name))
    }

    /// The help's text lists the choices by itself.
    #[must_use]
    pub fn hide_choices(self) -> Self {
        self.with_flag(|flag| flag.hides_choices = true)
    }

    fn with_flag(mut self, change: impl FnOnce(&mut Flag)) -> Self {
        if let Some(flag) = &mut self.flag {
            change(flag);
        }
        self
    }
}
