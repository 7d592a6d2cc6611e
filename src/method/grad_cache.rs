//! The forward and backward pass of a batch, for all methods: as a whole, in parts of the batch, or block by
//! block of the encoder.

use anyhow::Result;
use tch::{Kind, Tensor};

use super::{
    compute::ComputeOptions,
    interface::{Method, Objective},
};
use crate::{encoder::Embedder, loss::widened, views::Views, world::World};

/// The loss of a batch and the features for the online probe, without a graph.
#[derive(Debug)]
pub struct Loss {
    /// The scalar that is minimized.
    pub total: Tensor,
    /// The scalar that is logged as the loss.
    pub loss: Tensor,
    /// Its scalar parts, each with the name it is logged under.
    pub parts: Vec<(&'static str, Tensor)>,
    /// Features (v·n, width) for the online probe, view after view.
    pub features: Tensor,
}

/// Computes the loss of a batch and adds its gradients to those of the parameters. Batch norms are in
/// training mode.
///
/// # Errors
///
/// If the device cannot compute in the requested precision.
pub fn backward(method: &dyn Method, views: &Views, compute: ComputeOptions) -> Result<Loss> {
    let (embeddings, objective) = if compute.parts > 1 || compute.by_block {
        in_parts(method, views, compute)?
    } else {
        as_a_whole(method, views, compute)?
    };
    Ok(Loss {
        total: objective.total.detach(),
        loss: objective.loss.detach(),
        features: widened(&method.features(&embeddings).detach()).flatten(0, 1),
        parts: objective.parts.into_iter().map(|(name, part)| (name, part.detach())).collect(),
    })
}

fn as_a_whole(
    method: &dyn Method,
    views: &Views,
    compute: ComputeOptions,
) -> Result<(Vec<Tensor>, Objective)> {
    let embeddings = {
        let _scope = compute.precision.autocast(views.images.device())?;
        method.embedder().embed(&views.images, true)
    };
    let objective =
        method.objective(&gathered(&embeddings, compute.world), &compute.world.gather_samples(views));
    objective.total.backward();
    Ok((embeddings, objective))
}

/// Gathers the embeddings of all processes.
fn gathered(embeddings: &[Tensor], world: World) -> Vec<Tensor> {
    embeddings.iter().map(|embedding| world.gather(embedding)).collect()
}

/// Computes a batch in parts ("gradient cache", Gao et al. 2021): all embeddings without a graph; the
/// objective of all of them, so that its negatives are those of the whole batch; and each part a second time
/// with a graph, through which the gradients of the objective are propagated.
fn in_parts(method: &dyn Method, views: &Views, compute: ComputeOptions) -> Result<(Vec<Tensor>, Objective)> {
    let embedder = method.embedder();
    let parts = views.images.tensor_split(compute.parts, 1);
    let Encoded { parts: encoded, mut inputs } = without_graph(embedder, &parts, compute)?;
    let embeddings = joined(&encoded);
    let objective =
        method.objective(&gathered(&embeddings, compute.world), &compute.world.gather_samples(views));
    objective.total.backward();
    let mut start = 0;
    for part in &parts {
        let count = part.size()[1];
        // An embedding that the objective does not use has no gradient.
        let gradient = |embedding: &Tensor| {
            let gradient = embedding.grad();
            let gradient = if gradient.defined() { gradient } else { embedding.zeros_like() };
            gradient.narrow(1, start, count)
        };
        let gradients: Vec<_> = embeddings.iter().map(gradient).collect();
        start += count;
        if compute.by_block {
            let inputs = match inputs.take() {
                Some(inputs) => inputs,
                None => inputs_of(embedder, part, compute)?,
            };
            let scope = || Ok(compute.precision.autocast(part.device())?);
            embedder.backward_by_block(inputs, part.size()[0], &gradients, &scope)?;
        } else {
            embed_again(embedder, part, &gradients, compute)?;
        }
    }
    Ok((embeddings, objective))
}

/// The embeddings of a batch, computed without a graph.
struct Encoded {
    /// The embeddings of each part.
    parts: Vec<Vec<Tensor>>,
    /// The inputs of the blocks, if the batch is one part and computed block by block; they are not computed
    /// a second time then.
    inputs: Option<Vec<Tensor>>,
}

fn without_graph(embedder: &dyn Embedder, parts: &[Tensor], compute: ComputeOptions) -> Result<Encoded> {
    tch::no_grad(|| {
        let _scope = compute.precision.autocast(parts[0].device())?;
        if let ([whole], true) = (parts, compute.by_block) {
            let (embeddings, inputs) = embedder.embed_by_block(whole);
            return Ok(Encoded { parts: vec![embeddings], inputs: Some(inputs) });
        }
        let parts = parts.iter().map(|part| embedder.embed(part, false)).collect();
        Ok(Encoded { parts, inputs: None })
    })
}

/// Computes the inputs of all blocks for a part.
fn inputs_of(embedder: &dyn Embedder, part: &Tensor, compute: ComputeOptions) -> Result<Vec<Tensor>> {
    let _scope = compute.precision.autocast(part.device())?;
    Ok(tch::no_grad(|| embedder.embed_by_block(part)).1)
}

/// Joins the embeddings of all parts into leaves of a new graph, in f32 or f64.
fn joined(encoded: &[Vec<Tensor>]) -> Vec<Tensor> {
    let whole = |number: usize| {
        let parts: Vec<_> = encoded.iter().map(|part| &part[number]).collect();
        widened(&Tensor::cat(&parts, 1)).detach().set_requires_grad(true)
    };
    (0..encoded[0].len()).map(whole).collect()
}

/// Embeds a part with a graph and propagates the gradients of its embeddings to the parameters.
fn embed_again(
    embedder: &dyn Embedder,
    part: &Tensor,
    gradients: &[Tensor],
    compute: ComputeOptions,
) -> Result<()> {
    let encoded = {
        let _scope = compute.precision.autocast(part.device())?;
        embedder.embed(part, true)
    };
    let along = encoded.iter().zip(gradients);
    let total: Tensor = along.map(|(x, gradient)| (widened(x) * gradient).sum(None::<Kind>)).sum();
    total.backward();
    Ok(())
}
