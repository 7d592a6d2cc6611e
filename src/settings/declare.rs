//! The macro that declares a section of settings.

/// Declares a section of settings: a struct that is read from and written to a section of a file, its
/// defaults, and the function `settings()`, which lists the declarations. A setting is written as
///
/// ```text
/// /// Steps between checkpoints.
/// checkpoint_every: u64 = 500, whole(numbers::COUNT).flag(Heading::Run, "STEPS");
/// ```
///
/// The doc comment becomes the field's documentation and the text of `--help`. The name, the type and the
/// default go to the struct. The [`Form`](crate::settings::Form) follows. A line `#[serde(…)]` above the name
/// goes to the field.
macro_rules! settings {
    (
        $(#[$about:meta])*
        $vis:vis struct $Section:ident {
            $(
                $(#[doc = $help:literal])+
                $(#[serde($($serde:tt)*)])?
                $name:ident: $type:ty = $default:expr, $form:expr;
            )+
        }
    ) => {
        $(#[$about])*
        #[derive(Debug, Clone, PartialEq, ::serde::Serialize, ::serde::Deserialize)]
        #[serde(deny_unknown_fields, default)]
        $vis struct $Section {
            $(
                $(#[doc = $help])+
                $(#[serde($($serde)*)])?
                $vis $name: $type,
            )+
        }

        impl Default for $Section {
            fn default() -> Self {
                Self { $($name: $default),+ }
            }
        }

        impl $Section {
            /// Returns the declarations of the settings, in the order of the fields.
            $vis fn settings() -> Vec<$crate::settings::Setting> {
                vec![$(
                    $crate::settings::Setting::new(
                        stringify!($name),
                        concat!($($help),+),
                        stringify!($default),
                        $form,
                    )
                ),+]
            }
        }
    };
}

pub(crate) use settings;

#[cfg(test)]
mod tests {
    use clap::{Command, error::ErrorKind};
    use toml::{Table, Value};

    use crate::{
        numbers,
        settings::{Heading, real, whole},
    };

    settings! {
        /// Settings of a toy.
        struct Toy {
            /// Turns of the toy,
            /// one after the other.
            turns_a_day: u64 = 3, whole(numbers::THREADS).flag(Heading::Run, "N").free();
            /// How fast it turns.
            #[serde(skip_serializing_if = "Option::is_none")]
            speed: Option<f64> = None, real(numbers::LIMIT).flag(Heading::Run, "X").default("as fast as it can");
            /// Its sides.
            sides: [f64; 2] = [0.5, 1.0], real(numbers::PART);
        }
    }

    #[test]
    fn a_declared_setting_has_a_default_a_key_a_flag_with_help_and_bounds() {
        let toy = Toy::default();
        assert_eq!(toml::to_string(&toy).unwrap(), "turns_a_day = 3\nsides = [0.5, 1.0]\n");
        let read = |text: &str| toml::from_str::<Toy>(text);
        assert_eq!(read("speed = 2.0").unwrap(), Toy { speed: Some(2.0), ..toy });
        assert!(read("turns = 2").is_err());

        let [turns, speed, sides] = Toy::settings().try_into().unwrap();
        assert_eq!(turns.clone().within("toy").key, "toy.turns_a_day");
        assert_eq!((turns.is_free(), speed.is_free(), sides.has_flag()), (true, false, false));
        let args = [&turns, &speed].map(|setting| setting.arg().unwrap());
        let helps = args.clone().map(|arg| arg.get_help().unwrap().to_string());
        assert_eq!(
            helps,
            [
                "Turns of the toy, one after the other [default: 3]",
                "How fast it turns [default: as fast as it can]"
            ]
        );
        let command = Command::new("toy").args(args);
        let matches = command.clone().try_get_matches_from(["toy", "--turns-a-day", "9"]).unwrap();
        assert_eq!((turns.typed(&matches), speed.typed(&matches)), (Some(Value::Integer(9)), None));
        let refused = command.try_get_matches_from(["toy", "--turns-a-day", "0"]).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::ValueValidation);
        assert!(refused.to_string().contains("not a whole number from 1 to 1024"), "{refused}");
        let file: Table = "turns_a_day = 2000\nsides = [0.5, 1.0]".parse().unwrap();
        let refused = |setting: &crate::settings::Setting| {
            setting.out_of_bounds(&file[&setting.key]).map(|refused| refused.number)
        };
        assert_eq!((refused(&turns), refused(&sides)), (Some("2000".to_owned()), Some("1".to_owned())));
    }
}
