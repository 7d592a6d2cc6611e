//! The forward and backward pass of a batch, for all methods: as a whole, in parts of the batch, or block by
//! block of the encoder.

use anyhow::Result;
use pipeline::trace;
use tch::{Kind, Tensor};

use super::{
    compute::ComputeOptions,
    interface::{Method, Objective},
};
use crate::{
    encoder::{Embedder, Norming},
    loss::{Scores, widened},
    views::Views,
};

/// The loss of a batch and the features for the online probe, without a graph.
#[derive(Debug)]
pub struct Loss {
    /// The scalar that is minimized.
    pub total: Tensor,
    /// The scalar that is logged as the loss.
    pub loss: Tensor,
    /// Its scalar parts, each with the name it is logged under.
    pub parts: Vec<(&'static str, Tensor)>,
    /// Features (v, n, width) of the samples of this process for the online probe.
    pub features: Tensor,
    /// The scores, if they were asked for.
    pub scores: Vec<Scores>,
}

/// A moment in the backward passes of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// The gradients of the objective have reached the embeddings, and parameters that only the objective uses, but no
    /// others. A batch that is computed as a whole has no such moment.
    AfterObjective,
    /// In what follows, each parameter of the embedder gets a gradient once, and for the last time; as a whole, also
    /// those that only the objective uses.
    BeforeLastPass,
}

/// Computes the loss of a batch and adds its gradients to those of the parameters. Batch norms are in
/// training mode.
///
/// # Errors
///
/// If the device cannot compute in the requested precision.
pub fn backward(method: &dyn Method, views: &Views, compute: ComputeOptions) -> Result<Loss> {
    backward_in_stages(method, views, compute, &|_| Ok(()))
}

/// Does the same as [`backward`], and calls `reach` at each [`Stage`].
///
/// # Errors
///
/// Those of [`backward`], and of `reach`.
pub fn backward_in_stages(
    method: &dyn Method,
    views: &Views,
    compute: ComputeOptions,
    reach: &dyn Fn(Stage) -> Result<()>,
) -> Result<Loss> {
    let (embeddings, objective) = if compute.parts > 1 || compute.by_block {
        in_parts(method, views, compute, reach)?
    } else {
        as_a_whole(method, views, compute, reach)?
    };
    let scores = if compute.with_scores {
        tch::no_grad(|| method.scores(&embeddings, views, compute.world))
    } else {
        Vec::new()
    };
    Ok(Loss {
        scores,
        total: objective.total.detach(),
        loss: objective.loss.detach(),
        features: widened(&method.features(&embeddings).detach()),
        parts: objective.parts.into_iter().map(|(name, part)| (name, part.detach())).collect(),
    })
}

fn as_a_whole(
    method: &dyn Method,
    views: &Views,
    compute: ComputeOptions,
    reach: &dyn Fn(Stage) -> Result<()>,
) -> Result<(Vec<Tensor>, Objective)> {
    let embed = || -> Result<_> {
        let _scope = compute.precision.autocast(views.images().device())?;
        let norming = compute.norming(0);
        let embedded = views.groups.iter().map(|images| method.embedder().embed(images, norming));
        Ok(joined(&embedded.collect::<Vec<_>>(), 0))
    };
    let embeddings = trace::span("forward", embed)?;
    let objective = trace::span("objective", || method.objective(&embeddings, views, compute.world));
    reach(Stage::BeforeLastPass)?;
    trace::span("backward", || objective.total.backward());
    Ok((embeddings, objective))
}

/// Computes a batch in parts ("gradient cache", Gao et al. 2021): all embeddings without a graph; the
/// objective of all of them, so that its negatives are those of the whole batch; and each part a second time
/// with a graph, through which the gradients of the objective are propagated.
fn in_parts(
    method: &dyn Method,
    views: &Views,
    compute: ComputeOptions,
    reach: &dyn Fn(Stage) -> Result<()>,
) -> Result<(Vec<Tensor>, Objective)> {
    let embedder = method.embedder();
    let groups: Vec<_> = views.groups.iter().map(|images| images.tensor_split(compute.parts, 1)).collect();
    let encoded = trace::span("forward", || without_graph(embedder, &groups, compute))?;
    let (encoded, inputs): (Vec<_>, Vec<_>) =
        encoded.into_iter().map(|group| (joined(&group.parts, 1), group.inputs)).unzip();
    let embeddings: Vec<_> = joined(&encoded, 0).iter().map(leaf).collect();
    let objective = trace::span("objective", || {
        let objective = method.objective(&embeddings, views, compute.world);
        objective.total.backward();
        objective
    });
    reach(Stage::AfterObjective)?;
    let gradients: Vec<_> = embeddings.iter().map(gradient).collect();
    let (mut view, mut passes) = (0, groups.len() as i64 * compute.parts);
    for ((parts, encoded), mut inputs) in groups.iter().zip(&encoded).zip(inputs) {
        let (views, mut sample) = (encoded[0].size()[0], 0);
        for (part, number) in parts.iter().zip(0..) {
            let samples = part.size()[1];
            let of_part = |all: &Tensor| all.narrow(0, view, views).narrow(1, sample, samples);
            let gradients: Vec<_> = gradients.iter().map(of_part).collect();
            let norming = compute.norming(number);
            passes -= 1;
            if passes == 0 {
                reach(Stage::BeforeLastPass)?;
            }
            let inputs = inputs.take();
            trace::span("backward", || propagate(embedder, part, &gradients, (compute, norming, inputs)))?;
            sample += samples;
        }
        view += views;
    }
    Ok((embeddings, objective))
}

