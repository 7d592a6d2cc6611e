//! Checks of recipes.

use std::fmt;

use super::{
    kind::{Form, Kind},
    op::Op,
    recipe::Recipe,
};

/// The most views of a recipe.
const MOST_VIEWS: usize = 64;
/// The largest side of a view, in pixels.
const MOST_PIXELS: u32 = 4096;

/// The error of an invalid recipe.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum RecipeError {
    /// A recipe with no view, or with too many.
    #[error("the recipe has {views} views, not 1 to {MOST_VIEWS}")]
    Views {
        /// The number of views.
        views: usize,
    },
    /// A side of no pixel, or of too many.
    #[error("the side of views is {side}, not 1 to {MOST_PIXELS} pixels")]
    Side {
        /// The side in pixels.
        side: u32,
    },
    /// A parameter that its operation does not allow.
    #[error("{place}, `{op}`: `{parameter}` is {value}, not {form}")]
    Parameter {
        /// The place of the operation.
        place: Place,
        /// The name of the operation.
        op: &'static str,
        /// The name of the parameter.
        parameter: &'static str,
        /// The value.
        value: String,
        /// The values that are allowed.
        form: Form,
    },
    /// A `seed_patch` after another operation, which would draw another seed in each epoch.
    #[error("{place} is `seed_patch`, which must be the first operation on an image")]
    LateSeed {
        /// The place of the operation.
        place: Place,
    },
    /// A view whose operations do not bring every image to its side.
    #[error("view {view} does not end with {side}×{side} pixels for every image")]
    Unfitted {
        /// The number of the view, from 1 on.
        view: usize,
        /// The side in pixels.
        side: u32,
    },
}

/// The place of an operation in a recipe, displayed as "operation 2 of view 1".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The number of the view, from 1 on; `None` for operations that all views share.
    pub view: Option<usize>,
    /// The number of the operation, from 1 on.
    pub operation: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.view {
            Some(view) => write!(f, "operation {} of view {view}", self.operation),
            None => write!(f, "operation {} of `shared`", self.operation),
        }
    }
}

impl Recipe {
    /// Checks that the recipe makes views of every image.
    ///
    /// # Errors
    /// The first fault of the recipe.
    pub fn check(&self) -> Result<(), RecipeError> {
        let views = self.len();
        if !(1..=MOST_VIEWS).contains(&views) {
            return Err(RecipeError::Views { views });
        }
        if let Some(group) = self.groups.iter().find(|group| !(1..=MOST_PIXELS).contains(&group.side)) {
            return Err(RecipeError::Side { side: group.side });
        }
        check_parameters(None, &self.shared)?;
        for (number, (side, ops)) in (1..).zip(self.views()) {
            check_parameters(Some(number), ops)?;
            self.check_seeds(number, ops)?;
            if !is_fitted(
                self.shared.iter().map(|op| (self.side(), op)).chain(ops.iter().map(|op| (side, op))),
                side,
            ) {
                return Err(RecipeError::Unfitted { view: number, side });
            }
        }
        Ok(())
    }

    /// Checks that a `seed_patch` sees the image as it is stored.
    fn check_seeds(&self, view: usize, ops: &[Op]) -> Result<(), RecipeError> {
        let shared = (1..).zip(&self.shared).map(|(operation, op)| (Place { view: None, operation }, op));
        let own = (1..).zip(ops).map(|(operation, op)| (Place { view: Some(view), operation }, op));
        let late = shared.chain(own).skip(1).find(|(_, op)| matches!(op, Op::SeedPatch { .. }));
        late.map_or(Ok(()), |(place, _)| Err(RecipeError::LateSeed { place }))
    }
}

fn check_parameters(view: Option<usize>, ops: &[Op]) -> Result<(), RecipeError> {
    for (operation, op) in (1..).zip(ops) {
        let (name, values) = op.values();
        let parameters = Kind::named(name).map_or(&[][..], |kind| kind.parameters);
        for (parameter, value) in parameters.iter().zip(values) {
            if !value.is_allowed(parameter.form) {
                return Err(RecipeError::Parameter {
                    place: Place { view, operation },
                    op: name,
                    parameter: parameter.name,
                    value: value.to_string(),
                    form: parameter.form,
                });
            }
        }
    }
    Ok(())
}

/// Returns whether operations bring images of any size to a side. Each is given with the side that it cuts.
fn is_fitted<'a>(ops: impl Iterator<Item = (u32, &'a Op)>, side: u32) -> bool {
    let known = ops.fold(None, |known, (cut, op)| match op {
        Op::ResizedCrop { .. } | Op::RandomCrop | Op::CenterCrop | Op::SeedPatch { .. } => Some(cut),
        // Of a square; otherwise the length of the other edge depends on the image.
        Op::ResizeShort { edge } => known.map(|_| *edge),
        _ => known,
    });
    known == Some(side)
}
