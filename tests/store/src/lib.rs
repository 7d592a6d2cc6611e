//! An object store for tests: serves a folder over HTTP as S3, Google Cloud Storage, Azure and plain web servers
//! do, answers wrongly where a script says so, and records the requests.
//!
//! | URL | path of a request | list of objects |
//! |---|---|---|
//! | `s3://BUCKET/KEY`, `gs://BUCKET/KEY` | `/BUCKET/KEY` | `/BUCKET?list-type=2&prefix=…` |
//! | `az://CONTAINER/KEY` | `/devstoreaccount1/CONTAINER/KEY` or `/CONTAINER/KEY` | `?restype=container&comp=list` |
//! | `http://…/PATH` | `/PATH` | none |
//!
//! Buckets and containers are the first level of folders. There are `GET` with a range, `HEAD`, `If-Match`,
//! `If-None-Match`, prefixes, delimiters and pages of lists. Every other method is answered with 405. The `ETag`
//! of an object is a hash of its content, so a replaced file has another one at the next request.
//!
//! [`Server::start`] starts one; [`Fault`] says what can go wrong.

mod asked;
mod clock;
mod closing;
mod connection;
mod escape;
mod fault;
mod folder;
mod listener;
mod listing;
mod log;
mod range;
mod refusal;
mod reply;
mod request;
mod send;
mod server;
mod settings;
mod store;

pub use asked::Asked;
pub use fault::Fault;
pub use log::Logged;
pub use server::Server;
