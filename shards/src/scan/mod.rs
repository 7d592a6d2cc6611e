//! The members of a tar file, read from the headers alone.

mod block;
mod member;
mod scanner;
mod window;

pub(crate) use block::{BLOCK, is_blank, is_header};
pub(crate) use member::{Kind, Member};
pub(crate) use scanner::{Scanner, Trouble};
