//! Cures of errors, as data.

use crate::pattern::{AccessHint, PatternHint};

/// The cure of an error, as data: the program words it, with its own commands and flags.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hint {
    /// Name the shards differently.
    Pattern(PatternHint),
    /// Make a shard accessible, or leave it out.
    Access(AccessHint),
    /// Replace a file that is not a shard.
    Content(ContentHint),
    /// Make a server accessible.
    Remote(RemoteHint),
    /// Let the cache take so many bytes, or shuffle in a smaller window.
    Cache {
        /// The bytes that are needed.
        bytes: u64,
    },
    /// Rewrite the shard in GNU format, without sparse files.
    RewriteTar,
    /// Number the classes from 0 and rewrite the shard.
    NumberClasses,
    /// Name shards with images: members `jpg`, `jpeg`, `png` or `webp`.
    Images,
    /// Verify the shards to see what is wrong with each.
    Verify,
    /// Write `global`, `none`, or `window:N` with N samples from 1 on.
    Shuffle,
    /// Check the disk of the shard, then try again.
    Disk,
    /// Free space on the disk.
    Space,
    /// Check free space and permissions of the folder.
    Folder,
}

/// The cure for a file that is not a tar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ContentHint {
    /// Decompress it with this command.
    Decompress {
        /// The command.
        command: String,
    },
    /// Unpack it with this program, then make shards of its images.
    Unpack {
        /// The program.
        program: &'static str,
    },
    /// Extract its images, then make shards of them.
    Extract,
    /// Make shards of the folder that contains it.
    Pack,
    /// Fetch the file itself with `git lfs pull`.
    GitLfs,
    /// Download the shard again; the downloaded page may say why it failed.
    Download,
    /// Name it as a list, with this pattern.
    List {
        /// The pattern.
        pattern: String,
    },
    /// Name only shards.
    Shards {
        /// A pattern for the shards beside the file, unless the file itself has a tar's name.
        pattern: Option<String>,
    },
}

/// The cure for a server that does not give what was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RemoteHint {
    /// Check the spelling of the bucket, container, folder or shard.
    Name,
    /// Check the spelling of the host, and the connection to the network.
    Host,
    /// Start the server, or name another port.
    Closed,
    /// Try again when the server answers; longer patience can be set.
    Patience,
    /// Give credentials, or others.
    Credentials {
        /// Where the credentials came from that were refused; `None` if there were none.
        from: Option<String>,
        /// The kind of store.
        store: StoreKind,
    },
    /// Export the credentials of this profile of the AWS command line as environment variables: profiles are not
    /// read.
    Profile(String),
    /// Renew a presigned address that has expired, or that permits another request.
    Presigned,
    /// Name the region of the bucket.
    Region(Option<String>),
    /// Set the clock of this machine.
    Clock,
    /// Use a server that answers requests for byte ranges.
    Ranges,
    /// Open the address in a browser: it is a web page, perhaps of a proxy.
    WebPage,
    /// Make the authority that signed the certificate known to this machine.
    Certificate,
    /// Permit unencrypted connections for this store.
    Unencrypted {
        /// The first part of the address, which options are given for.
        prefix: String,
    },
}

/// A kind of store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StoreKind {
    /// Amazon S3, or a store that speaks its protocol: `s3://`.
    S3,
    /// Google Cloud Storage: `gs://`.
    Google,
    /// Azure Blob Storage: `az://`.
    Azure,
    /// A web server: `https://` or `http://`.
    Web,
}
