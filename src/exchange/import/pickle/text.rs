//! Names, numbers and texts in the spelling of a pickle.

use anyhow::{Result, ensure};

use crate::failure;

/// The functions and classes that make tensors and numbers. `torch.…Storage` is accepted, too.
const KNOWN: [&str; 9] = [
    "collections.OrderedDict",
    "torch.Size",
    "torch._utils._rebuild_tensor",
    "torch._utils._rebuild_tensor_v2",
    "torch._utils._rebuild_parameter",
    "numpy.dtype",
    "numpy.core.multiarray.scalar",
    "numpy._core.multiarray.scalar",
    "_codecs.encode",
];

/// Classes of objects that other programs keep beside the tensors: the arguments of CMC's training, the memory
/// bank of instance discrimination as a whole module, and kinds and devices of tensors. A `*` stands for all
/// names in a module.
const BESIDE: [&str; 14] = [
    "argparse.Namespace",
    "lib.NCEAverage.*",
    "lib.LinearAverage.*",
    "lib.alias_multinomial.*",
    "NCE.NCEAverage.*",
    "NCE.alias_multinomial.*",
    "torch.nn.parameter.Parameter",
    "torch.nn.backends.thnn._get_thnn_function_backend",
    "torch.device",
    "torch.float32",
    "collections.defaultdict",
    "copy_reg._reconstructor",
    "__builtin__.object",
    "__builtin__.set",
];

/// Checks that a function or class is one that tensors and numbers need, or a known object beside them.
///
/// # Errors
///
/// If it is another one.
pub(super) fn check_name(name: &str) -> Result<()> {
    let is_storage = name.starts_with("torch.") && name.ends_with("Storage");
    let is_beside = BESIDE.iter().any(|class| match class.strip_suffix('*') {
        Some(module) => name.starts_with(module),
        None => name == *class,
    });
    if is_storage || is_beside || KNOWN.contains(&name) {
        return Ok(());
    }
    Err(failure!(
        "the file calls `{name}`, which no tensor needs; it was not run";
        "use only checkpoints from sources that you trust; save them by `torch.save` with nothing but tensors, numbers and texts"
    ))
}

/// Reads a whole number from its digits. Only the lowest 64 bits are kept.
pub(super) fn whole(digits: &str) -> Result<i64> {
    let (is_negative, digits) = digits.strip_prefix('-').map_or((false, digits), |digits| (true, digits));
    ensure!(
        !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit()),
        "a number is malformed"
    );
    let add = |number: i64, digit: u8| number.wrapping_mul(10).wrapping_add((digit - b'0').into());
    let number = digits.bytes().fold(0, add);
    Ok(if is_negative { number.wrapping_neg() } else { number })
}

/// Replaces escapes such as `\uXXXX` by the characters that they stand for.
pub(super) fn unescaped(text: &str) -> String {
    let mut letters = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\\') {
        letters.push_str(before);
        let kind = after.chars().next();
        let digits = match kind {
            Some('x') => 2,
            Some('u') => 4,
            Some('U') => 8,
            _ => 0,
        };
        let code = after.get(1..=digits).and_then(|digits| u32::from_str_radix(digits, 16).ok());
        let (letter, length) = match (code.and_then(char::from_u32), kind) {
            (Some(letter), _) => (letter, 1 + digits),
            (None, Some('n')) => ('\n', 1),
            (None, Some('r')) => ('\r', 1),
            (None, Some('t')) => ('\t', 1),
            (None, Some(other)) => (other, other.len_utf8()),
            (None, None) => ('\\', 0),
        };
        letters.push(letter);
        rest = &after[length..];
    }
    letters + rest
}
