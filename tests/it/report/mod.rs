//! Reports: pages about runs in every state, in a browser and as text; `runs`; the report at the end of a run.

mod browser;
mod end;
mod list;
mod page;
mod support;
