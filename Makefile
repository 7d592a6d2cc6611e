# On a fresh machine, run `make demo` or `make test`; both call `make setup` first.

.PHONY: help setup demo curves eval-demo test soak deny sanitize bench bench-plan bench-watching bench-peers bench-gpu bench-gpu-folder

help:
	@echo 'make demo         build, make a small dataset, train on it (three minutes), evaluate'
	@echo 'make curves       train every method on the synthetic images and compare with untrained encoders'
	@echo 'make eval-demo    every evaluation of the demo'\''s encoder: classifiers, neighbours, fine-tuning (six minutes)'
	@echo 'make test         formatting, lints, every test, documentation'
	@echo 'make soak         kills, full disks, damage and lost processes, long form (half an hour on two cores)'
	@echo 'make deny         licences, sources, withdrawn versions and known vulnerabilities of dependencies'
	@echo 'make sanitize     tests of threads and unsafe code under sanitizers (needs a nightly compiler)'
	@echo 'make bench        speed of every stage'
	@echo 'make bench-plan   compare the forecasts of `plan` with runs (ten minutes)'
	@echo 'make bench-watching  what it costs a run to be watched (ten minutes)'
	@echo 'make bench-peers  time our loader and webdataset, torchvision, DALI, FFCV and others (installs them, 2 GB)'
	@echo 'make bench-gpu    check and time the training stage on a GPU, beside PyTorch, with each fused piece on and off'
	@echo 'make bench-gpu-folder   fill target/gpu-bench, to copy to a machine with a GPU and run there: python3 run.py'
	@echo 'make setup        check the toolchain, install system packages, fetch libtorch; the other targets call it'

setup:
	@tools/setup.sh

# Name another method as: make demo METHOD=simclr
demo: setup
	cargo build --release --locked
	@tools/demo.sh $(METHOD)

# Name some methods only as: make curves METHODS='simclr moco'
curves: setup
	cargo build --release --locked
	@python3 -B tools/curves.py $(METHODS)

eval-demo: demo
	@tools/eval_demo.sh

test: setup
	@tools/python.sh
	@tools/browser.sh
	@tools/prometheus.sh
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	cargo test --workspace --locked
	RUSTDOCFLAGS='-D warnings' cargo doc --workspace --no-deps --document-private-items --locked

soak: setup
	AMDIM_SOAK=1 cargo test --locked --test faults --test ranks -- --nocapture
	AMDIM_SOAK=1 cargo test --locked --test it observe

deny: setup
	@tools/deny.sh

sanitize:
	@tools/sanitize.sh

bench: setup
	cargo bench --locked

# Pass options as: make bench-plan PLAN='--rounds 1 --seconds 10'
bench-plan: setup
	cargo build --release --locked --bins
	@python3 -B benches/forecast.py $(PLAN)

# Pass options as: make bench-watching WATCHING='--rounds 1 --steps 100'
bench-watching: setup
	cargo build --release --locked --bins
	@python3 -B benches/watching.py $(WATCHING)

# Pass options to run.py as: make bench-peers PEERS='--images 400 --rounds 1'
bench-peers: setup
	cargo build --release --locked
	cargo build --release --locked -p pipeline --example peers-ours
	@python3 -B benches/peers/run.py $(PEERS)

bench-gpu-folder: setup
	cargo build --release --locked --bins --example gpu-bench
	@benches/gpu/folder.sh

# Pass options to run.py as: make bench-gpu GPU='--device cpu --quick'
bench-gpu: bench-gpu-folder
	@cd target/gpu-bench && python3 -B run.py $(GPU)
