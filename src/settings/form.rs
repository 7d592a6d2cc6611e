//! The form of a setting: its values in a file and its flag.

use std::{error::Error, fmt::Display, str::FromStr};

use clap::{
    ArgAction, ValueEnum,
    builder::{
        BoolValueParser, EnumValueParser, PossibleValuesParser, StringValueParser, TypedValueParser,
        ValueParser,
    },
};
use toml::Value;

use crate::numbers::{Real, Whole};

/// A heading of the help.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Heading {
    /// Settings of the data.
    Data,
    /// The encoder and the method, and settings that several methods have.
    Model,
    /// Settings of AMDIM and its encoder.
    Amdim,
    /// Settings of ResNets.
    Resnet,
    /// Settings of SimCLR.
    Simclr,
    /// Settings of MoCo.
    Moco,
    /// Settings of instance discrimination.
    Instdisc,
    /// Settings of CPC.
    Cpc,
    /// Settings of CMC.
    Cmc,
    /// Settings of Exemplar-CNN.
    Exemplar,
    /// Settings of the batch, the length and the optimizer.
    Training,
    /// Settings that do not change the result.
    Run,
}

impl Heading {
    /// Returns the text of the heading.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Data => "Data",
            Self::Model => "Model",
            Self::Amdim => "AMDIM",
            Self::Resnet => "ResNet",
            Self::Simclr => "SimCLR",
            Self::Moco => "MoCo",
            Self::Instdisc => "Instance discrimination",
            Self::Cpc => "CPC",
            Self::Cmc => "CMC",
            Self::Exemplar => "Exemplar-CNN",
            Self::Training => "Training",
            Self::Run => "Run",
        }
    }
}

/// The error of a text that is not a value.
pub(crate) type Refusal = Box<dyn Error + Send + Sync>;
/// A function that refuses a text that is not a value.
type Check = fn(&str) -> Result<(), Refusal>;

/// The bounds of a setting's number, or of each number in a list.
#[derive(Debug, Clone, Copy)]
pub(super) enum Bounds {
    None,
    Whole(Whole),
    Real(Real),
}

/// The flag of a setting.
#[derive(Debug, Clone)]
pub(super) struct Flag {
    /// The name of the flag, where it is not that of the setting.
    pub(super) name: Option<&'static str>,
    pub(super) heading: Heading,
    pub(super) value_name: &'static str,
    /// The setting that this one follows in the help.
    pub(super) after: Option<&'static str>,
    pub(super) conflicts_with: Option<&'static str>,
    pub(super) hides_choices: bool,
}

/// The form of a setting. Begin with the kind of its values ([`whole`], [`real`], [`text`] …), then add its
/// [`flag`](Form::flag).
#[derive(Debug, Clone)]
pub struct Form {
    pub(super) bounds: Bounds,
    /// Parses an argument into the value that a file has.
    pub(super) parser: ValueParser,
    /// Checks the text of a value that is text in a file.
    pub(super) check: Option<Check>,
    pub(super) action: ArgAction,
    /// The value of the flag without an argument.
    pub(super) missing: Option<&'static str>,
    pub(super) flag: Option<Flag>,
    /// The default in the help, where the declaration's literal would not do.
    pub(super) default: Option<&'static str>,
    /// Whether a resumed run may change the setting.
    pub(super) is_free: bool,
}

/// Returns the form of a whole number.
pub fn whole(bounds: Whole) -> Form {
    let parse = bounds.parser::<u32>();
    let form = Form::new(move |text: &str| parse(text).map(|number| Value::from(i64::from(number))));
    Form { bounds: Bounds::Whole(bounds), ..form }
}

/// Returns the form of a number or a list of numbers.
pub fn real(bounds: Real) -> Form {
    let form = Form::new(move |text: &str| bounds.parse(text).map(Value::from));
    Form { bounds: Bounds::Real(bounds), ..form }
}

/// Returns the form of a value that is parsed from and displayed as text.
pub fn text<T: FromStr<Err: Into<Refusal>> + Display + 'static>() -> Form {
    let form = Form::new(|text: &str| text.parse().map(|value: T| Value::from(value.to_string())));
    Form { check: Some(|text| text.parse::<T>().map(drop).map_err(Into::into)), ..form }
}

/// Returns the form of a choice between a few values, which the help lists.
pub fn choice<T: ValueEnum + Clone + Send + Sync + 'static>() -> Form {
    let name =
        |value: T| value.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned());
    Form::new(EnumValueParser::<T>::new().map(move |value| Value::from(name(value))))
}

/// Returns the form of a choice between these names.
pub fn one_of(names: &[&'static str]) -> Form {
    Form::new(PossibleValuesParser::new(names).map(Value::from))
}

/// Returns the form of a boolean. The flag without an argument means true.
pub fn yes_or_no() -> Form {
    Form { missing: Some("true"), ..Form::new(BoolValueParser::new().map(Value::from)) }
}

/// Returns the form of a path or a word.
pub fn path() -> Form {
    Form::new(StringValueParser::new().map(Value::from))
}

/// Returns the form of a list of patterns that name shards.
pub fn patterns() -> Form {
    Form { action: ArgAction::Append, ..path() }
}

/// Returns the form of a value of any kind that has no flag.
pub fn in_files_only() -> Form {
    path()
}

impl Form {
    fn new(parser: impl Into<ValueParser>) -> Self {
        Self {
            bounds: Bounds::None,
            parser: parser.into(),
            check: None,
            action: ArgAction::Set,
            missing: None,
            flag: None,
            default: None,
            is_free: false,
        }
    }

    /// Adds a flag with the name of the setting, at the end of a heading of the help.
    #[must_use]
    pub fn flag(self, heading: Heading, value_name: &'static str) -> Self {
        let flag =
            Flag { name: None, heading, value_name, after: None, conflicts_with: None, hides_choices: false };
        Self { flag: Some(flag), ..self }
    }

    /// Gives the flag another name than that of the setting.
    #[must_use]
    pub fn named(self, name: &'static str) -> Self {
        self.with_flag(|flag| flag.name = Some(name))
    }

    /// Moves the flag to another heading of the help.
    #[must_use]
    pub(super) fn under(self, heading: Heading) -> Self {
        self.with_flag(|flag| flag.heading = heading)
    }

    /// Sets the default in the help, for a setting whose default is not the number in its declaration.
    #[must_use]
    pub fn default(self, text: &'static str) -> Self {
        Self { default: Some(text), ..self }
    }

    /// Lets a resumed run change the setting, which does not change what the run computes.
    #[must_use]
    pub fn free(self) -> Self {
        Self { is_free: true, ..self }
    }

    /// Applies the bounds to the flag only, not to files.
    #[must_use]
    pub fn unbounded_in_files(self) -> Self {
        Self { bounds: Bounds::None, ..self }
    }

    /// Moves the setting behind the setting `name` in the help.
    #[must_use]
    pub fn after(self, name: &'static str) -> Self {
        self.with_flag(|flag| flag.after = Some(name))
    }

    /// Forbids the flag together with that of the setting `name`.
    #[must_use]
    pub fn conflicts_with(self, name: &'static str) -> Self {
        self.with_flag(|flag| flag.conflicts_with = Some(name))
    }

    /// Hides clap's list of choices, for a setting whose text lists them.
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
