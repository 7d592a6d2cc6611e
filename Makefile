# The two commands of a fresh machine are `make demo` and `make test`. Each does all set-up that it needs.

.PHONY: help setup demo eval-demo test soak deny sanitize bench bench-plan bench-peers bench-gpu bench-gpu-folder

help:
	@echo 'make demo         build, make a small dataset, train on it for three minutes, evaluate'
	@echo 'make eval-demo    every evaluation of the demo: classifiers, neighbours, fine-tuning (six minutes)'
	@echo 'make test         formatting, lints, every test, documentation'
	@echo 'make soak         the long form of what is survived: kills, full disks, damage (twenty minutes on two cores)'
	@echo 'make deny         licences, sources, withdrawn versions and known vulnerabilities of dependencies'
	@echo 'make sanitize     tests of threads and unsafe code under sanitizers (needs a nightly compiler)'
	@echo 'make bench        speed of every stage'
	@echo 'make bench-plan   how far the forecasts of `plan` are off (ten minutes)'
	@echo 'make bench-peers  our loader beside webdataset, torchvision, DALI, FFCV and others (installs them, 2 GB)'
	@echo 'make bench-gpu    checks and times the training stage on a GPU, beside PyTorch'
	@echo 'make bench-gpu-folder   fills target/gpu-bench, to be carried to a machine with a GPU and run there: python3 run.py'
	@echo 'make setup        what the others do first: toolchain, system packages, libtorch'

setup:
	@tools/setup.sh

demo: setup
	cargo build --release --locked
	@tools/demo.sh

eval-demo: demo
	@tools/eval_demo.sh

test: setup
	@tools/python.sh
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	cargo test --workspace --locked
	RUSTDOCFLAGS='-D warnings' cargo doc --workspace --no-deps --document-private-items --locked

soak: setup
	AMDIM_SOAK=1 cargo test --locked --test faults -- --nocapture

deny: setup
	@tools/deny.sh

sanitize:
	@tools/sanitize.sh

bench: setup
	cargo bench --locked

# Options: make bench-plan PLAN='--rounds 1 --seconds 10'
bench-plan: setup
	cargo build --release --locked --bins
	@python3 -B benches/forecast.py $(PLAN)

# Options of the driver: make bench-peers PEERS='--images 400 --rounds 1'
bench-peers: setup
	cargo build --release --locked
	cargo build --release --locked -p pipeline --example peers-ours
	@python3 -B benches/peers/run.py $(PEERS)

bench-gpu-folder: setup
	cargo build --release --locked --bins --example gpu-bench
	@benches/gpu/folder.sh

# Options of the driver: make bench-gpu GPU='--device cpu --quick'
bench-gpu: bench-gpu-folder
	@cd target/gpu-bench && python3 -B run.py $(GPU)
