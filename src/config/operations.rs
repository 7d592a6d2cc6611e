//! Checks of the operations in the section `[recipe]`. Their errors name the operation, its place and the
//! allowed values.

use anyhow::Result;
use pipeline::{Components, Form, Kind, Parameter, Place};
use toml::{Table, Value};

use crate::usage;

/// The hint of errors without a more specific one.
pub(super) const SEE: &str = "see docs/reference/recipes.md for the form of a recipe";

/// Checks the form of all operations in the section `[recipe]` of the given settings.
///
/// # Errors
///
/// The first operation or parameter that is unknown, missing or malformed.
pub(super) fn check(asked: &Table) -> Result<()> {
    let Some(recipe) = asked.get("recipe") else { return Ok(()) };
    let Value::Table(recipe) = recipe else {
        return Err(usage!("`recipe` = {recipe} is not a section"; "{SEE}"));
    };
    if let Some(shared) = recipe.get("shared") {
        check_list(shared, "`recipe.shared`", None)?;
    }
    let Some(views) = recipe.get("views") else { return Ok(()) };
    let Some(views) = views.as_array().filter(|views| views.iter().all(Value::is_table)) else {
        return Err(usage!(
            "`recipe.views` is not a list of views";
            "begin each view with [[recipe.views]], and give it `operations`"
        ));
    };
    views.iter().filter_map(Value::as_table).zip(1..).try_for_each(|(view, number)| check_view(view, number))
}

fn check_view(view: &Table, number: usize) -> Result<()> {
    const HINT: &str =
        "give the view `operations`; `count` (1 if left out) and `side` (that of the run) are optional";
    for (key, value) in view {
        let is_right = match &key[..] {
            "operations" => true,
            "count" | "side" => value.as_integer().is_some_and(|number| (1..=4096).contains(&number)),
            _ => return Err(usage!("in the recipe: view {number} has no setting `{key}`"; "{HINT}")),
        };
        if !is_right {
            return Err(
                usage!("in the recipe: `{key}` of view {number} is {value}"; "write a whole number from 1 to 4096"),
            );
        }
    }
    let Some(operations) = view.get("operations") else {
        return Err(usage!("in the recipe: view {number} has no `operations`"; "{HINT}"));
    };
    check_list(operations, &format!("`operations` of view {number}"), Some(number))
}

fn check_list(list: &Value, name: &str, view: Option<usize>) -> Result<()> {
    let Value::Array(operations) = list else {
        return Err(
            usage!("in the recipe: {name} is {list}, not a list"; "write [ {{ op = \"flip\", p = 0.5 }} ]"),
        );
    };
    for (operation, number) in operations.iter().zip(1..) {
        check_operation(operation, Place { view, operation: number })?;
    }
    Ok(())
}

fn check_operation(operation: &Value, place: Place) -> Result<()> {
    let name = operation.get("op").and_then(Value::as_str);
    let (Value::Table(given), Some(name)) = (operation, name) else {
        return Err(usage!(
            "in the recipe: {place} is {operation}, without the name of an operation";
            "write {{ op = \"flip\", p = 0.5 }}; the operations are {}", names()
        ));
    };
    let Some(kind) = Kind::named(name) else {
        return Err(usage!("in the recipe: {place} is `{name}`, which is unknown"; "use one of {}", names()));
    };
    let wrong =
        |problem: String| usage!("in the recipe: {place}, `{name}`: {problem}"; "{}", parameters(kind));
    let is_known = |key: &str| kind.parameters.iter().any(|parameter| parameter.name == key);
    if let Some(unknown) = given.keys().find(|key| *key != "op" && !is_known(key)) {
        return Err(wrong(format!("there is no parameter `{unknown}`")));
    }
    for Parameter { name, form, default } in kind.parameters {
        match given.get(*name) {
            None if default.is_none() => return Err(wrong(format!("`{name}` is missing"))),
            Some(value) if !is_of(*form, value) => {
                return Err(wrong(format!("`{name}` is {value}, not {form}")));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Returns whether a value has the form of a parameter.
fn is_of(form: Form, value: &Value) -> bool {
    let number = |value: &Value| value.as_float().or_else(|| value.as_integer().map(|whole| whole as f64));
    match form {
        Form::Number(..) => number(value).is_some_and(|number| form.allows(&[number])),
        Form::Whole(..) => value.as_integer().is_some_and(|number| form.allows(&[number as f64])),
        Form::Range(..) => {
            let numbers = value.as_array().map(|values| values.iter().map(number).collect());
            numbers.flatten().is_some_and(|numbers: Vec<f64>| form.allows(&numbers))
        }
        Form::Filter => matches!(value.as_str(), Some("bicubic" | "bilinear")),
        Form::Colours => value.clone().try_into().is_ok_and(|colours: Components| colours.are_orthonormal()),
    }
}

/// Returns the names of all operations.
fn names() -> String {
    Kind::ALL.map(|kind| kind.name).join(", ")
}

/// Returns the parameters of an operation, as a hint.
fn parameters(kind: &Kind) -> String {
    let shown = kind.parameters.iter().map(|Parameter { name, form, default }| match default {
        Some(default) => format!("`{name}` ({form}; {default} if left out)"),
        None => format!("`{name}` ({form})"),
    });
    let shown: Vec<_> = shown.collect();
    if shown.is_empty() {
        return format!("write {{ op = \"{}\" }}, which has no parameters", kind.name);
    }
    format!("give `{}` {}", kind.name, shown.join(", "))
}
