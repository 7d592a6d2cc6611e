//! The kinds of operations, with the values that their parameters may have: for checks, messages and
//! documents.

use std::fmt;

use super::op::Op;

/// A kind of operation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Kind {
    /// The name, as in a recipe.
    pub name: &'static str,
    /// The parameters.
    pub parameters: &'static [Parameter],
}

/// A parameter of an operation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Parameter {
    /// The name, as in a recipe.
    pub name: &'static str,
    /// The values that it may have.
    pub form: Form,
    /// The value of a recipe that does not give it; `None` if it must be given.
    pub default: Option<&'static str>,
}

/// The values that a parameter may have, displayed as a noun.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Form {
    /// A number between both, inclusive.
    Number(f64, f64),
    /// A whole number between both, inclusive.
    Whole(f64, f64),
    /// A range of numbers between both, inclusive.
    Range(f64, f64),
    /// The name of a filter.
    Filter,
    /// A mean and principal components of colours.
    Colours,
}

impl fmt::Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(low, high) => write!(f, "a number from {low} to {high}"),
            Self::Whole(low, high) => write!(f, "a whole number from {low} to {high}"),
            Self::Range(low, high) => write!(f, "two numbers from {low} to {high}, the smaller one first"),
            Self::Filter => f.write_str("bicubic or bilinear"),
            Self::Colours => {
                f.write_str("a mean from 0 to 1 and three rows of numbers, orthogonal and of length 1")
            }
        }
    }
}

/// The value of a parameter.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Value {
    Number(f64),
    Range(f64, f64),
    /// A value that its type does not allow to be wrong.
    Right,
    /// A value that is not of the form of its parameter.
    Wrong,
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::Range(low, high) => write!(f, "[{low}, {high}]"),
            Self::Right | Self::Wrong => f.write_str("given"),
        }
    }
}

impl Form {
    /// Returns whether a parameter of this form may have these numbers: one number, or two of a range.
    pub fn allows(self, numbers: &[f64]) -> bool {
        match (self, numbers) {
            (Self::Number(low, high), [number]) => (low..=high).contains(number),
            (Self::Whole(low, high), [number]) => (low..=high).contains(number) && number.fract() == 0.0,
            (Self::Range(low, high), [first, second]) => low <= *first && first <= second && *second <= high,
            _ => false,
        }
    }
}

impl Value {
    /// Returns whether a parameter of this form may have the value.
    pub(super) fn is_allowed(self, form: Form) -> bool {
        match self {
            Self::Number(number) => form.allows(&[number]),
            Self::Range(first, second) => form.allows(&[first, second]),
            Self::Right => true,
            Self::Wrong => false,
        }
    }
}

const fn given(name: &'static str, form: Form) -> Parameter {
    Parameter { name, form, default: None }
}

const fn optional(name: &'static str, form: Form, default: &'static str) -> Parameter {
    Parameter { name, form, default: Some(default) }
}

const P: Parameter = optional("p", Form::Number(0.0, 1.0), "1");
const SHARE: Form = Form::Number(0.0, 1.0);
/// The largest distance of a factor from 1.
const JITTER: Form = Form::Number(0.0, 100.0);
const TURN: Form = Form::Number(0.0, 0.5);
/// Positive numbers; the smallest ones keep results within the range of all arithmetic.
const POSITIVE: Form = Form::Range(0.01, 100.0);
const TRANSLATE: Parameter = optional("translate", SHARE, "0");
const SCALE: Parameter = optional("scale", POSITIVE, "[1, 1]");
const ROTATE: Parameter = optional("rotate", Form::Number(0.0, 180.0), "0");

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 14] = [
        Self {
            name: "resized_crop",
            parameters: &[
                given("scale", Form::Range(0.0001, 1.0)),
                given("ratio", POSITIVE),
                optional("filter", Form::Filter, "bicubic"),
            ],
        },
        Self { name: "random_crop", parameters: &[] },
        Self { name: "center_crop", parameters: &[] },
        Self { name: "resize_short", parameters: &[given("edge", Form::Whole(1.0, 2048.0))] },
        Self { name: "flip", parameters: &[P] },
        Self { name: "translate", parameters: &[P, given("max", Form::Whole(0.0, 4096.0))] },
        Self { name: "affine", parameters: &[P, TRANSLATE, SCALE, ROTATE] },
        Self {
            name: "color_jitter",
            parameters: &[
                P,
                optional("brightness", JITTER, "0"),
                optional("contrast", JITTER, "0"),
                optional("saturation", JITTER, "0"),
                optional("hue", TURN, "0"),
            ],
        },
        Self { name: "grayscale", parameters: &[P] },
        Self { name: "gaussian_blur", parameters: &[P, given("sigma", Form::Range(0.0, 128.0))] },
        Self { name: "solarize", parameters: &[P, given("threshold", Form::Whole(0.0, 255.0))] },
        Self { name: "seed_patch", parameters: &[given("zoom", POSITIVE), TRANSLATE, SCALE, ROTATE] },
        Self {
            name: "pca_contrast",
            parameters: &[
                P,
                given("factors", Form::Range(0.0, 100.0)),
                optional("colours", Form::Colours, "those of ImageNet"),
            ],
        },
        Self {
            name: "hsv_contrast",
            parameters: &[
                P,
                given("powers", POSITIVE),
                given("factors", Form::Range(0.0, 100.0)),
                given("shift", SHARE),
                given("hue", TURN),
            ],
        },
    ];

    /// Returns the kind of this name.
    pub fn named(name: &str) -> Option<&'static Self> {
        static ALL: [Kind; 14] = Kind::ALL;
        ALL.iter().find(|kind| kind.name == name)
    }
}

impl Op {
    /// Returns the name of the operation, and the values of its parameters in the order of its [`Kind`].
    pub(super) fn values(&self) -> (&'static str, Vec<Value>) {
        let number = Value::Number;
        let range = |(low, high): (f64, f64)| Value::Range(low, high);
        match *self {
            Self::Flip { p } => ("flip", vec![number(p)]),
            Self::Translate { p, max } => ("translate", vec![number(p), number(max.into())]),
            Self::ResizedCrop { scale, ratio, .. } => {
                ("resized_crop", vec![range(scale), range(ratio), Value::Right])
            }
            Self::RandomCrop => ("random_crop", vec![]),
            Self::ResizeShort { edge } => ("resize_short", vec![number(edge.into())]),
            Self::CenterCrop => ("center_crop", vec![]),
            Self::Affine { p, translate, scale, rotate } => {
                ("affine", vec![number(p), number(translate), range(scale), number(rotate)])
            }
            Self::SeedPatch { zoom, translate, scale, rotate } => {
                ("seed_patch", vec![range(zoom), number(translate), range(scale), number(rotate)])
            }
            Self::ColorJitter { p, brightness, contrast, saturation, hue } => {
                ("color_jitter", [p, brightness, contrast, saturation, hue].map(number).to_vec())
            }
            Self::Grayscale { p } => ("grayscale", vec![number(p)]),
            Self::GaussianBlur { p, sigma } => ("gaussian_blur", vec![number(p), range(sigma)]),
            Self::Solarize { p, threshold } => ("solarize", vec![number(p), number(threshold.into())]),
            Self::PcaContrast { p, factors, colours } => {
                let colours = if colours.are_orthonormal() { Value::Right } else { Value::Wrong };
                ("pca_contrast", vec![number(p), range(factors), colours])
            }
            Self::HsvContrast { p, powers, factors, shift, hue } => {
                ("hsv_contrast", vec![number(p), range(powers), range(factors), number(shift), number(hue)])
            }
        }
    }
}
