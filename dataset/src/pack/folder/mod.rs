//! An image folder: `class/name.jpg`, or images without classes.

mod images;
mod layout;
mod left_out;
mod names;
#[cfg(test)]
mod tests;
mod text;
mod tree;

pub(super) use images::Folder;
