fn main(){ pipeline::augment::bench_resize() }
