//! Texts that travel between processes, as tensors of bytes.

use tch::{Kind, Tensor};
use torchkit::{Failure, Group};

/// Returns the texts of all processes, by rank.
///
/// # Errors
///
/// If another process is lost.
pub(super) fn gather(group: &Group, own: &str) -> Result<Vec<String>, Failure> {
    let lengths = group.all_gather(&Tensor::from_slice(&[own.len() as i64]))?;
    let lengths = Vec::<i64>::try_from(lengths).expect("a length for each rank");
    let longest = lengths.iter().copied().max().unwrap_or(0).max(1);
    let padding = longest as usize - own.len();
    let bytes: Vec<u8> = own.bytes().chain(std::iter::repeat_n(0, padding)).collect();
    let all = group.all_gather(&Tensor::from_slice(&bytes).view([1, longest]))?;
    let text = |(rank, length): (usize, i64)| text(&all.get(rank as i64).narrow(0, 0, length));
    Ok(lengths.into_iter().enumerate().map(text).collect())
}

/// Returns the text of rank 0, which other ranks need not give.
///
/// # Errors
///
/// If another process is lost.
pub(super) fn from_first(group: &Group, own: Option<&str>) -> Result<String, Failure> {
    let length = Tensor::from_slice(&[own.unwrap_or_default().len() as i64]);
    group.broadcast(&[&length], 0)?;
    let bytes = match own {
        Some(own) if !own.is_empty() => Tensor::from_slice(own.as_bytes()),
        _ => Tensor::zeros([length.int64_value(&[0])], (Kind::Uint8, tch::Device::Cpu)),
    };
    if bytes.numel() > 0 {
        group.broadcast(&[&bytes], 0)?;
    }
    Ok(text(&bytes))
}

fn text(bytes: &Tensor) -> String {
    let bytes = Vec::<u8>::try_from(bytes.contiguous()).expect("a row of bytes");
    String::from_utf8_lossy(&bytes).into_owned()
}