/// The embeddings of a group of views, computed without a graph.
struct Encoded {
    /// The embeddings of each part.
    parts: Vec<Vec<Tensor>>,
    /// The inputs of the blocks, if the batch is one part and computed block by block; they are not computed
    /// a second time then.
    inputs: Option<Vec<Tensor>>,
}

/// Encodes the parts of each group of views.
fn without_graph(
    embedder: &dyn Embedder,
    groups: &[Vec<Tensor>],
    compute: ComputeOptions,
) -> Result<Vec<Encoded>> {
    let norming = compute.norming(0).kept();
    let encoded = |parts: &Vec<Tensor>| {
        if let ([whole], true) = (&parts[..], compute.by_block) {
            let (embeddings, inputs) = embedder.embed_by_block(whole, norming);
            return Encoded { parts: vec![embeddings], inputs: Some(inputs) };
        }
        Encoded { parts: parts.iter().map(|part| embedder.embed(part, norming)).collect(), inputs: None }
    };
    tch::no_grad(|| {
        let _scope = compute.precision.autocast(groups[0][0].device())?;
        Ok(groups.iter().map(encoded).collect())
    })
}

/// Joins the embeddings of several parts or groups along a dimension.
fn joined(pieces: &[Vec<Tensor>], dim: i64) -> Vec<Tensor> {
    let whole = |number: usize| match pieces {
        [only] => only[number].shallow_clone(),
        _ => Tensor::cat(&pieces.iter().map(|piece| &piece[number]).collect::<Vec<_>>(), dim),
    };
    (0..pieces[0].len()).map(whole).collect()
}

/// Returns an embedding as a leaf of a new graph, in f32 or f64.
fn leaf(embedding: &Tensor) -> Tensor {
    widened(embedding).detach().set_requires_grad(true)
}

/// Returns the gradient of an embedding: zeros if the objective does not use it.
fn gradient(embedding: &Tensor) -> Tensor {
    let gradient = embedding.grad();
    if gradient.defined() { gradient } else { embedding.zeros_like() }
}

/// Propagates the gradients of the embeddings of a part to the parameters. `inputs` has the inputs of its
/// blocks, if they are known.
fn propagate(
    embedder: &dyn Embedder,
    part: &Tensor,
    gradients: &[Tensor],
    (compute, norming, inputs): (ComputeOptions, Norming, Option<Vec<Tensor>>),
) -> Result<()> {
    if !compute.by_block {
        return embed_again(embedder, part, gradients, (compute, norming));
    }
    let inputs = match inputs {
        Some(inputs) => inputs,
        None => inputs_of(embedder, part, (compute, norming))?,
    };
    let scope = || Ok(compute.precision.autocast(part.device())?);
    embedder.backward_by_block(inputs, part.size()[0], gradients, norming, &scope)
}

/// Computes the inputs of all blocks for a part.
fn inputs_of(
    embedder: &dyn Embedder,
    part: &Tensor,
    (compute, norming): (ComputeOptions, Norming),
) -> Result<Vec<Tensor>> {
    let _scope = compute.precision.autocast(part.device())?;
    Ok(tch::no_grad(|| embedder.embed_by_block(part, norming)).1)
}

/// Embeds a part with a graph and propagates the gradients of its embeddings to the parameters.
fn embed_again(
    embedder: &dyn Embedder,
    part: &Tensor,
    gradients: &[Tensor],
    (compute, norming): (ComputeOptions, Norming),
) -> Result<()> {
    let encoded = {
        let _scope = compute.precision.autocast(part.device())?;
        embedder.embed(part, norming)
    };
    let along = encoded.iter().zip(gradients);
    let total: Tensor = along.map(|(x, gradient)| (widened(x) * gradient).sum(None::<Kind>)).sum();
    total.backward();
    Ok(())
}
