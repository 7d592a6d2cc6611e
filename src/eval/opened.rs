//! The checkpoint that all processes evaluate.

use std::path::Path;

use anyhow::Result;
use tch::{Device, Tensor};

use crate::{
    checkpoint::{self, Loaded},
    data,
    network::Network,
    world::World,
};

/// Opens, on all processes, the checkpoint that the lead finds at a path of the user. Another one may be written
/// meanwhile. The optimizer's moments are left out.
///
/// # Errors
///
/// If there is none, it is damaged, or a process reads another one.
pub(crate) fn checkpoint(path: &Path, world: World) -> Result<Loaded> {
    let mut found = None;
    let folder = world.from_lead(|| {
        let loaded = checkpoint::find(path)?.without_moments();
        let folder = loaded.path.clone();
        found = Some(loaded);
        Ok(folder)
    })?;
    let opened = found.map_or_else(|| Loaded::open(&folder).map(Loaded::without_moments), Ok);
    let loaded = world.all(opened)?;
    let model = ("the model of the checkpoint", loaded.checksum.clone());
    world.agree(&[model], "start all processes in the same folder, with the same program and checkpoint")?;
    Ok(loaded)
}

/// Leaves the processes that compute on the same cores their share of them, unless `OMP_NUM_THREADS` says how many threads
/// compute.
pub(crate) fn share_threads(device: Device, world: World) {
    if world.sharing_cores() > 1 && device == Device::Cpu && !data::are_threads_given() {
        tch::set_num_threads(data::cores() as i32);
    }
}

/// Gives the networks of all processes the tensors that the lead's has.
///
/// # Errors
///
/// If another process is lost.
pub(super) fn follow_lead(network: &Network, world: World) -> Result<()> {
    if !world.has_others() {
        return Ok(());
    }
    let own = network.tensors();
    let on_host = |tensor: &Tensor| tensor.detach().to_device(Device::Cpu).contiguous();
    let sent: Vec<_> = own.values().map(on_host).collect();
    world.follow_lead(|| sent.iter().map(Tensor::shallow_clone).collect())?;
    tch::no_grad(|| {
        for (tensor, of_lead) in own.values().zip(&sent) {
            tensor.shallow_clone().copy_(of_lead);
        }
    });
    Ok(())
}
