//! The encoder of keys: a moving average of the encoder of queries.

use std::collections::BTreeMap;

use anyhow::Result;
use tch::{
    Kind, Tensor,
    nn::{Path, VarStore},
};

use super::groups::Groups;
use crate::{
    encoder::{Norming, Projected},
    loss,
    method::ComputeOptions,
};

/// A network whose parameters are a moving average of those of the query network. Its running statistics are
/// those of its own batches.
#[derive(Debug)]
pub(super) struct KeyEncoder {
    network: Projected,
    parameters: Vec<Followed>,
    momentum: f64,
    groups: Groups,
}

/// A parameter of the key encoder.
#[derive(Debug)]
struct Followed {
    query: Tensor,
    key: Tensor,
    /// The value before the current step.
    before: Tensor,
}

impl KeyEncoder {
    /// Returns the parameters that the features do not depend on.
    pub(super) fn idle(&self) -> Vec<&Tensor> {
        self.network.encoder.idle()
    }

    /// Returns a copy of the network that `build` has built under `path`. Its tensors have the same names,
    /// under `path/key`, and are not trained.
    pub(super) fn new(
        path: &Path,
        build: impl Fn(&Path) -> Projected,
        momentum: f64,
        groups: Groups,
    ) -> Self {
        let own = VarStore::new(path.device());
        let network = build(&own.root());
        let named: BTreeMap<_, _> = own.variables().into_iter().collect();
        let mut parameters = Vec::new();
        for (name, tensor) in named {
            let is_parameter = tensor.requires_grad();
            let key = tensor.set_requires_grad(false);
            if is_parameter {
                let (folder, own) = place(path, &name);
                let query = folder.get(own).expect("the query network has the same parameters");
                parameters.push(Followed { query, before: key.copy(), key: key.shallow_clone() });
            }
            let (folder, own) = place(&(path / "key"), &name);
            let _ = folder.add(own, key, false);
        }
        let mut encoder = Self { network, parameters, momentum, groups };
        encoder.copy();
        encoder
    }

    /// Returns the bytes of the parameters and of their values before the current step.
    pub(super) fn bytes(&self) -> u64 {
        let of = |key: &Tensor| key.numel() as u64 * key.kind().elt_size_in_bytes() as u64;
        self.parameters.iter().map(|followed| 2 * of(&followed.key)).sum()
    }

    /// Copies the parameters of the query network.
    pub(super) fn copy(&mut self) {
        tch::no_grad(|| self.parameters.iter_mut().for_each(|followed| followed.key.copy_(&followed.query)));
    }

    /// Moves the parameters towards those of the query network.
    pub(super) fn follow(&mut self) {
        let share = 1.0 - self.momentum;
        tch::no_grad(|| {
            for Followed { query, key, before } in &mut self.parameters {
                before.copy_(key);
                let _ = key.lerp_(query, share);
            }
        });
    }

    /// Undoes the last [`follow`](Self::follow) if `is_broken`, a scalar, is 1.
    pub(super) fn undo(&mut self, is_broken: &Tensor) {
        let is_broken = is_broken.to_kind(Kind::Bool);
        for Followed { key, before, .. } in &mut self.parameters {
            key.copy_(&before.where_self(&is_broken, key));
        }
    }

    /// Returns the keys (size·n, d), of unit length, of the images (n, 3, h, w) of each process. The samples of all
    /// processes are put into groups in the order `shuffle` (size·n), for which images travel, or in their own.
    pub(super) fn encode(
        &self,
        images: &Tensor,
        shuffle: Option<&Tensor>,
        compute: ComputeOptions,
    ) -> Result<Tensor> {
        let _scope = compute.precision.autocast(images.device())?;
        let encode = |own: &Tensor| {
            let parts = own.tensor_split(compute.parts, 0);
            let keys =
                parts.iter().zip(0..).map(|(part, number)| self.encode_part(part, compute.norming(number)));
            let keys: Vec<_> = keys.collect();
            compute.world.gather(&Tensor::cat(&keys, 0), 0)
        };
        let keys = if shuffle.is_some() {
            let all = compute.world.gather(images, 0);
            in_order(&all, shuffle, |all| encode(&compute.world.own(all, 0)))
        } else {
            encode(images)
        };
        Ok(loss::unit(&keys))
    }

    fn encode_part(&self, images: &Tensor, norming: Norming) -> Tensor {
        let order = self.groups.order(images.size()[0], norming.groups, images.device());
        let mode = self.groups.mode(norming);
        in_order(images, order.as_ref(), |images| {
            let [_, keys] = self.network.forward(images, mode);
            keys
        })
    }
}

/// Returns the result (n, …) of `f` for each sample of `x` (n, …), which `f` gets in another order.
fn in_order(x: &Tensor, order: Option<&Tensor>, f: impl Fn(&Tensor) -> Tensor) -> Tensor {
    match order {
        Some(order) => f(&x.index_select(0, order)).index_select(0, &order.argsort(0, false)),
        None => f(x),
    }
}

/// Returns the folder below `path`, and the last part, of a name with dots.
fn place<'a, 'b>(path: &Path<'a>, name: &'b str) -> (Path<'a>, &'b str) {
    let (folders, name) = name.rsplit_once('.').unwrap_or(("", name));
    let folders = folders.split('.').filter(|folder| !folder.is_empty());
    (folders.fold(path.clone(), |path, folder| path / folder), name)
}
