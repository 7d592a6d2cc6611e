//! Several processes in a unit test: the test program, started again for each.

use std::{
    env,
    net::TcpListener,
    panic::{self, AssertUnwindSafe},
    path::Path,
    process::{Child, Command},
    sync::{Mutex, PoisonError},
    thread,
    time::Duration,
};

use tch::Tensor;
use torchkit::Failure;

use crate::{
    checkpoint::Named,
    exit::{self, Code},
    world::{Together, World},
};

/// Held while processes run. One group at a time: another one could be given the same port before it is used.
static ALONE: Mutex<()> = Mutex::new(());
/// The environment variable that names the folder of a process's results.
const FOLDER: &str = "AMDIM_TEST_RANK_FOLDER";

/// Runs `work` in `size` processes and returns what each has computed, by rank. `test` is the full name of the calling
/// test, which each process runs again up to this call. Returns `None` in a process of another call.
pub(crate) fn run(test: &str, size: usize, work: impl FnOnce(World) -> Named) -> Option<Vec<Named>> {
    if let Ok(folder) = env::var(FOLDER) {
        if env::var("WORLD_SIZE").is_ok_and(|other| other != size.to_string()) {
            return None;
        }
        let together = Together::default();
        let launch = World::launch(&together).unwrap();
        let world = World::join(launch.as_ref(), &together).unwrap();
        let contiguous = |(name, tensor): (String, Tensor)| (name, tensor.contiguous());
        let results: Vec<_> = computed(|| work(world)).into_iter().map(contiguous).collect();
        Tensor::write_safetensors(&results, Path::new(&folder).join(world.rank().to_string())).unwrap();
        world.conclude(Ok(())).unwrap();
        exit::at_once(Code::Done); // static destructors take from other threads what they use
    }
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = tempfile::tempdir().unwrap();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let start = |rank: usize| {
        Command::new(env::current_exe().unwrap())
            .args([test, "--exact", "--nocapture", "--test-threads=1"])
            .env(FOLDER, folder.path())
            .env("RANK", rank.to_string())
            .env("WORLD_SIZE", size.to_string())
            .env("MASTER_ADDR", "127.0.0.1")
            .env("MASTER_PORT", port.to_string())
            .env("OMP_NUM_THREADS", "1")
            .spawn()
            .unwrap()
    };
    let ranks: Vec<Child> = (0..size).map(start).collect();
    wait(ranks);
    let read = |rank: usize| {
        let path = folder.path().join(rank.to_string());
        Tensor::read_safetensors(path).unwrap().into_iter().collect()
    };
    Some((0..size).map(read).collect())
}

/// Returns what `work` computes. A failure of libtorch, which a panic carries, is named.
fn computed(work: impl FnOnce() -> Named) -> Named {
    panic::catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|payload| {
        match payload.downcast::<Failure>() {
            Ok(failure) => panic!("{failure}"),
            Err(payload) => panic::resume_unwind(payload),
        }
    })
}

/// Waits until all processes have succeeded. If one fails, the others are ended, since they would wait for it.
fn wait(mut ranks: Vec<Child>) {
    let mut running = ranks.len();
    while running > 0 {
        thread::sleep(Duration::from_millis(20));
        let ended: Vec<_> = ranks.iter_mut().map(|rank| rank.try_wait().unwrap()).collect();
        if let Some(rank) = ended.iter().position(|status| status.is_some_and(|status| !status.success())) {
            for rank in &mut ranks {
                drop(rank.kill());
            }
            panic!("rank {rank} of {} failed", ranks.len());
        }
        running = ended.iter().filter(|status| status.is_none()).count();
    }
}
