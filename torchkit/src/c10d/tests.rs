use std::{thread, time::Duration};
use tch::{Device, Kind, Tensor};
use super::*;
const LIMIT: Duration = Duration::from_secs(60);
#[test]
fn smoke() {
    let store = Store::in_memory();
    let t = std::time::Instant::now();
    let join: Vec<_> = (0..2).map(|rank| { let store = store.clone(); thread::spawn(move || {
        let g = Group::gloo(&store.under("a"), rank, 2, LIMIT).unwrap();
        println!("{rank} made {:?}", t.elapsed());
        let x = Tensor::ones([3], (Kind::BFloat16, Device::Cpu));
        g.all_reduce(&[&x], ReduceOp::Sum).unwrap();
        x.print();
        println!("{}", g.sent_bytes());
        g.gather_with_gradient(&x).print();
        drop(g);
        println!("{rank} dropped {:?}", t.elapsed());
        let g = Group::gloo(&store.under("b"), rank, 2, Duration::from_millis(700)).unwrap();
        if rank == 1 { thread::sleep(Duration::from_secs(2)); println!("{:?}", g.all_reduce(&[&x], ReduceOp::Sum)); return; }
        println!("{:?} {:?}", g.all_reduce(&[&x], ReduceOp::Sum), t.elapsed());
        println!("{:?}", g.all_reduce(&[&x], ReduceOp::Sum));
        println!("{:?}", g.barrier(LIMIT));
        drop(g);
        println!("{:?}", t.elapsed());
        println!("alone: {:?}", Group::gloo(&store.under("c"), rank, 2, Duration::from_millis(700)));
    })}).collect();
    for j in join { j.join().unwrap(); }
    let store = Store::connect("127.0.0.1", 0, true, LIMIT).unwrap();
    println!("{store:?} {:?}", t.elapsed());
    println!("{:?}", Store::connect("127.0.0.1", store.port().unwrap(), true, LIMIT));
    println!("{:?}", Store::connect("127.0.0.1", 1, false, Duration::from_secs(2)));
    println!("{:?}", Store::connect("no.such.host.invalid", 1, false, Duration::from_secs(2)));
    println!("{:?}", t.elapsed());
    let peer = Store::connect("127.0.0.1", store.port().unwrap(), false, LIMIT).unwrap();
    peer.set("x", b"1").unwrap();
    println!("{:?} {:?}", store.get("x", LIMIT), store.get("y", Duration::from_millis(500)));
    println!("{:?}", peer.under("p").add("n", 3));
    drop(store);
    println!("{:?} {:?}", peer.has("x"), peer.has("x"));
    println!("{:?}", Store::in_memory().get("y", Duration::from_millis(500)));
    let g = Group::gloo(&Store::in_memory(), 0, 1, LIMIT).unwrap();
    let x = Tensor::ones([3], (Kind::Double, Device::Cpu));
    g.all_reduce(&[&x], ReduceOp::Sum).unwrap();
    g.barrier(LIMIT).unwrap();
    g.gather_with_gradient(&x).print();
    g.sum_scattered_with_gradient(&x).print();
}
