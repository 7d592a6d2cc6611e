# The two commands of a fresh machine are `make demo` and `make test`. Each does all set-up that it needs.

.PHONY: help setup demo test bench

help:
	@echo 'make demo   build, make a small dataset, train on it for three minutes, evaluate'
	@echo 'make test   formatting, lints, every test, documentation'
	@echo 'make bench  speed of every stage'
	@echo 'make setup  what the others do first: toolchain, system packages, libtorch'

setup:
	@tools/setup.sh

demo: setup
	cargo build --release --locked
	@tools/demo.sh

test: setup
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	cargo test --workspace --locked
	RUSTDOCFLAGS='-D warnings' cargo doc --workspace --no-deps --document-private-items --locked

bench: setup
	cargo bench --locked
