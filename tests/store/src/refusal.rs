//! The errors of object stores, in the words of each.

use crate::escape;

/// The forms in which object stores differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// S3, the XML interface of Google Cloud Storage, and plain HTTP.
    S3,
    Azure,
}

/// Why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    BadRequest,
    BadToken,
    Unauthorized,
    NoBucket,
    NoObject,
    OtherMethod,
    Condition,
    Range,
}

impl Refusal {
    pub(crate) fn status(self) -> u16 {
        match self {
            Self::BadRequest | Self::BadToken => 400,
            Self::Unauthorized => 403,
            Self::NoBucket | Self::NoObject => 404,
            Self::OtherMethod => 405,
            Self::Condition => 412,
            Self::Range => 416,
        }
    }

    /// Returns the code by which clients recognize the error.
    pub(crate) fn code(self, dialect: Dialect) -> &'static str {
        let (s3, azure) = match self {
            Self::BadRequest => ("InvalidURI", "InvalidUri"),
            Self::BadToken => ("InvalidArgument", "OutOfRangeQueryParameterValue"),
            Self::Unauthorized => ("AccessDenied", "AuthorizationFailure"),
            Self::NoBucket => ("NoSuchBucket", "ContainerNotFound"),
            Self::NoObject => ("NoSuchKey", "BlobNotFound"),
            Self::OtherMethod => ("MethodNotAllowed", "UnsupportedHttpVerb"),
            Self::Condition => ("PreconditionFailed", "ConditionNotMet"),
            Self::Range => ("InvalidRange", "InvalidRange"),
        };
        if dialect == Dialect::Azure { azure } else { s3 }
    }

    fn message(self) -> &'static str {
        match self {
            Self::BadRequest => "The path of the request is malformed.",
            Self::BadToken => "The continuation token is none of this server.",
            Self::Unauthorized => "Access Denied",
            Self::NoBucket => "The specified bucket does not exist",
            Self::NoObject => "The specified key does not exist.",
            Self::OtherMethod => "The specified method is not allowed against this resource.",
            Self::Condition => "At least one of the pre-conditions you specified did not hold",
            Self::Range => "The requested range is not satisfiable",
        }
    }

    /// Returns the error as a document about the given path.
    pub(crate) fn document(self, dialect: Dialect, path: &str) -> String {
        let code = self.code(dialect);
        if dialect == Dialect::S3 {
            return s3_document(code, self.message(), path);
        }
        let message = escape::xml(self.message());
        format!("{DECLARATION}<Error><Code>{code}</Code><Message>{message}</Message></Error>")
    }
}

pub(crate) const DECLARATION: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";

/// Returns an error document of S3.
pub(crate) fn s3_document(code: &str, message: &str, path: &str) -> String {
    let [code, message, path] = [code, message, path].map(escape::xml);
    format!(
        "{DECLARATION}<Error><Code>{code}</Code><Message>{message}</Message><Resource>/{path}</Resource>\
         <RequestId>0</RequestId></Error>"
    )
}
