//! The way forth and back through a batch, for all methods: in one go, in parts of the batch one after the other, or block by
//! block of the encoder.

use anyhow::Result;
use tch::{Kind, Tensor};
use torchkit::Precision;

use super::interface::{Method, Objective};
use crate::{encoder::Embedder, loss::widened, views::Views, world::World};

/// What a method makes of a batch, without a graph.
#[derive(Debug)]
pub struct Loss {
    /// The scalar that is minimized.
    pub total: Tensor,
    /// Its scalar parts, each under the name it is logged by.
    pub parts: Vec<(&'static str, Tensor)>,
    /// Features (v·n, width) view after view, for the online probe.
    pub features: Tensor,
}

/// How a step is computed. What comes out does not depend on it, but for rounding and, in parts of a batch, for the
/// statistics of batch norms.
#[derive(Debug, Clone, Copy)]
pub struct ComputeOptions {
    /// What the encoder is computed in.
    pub precision: Precision,
    /// Parts of the batch that are encoded one after the other.
    pub parts: i64,
    /// Whether to keep the inputs of blocks alone for the way back.
    pub by_block: bool,
    /// The processes whose embeddings the objective is of.
    pub world: World,
}

/// The loss of one batch, whose gradients are added to those of the parameters; batch norms are in training mode.
///
/// # Errors
///
/// Where the device cannot compute in the precision that is asked for.
pub fn backward(method: &dyn Method, views: &Views, compute: ComputeOptions) -> Result<Loss> {
    let (embeddings, objective) = if compute.parts > 1 || compute.by_block {
        in_parts(method, views, compute)?
    } else {
        at_once(method, views, compute)?
    };
    Ok(Loss {
        total: objective.total.detach(),
        features: widened(&method.features(&embeddings).detach()).flatten(0, 1),
        parts: objective.parts.into_iter().map(|(name, part)| (name, part.detach())).collect(),
    })
}

fn at_once(method: &dyn Method, views: &Views, compute: ComputeOptions) -> Result<(Vec<Tensor>, Objective)> {
    let embeddings = {
        let _scope = compute.precision.autocast(views.images.device())?;
        method.embedder().embed(&views.images, true)
    };
    let objective =
        method.objective(&gathered(&embeddings, compute.world), &compute.world.gather_samples(views));
    objective.total.backward();
    Ok((embeddings, objective))
}

/// The embeddings of all processes.
fn gathered(embeddings: &[Tensor], world: World) -> Vec<Tensor> {
    embeddings.iter().map(|embedding| world.gather(embedding)).collect()
}

/// First all parts without a graph, then the objective on all embeddings, so that its negatives are those of the whole batch, then
/// each part again with a graph, which the objective's gradients go back through ("gradient cache", Gao et al. 2021).
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
        // An embedding that the objective does not use has none.
        let gradient = |embedding: &Tensor| {
            let gradient = embedding.grad();
            let gradient = if gradient.defined() { gradient } else { embedding.zeros_like() };
            gradient.narrow(1, start, count)
        };
        let gradients: Vec<_> = embeddings.iter().map(gradient).collect();
        start += count;
        if compute.by_block {
            let inputs = inputs.take().map_or_else(|| inputs_of(embedder, part, compute), Ok)?;
            let scope = || Ok(compute.precision.autocast(part.device())?);
            embedder.backward_by_block(inputs, part.size()[0], &gradients, &scope)?;
        } else {
            once_more(embedder, part, &gradients, compute)?;
        }
    }
    Ok((embeddings, objective))
}

/// A batch that was embedded without a graph.
struct Encoded {
    /// The embeddings of each part.
    parts: Vec<Vec<Tensor>>,
    /// The inputs of the blocks, where the batch is one part that is computed block by block: they need not be made again.
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

/// The inputs of all blocks for a part.
fn inputs_of(embedder: &dyn Embedder, part: &Tensor, compute: ComputeOptions) -> Result<Vec<Tensor>> {
    let _scope = compute.precision.autocast(part.device())?;
    Ok(tch::no_grad(|| embedder.embed_by_block(part)).1)
}

/// The embeddings of all parts as leaves of a graph, in f32 at least.
fn joined(encoded: &[Vec<Tensor>]) -> Vec<Tensor> {
    let whole = |number: usize| {
        let parts: Vec<_> = encoded.iter().map(|part| &part[number]).collect();
        widened(&Tensor::cat(&parts, 1)).detach().set_requires_grad(true)
    };
    (0..encoded[0].len()).map(whole).collect()
}

/// Embeds a part with a graph, and leaves on the parameters what these gradients of its embeddings make of it.
fn once_more(
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
